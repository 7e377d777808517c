"""LSTM cell of PyTorch: `_thnn_differentiable_lstm_cell_backward`, one step, and the sums over time around it.

Source: `aten/src/ATen/native/RNN.cpp` of the repository pytorch/pytorch. That function is the backward pass of one step;
grad_hy and grad_cy arrive from the next one, by the products with the weights and by the forget gate. Its cell gate c
is g here, gcx is the derivative by the cell state.
"""

from derive.audit import Sum, T, derivation, j, k, n, t, tanh


@derivation("lstm", grad_hy="dL/dh", gcx="dL/dc", grad_gates="dL/dz", grad_x="dL/dx", grad_hx="dL/dh_0", grad_cx="dL/dc_0",
            grad_w_ih="dL/dW", grad_w_hh="dL/dU", grad_bias="dL/db")  # fmt: skip
def lstm_cell_backward(x, h, c, W, U, i, f, g, o, grad_out, grad_hy, grad_cy, tanh_cy, gcx, grad_gates, grad_x, grad_hx,
                       grad_cx, grad_w_ih, grad_w_hh, grad_bias):  # fmt: skip
    grad_hy[t, n] = grad_out[t, n] + sum(Sum(grad_gates[q][t + 1, k] * U[q][k, n], k) for q in (i, f, g, o))
    grad_cy[t, n] = gcx[t + 1, n] * f[t + 1, n]

    tanh_cy[t, n] = tanh(c[t, n])
    gcx[t, n] = grad_hy[t, n] * o[t, n] * (1 - tanh_cy[t, n] ** 2) + grad_cy[t, n]
    grad_gates[o][t, n] = grad_hy[t, n] * tanh_cy[t, n] * (1 - o[t, n]) * o[t, n]
    grad_gates[i][t, n] = gcx[t, n] * g[t, n] * (1 - i[t, n]) * i[t, n]
    grad_gates[f][t, n] = gcx[t, n] * c[t - 1, n] * (1 - f[t, n]) * f[t, n]
    grad_gates[g][t, n] = gcx[t, n] * i[t, n] * (1 - g[t, n] ** 2)

    grad_x[t, j] = sum(Sum(grad_gates[q][t, k] * W[q][k, j], k) for q in (i, f, g, o))
    for q in (i, f, g, o):
        grad_w_ih[q][n, j] = Sum(grad_gates[q][t, n] * x[t, j], (t, 1, T))
        grad_w_hh[q][n, k] = Sum(grad_gates[q][t, n] * h[t - 1, k], (t, 1, T))
        grad_bias[q][n] = Sum(grad_gates[q][t, n], (t, 1, T))
    grad_hx[n] = sum(Sum(grad_gates[q][1, k] * U[q][k, n], k) for q in (i, f, g, o))
    grad_cx[n] = gcx[1, n] * f[1, n]
