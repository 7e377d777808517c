"""Steps of derive/cells/memory/."""

from __future__ import annotations

import torch
from register import gates, positive, zoo
from torch import exp, relu, sigmoid, tanh
from torch.nn.functional import linear, logsigmoid


def ending(o, c):
    return sigmoid(o) * tanh(c), c


@zoo
def nig(x, p, h, c):
    f, g, o = gates(p, x, h, 3)
    c = sigmoid(f + p["peephole_f"] * c) * c + tanh(g)
    return ending(o + p["peephole_o"] * c, c)


@zoo
def nfg(x, p, h, c):
    i, g, o = gates(p, x, h, 3)
    c = c + sigmoid(i + p["peephole_i"] * c) * tanh(g)
    return ending(o + p["peephole_o"] * c, c)


@zoo
def nog(x, p, h, c):
    i, f, g = gates(p, x, h, 3)
    c = sigmoid(f + p["peephole_f"] * c) * c + sigmoid(i + p["peephole_i"] * c) * tanh(g)
    return tanh(c), c


@zoo
def niaf(x, p, h, c):
    i, f, g, o = gates(p, x, h, 4)
    c = sigmoid(f + p["peephole_f"] * c) * c + sigmoid(i + p["peephole_i"] * c) * g
    return ending(o + p["peephole_o"] * c, c)


@zoo
def noaf(x, p, h, c):
    i, f, g, o = gates(p, x, h, 4)
    c = sigmoid(f + p["peephole_f"] * c) * c + sigmoid(i + p["peephole_i"] * c) * tanh(g)
    return sigmoid(o + p["peephole_o"] * c) * c, c


@zoo
def cifg(x, p, h, c):
    f, g, o = gates(p, x, h, 3)
    f = sigmoid(f + p["peephole_f"] * c)
    c = f * c + (1 - f) * tanh(g)
    return ending(o + p["peephole_o"] * c, c)


@zoo
def fgr(x, p, h, c, i, f, o):
    zi, zf, zg, zo = gates(p, x, h, 4)
    more = {q: linear(i, p[f"from_i_{q}"]) + linear(f, p[f"from_f_{q}"]) + linear(o, p[f"from_o_{q}"]) for q in "ifo"}
    i, f = sigmoid(zi + more["i"] + p["peephole_i"] * c), sigmoid(zf + more["f"] + p["peephole_f"] * c)
    c = f * c + i * tanh(zg)
    o = sigmoid(zo + more["o"] + p["peephole_o"] * c)
    return o * tanh(c), c, i, f, o


@zoo
def lstm_peephole_matrix(x, p, h, c):
    i, f, g, o = gates(p, x, h, 4)
    i, f = sigmoid(i + linear(c, p["peephole_i"])), sigmoid(f + linear(c, p["peephole_f"]))
    c = f * c + i * tanh(g)
    return ending(o + linear(c, p["peephole_o"]), c)


@zoo
def lstmp(x, p, r, c):
    i, f, g, o = gates(p, x, r, 4)
    i, f = sigmoid(i + p["peephole_i"] * c), sigmoid(f + p["peephole_f"] * c)
    c = f * c + i * tanh(g)
    return linear(sigmoid(o + p["peephole_o"] * c) * tanh(c), p["projection"]), c


@zoo
def janet(x, p, c):
    s, g = gates(p, x, c, 2)
    return (sigmoid(s) * c + (1 - sigmoid(s - 1)) * tanh(g),)


@zoo
def ran(x, p, h, c):
    i, f = gates(p, x, h, 2)
    c = sigmoid(i) * linear(x, p["content"]) + sigmoid(f) * c
    return tanh(c), c


@zoo
def zoneout_lstm(x, p, h, c, m_h, m_c):
    i, f, g, o = gates(p, x, h, 4)
    new = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return m_h * h + (1 - m_h) * (sigmoid(o) * tanh(new)), m_c * c + (1 - m_c) * new


@zoo
def ea_lstm(x, p, h, c, s):
    f, g, o = gates(p, x, h, 3)
    c = sigmoid(f) * c + sigmoid(linear(s, p["weight_static"], p["bias_static"])) * tanh(g)
    return ending(o, c)


@zoo
def multiplicative_lstm(x, p, h, c):
    i, f, g, o = gates(p, x, linear(x, p["inner_x"]) * linear(h, p["inner_h"]), 4)
    return ending(o, sigmoid(f) * c + sigmoid(i) * tanh(g))


@zoo
def nested_lstm(x, p, h, c, e):
    i, f, g, o = (linear(x, p[f"weight_ih_{q}"], p[f"bias_{q}"]) + linear(h, p[f"weight_hh_{q}"]) for q in "ifgo")
    inner_x, inner_h = sigmoid(i) * tanh(g), sigmoid(f) * c
    i, f, g, inner_o = (linear(inner_x, p["inner_x"], p["inner_b"]) + linear(inner_h, p["inner_h"])).chunk(4, -1)
    e = sigmoid(f) * e + sigmoid(i) * tanh(g)
    c = sigmoid(inner_o) * tanh(e)
    return (*ending(o, c), e)


@zoo
def mogrifier(x, p, h, c):
    for r in (1, 2, 3, 4, 5):
        if r % 2:
            x = 2 * sigmoid(linear(h, p[f"round_{r}"])) * x
        else:
            h = 2 * sigmoid(linear(x, p[f"round_{r}"])) * h
    i, f, g, o = gates(p, x, h, 4)
    return ending(o, sigmoid(f) * c + sigmoid(i) * tanh(g))


@zoo
def nas(x, p, h, c):
    u, v = linear(x, p["weight_ih"]).chunk(8, -1), linear(h, p["weight_hh"]).chunk(8, -1)
    a = [a + b if k != 3 else a * b for k, (a, b) in enumerate(zip(u, v, strict=True))]
    first = [f(value) for f, value in zip((sigmoid, relu, sigmoid, relu, tanh, sigmoid, tanh, sigmoid), a, strict=True)]
    left, middle = tanh(first[0] * first[1]), tanh(first[2] + first[3])
    right = tanh(tanh(first[4] * first[5]) + sigmoid(first[6] + first[7]))
    c = tanh(left + c) * middle
    return tanh(c * right), c


@zoo
def lstm_wm(x, p, h, c):
    i, f, g, o = gates(p, x, h, 4)
    i, f = (sigmoid(a + tanh(linear(c, p[f"memory_{q}"], p[f"shift_{q}"]))) for q, a in (("i", i), ("f", f)))
    c = f * c + i * tanh(g)
    return ending(o + tanh(linear(c, p["memory_o"], p["shift_o"])), c)


@zoo
def slim_lstm(x, p, h, c):
    i, f, o = linear(h, p["gate_hh"]).chunk(3, -1)
    g = tanh(linear(x, p["weight_ih"], p["bias"]) + linear(h, p["weight_hh"]))
    return ending(o, sigmoid(f) * c + sigmoid(i) * g)


@zoo
def mi_lstm(x, p, h, c):
    u, v = linear(x, p["weight_ih"]), linear(h, p["weight_hh"])
    z = p["mi_alpha"] * u * v + p["mi_x"] * u + p["mi_h"] * v + p["bias"]
    i, f, g, o = z.chunk(4, -1)
    return ending(o, sigmoid(f) * c + sigmoid(i) * tanh(g))


@positive("d")
def rwa(x, p, h, s, d):
    u, g, a = linear(x, p["weight_ih"]).chunk(3, -1)
    g, a = g + p["bg"] + linear(h, p["weight_hh_g"]), a + linear(h, p["weight_hh_a"])
    s, d = s + (u + p["bu"]) * tanh(g) * exp(a), d + exp(a)
    return tanh(s / d), s, d


@zoo
def lmu(x, p, h, m):
    u = linear(x, p["encode_x"]) + linear(h, p["encode_h"]) + linear(m, p["encode_m"])
    m = linear(m, p["memory"]) + linear(u, p["memory_in"])
    return tanh(linear(x, p["weight_ih"]) + linear(h, p["hidden"]) + linear(m, p["mix"])), m


@positive("s")
def slstm(x, p, h, c, s, m):
    heads = h.shape[1]
    w, r, b = (p[name].reshape(4, heads, *p[name].shape[1:]) for name in ("weight_ih", "weight_hh", "bias"))
    z, i, f, o = torch.einsum("qndj,bj->qbnd", w, x) + torch.einsum("qnde,bne->qbnd", r, h) + b[:, None]
    old, m = m, torch.maximum(logsigmoid(f) + m, i)
    forget, write = exp(logsigmoid(f) + old - m), exp(i - m)
    c, s = forget * c + write * tanh(z), forget * s + write
    return sigmoid(o) * c / s, c, s, m


@zoo
def mlstm(x, p, h, C, s, m):
    q, k, v, o = (torch.einsum("nej,bj->bne", p[f"W_{name}"], x) for name in "qkvo")
    i = linear(x, p["w_i"], p["b_i"])
    f = logsigmoid(linear(x, p["w_f"], p["b_f"])) + m
    m = torch.maximum(f, i)
    f, i = exp(f - m), exp(i - m)
    C = f[..., None, None] * C + i[..., None, None] * torch.einsum("bnd,bne->bnde", v, k)
    s = f[..., None] * s + i[..., None] * k
    size = torch.maximum(torch.einsum("bne,bne->bn", s, q).abs(), exp(-m))
    return sigmoid(o + p["b_o"]) * torch.einsum("bnde,bne->bnd", C, q) / size[..., None], C, s, m


@zoo
def on_lstm(x, p, h, c):
    f, i, o, g, forget, write = gates(p, x, h, 6)
    forget, write = torch.softmax(forget, -1).cumsum(-1), 1 - torch.softmax(write, -1).cumsum(-1)
    both = forget * write
    c = (sigmoid(f) * both + forget - both) * c + (sigmoid(i) * both + write - both) * tanh(g)
    return sigmoid(o) * tanh(c), c


@zoo
def lmu_legendre(x, p, h, m):
    order, theta = m.shape[1], 100
    q = torch.arange(order, dtype=m.dtype)
    i, j = q[:, None], q[None, :]
    a = (2 * i + 1) / theta * torch.where(i < j, -torch.ones(order, order, dtype=m.dtype), (-1.0) ** (i - j + 1))
    b = (2 * q + 1) * (-1.0) ** q / theta
    u = x @ p["encode_x"] + h @ p["encode_h"] + m @ p["encode_m"]
    m = m + linear(m, a) + u[:, None] * b
    return tanh(linear(x, p["weight_ih"]) + linear(h, p["hidden"]) + linear(m, p["mix"])), m
