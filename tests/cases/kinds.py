"""One small cell for each kind of program that an earlier engine computed wrongly, or could not compile."""

KINDS = {
    "a state squared": """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + h[t - 1, n] ** 2 / 4
    """,
    "a state squared inside of a function": """
        @cell(states="h")
        def mine(x, h, W, P):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + P[n] * h[t - 1, n] ** 2)
    """,
    "a state times its complement": """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + h[t - 1, n] * (1 - h[t - 1, n]))
    """,
    "two states multiplied": """
        @cell(states="h c")
        def mine(x, h, c, W):
            c[t, n] = c[t - 1, n] * h[t - 1, n] + Sum(W[n, j] * x[t, j], j)
            h[t, n] = tanh(c[t, n])
    """,
    "one recurrence feeds another in the same step": """
        @cell(states="h s", weight_sh="A", weight_ss="D")
        def mine(x, h, s, W, U, A, D):
            s[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(D[n, k] * s[t - 1, k], k))
            h[t, n] = tanh(Sum(A[n, k] * s[t, k], k) + Sum(U[n, k] * h[t - 1, k], k))
    """,
    "a product of a product": """
        @cell(states="h")
        def mine(x, h, A, D, U, e):
            e[t, m] = Sum(D[m, j] * x[t, j], j)
            h[t, n] = tanh(Sum(A[n, m] * e[t, m], m) + Sum(U[n, k] * h[t - 1, k], k))
    """,
    "a low-rank product of a state": """
        @cell(states="c s")
        def mine(x, c, s, P, U, D):
            c[t, i] = Sum(D[i, o] * Sum(U[o, n] * s[t - 1, n], n), o) + Sum(P[i, j] * x[t, j], j)
            s[t, j] = s[t - 1, j] / 2 + Sum(x[t, i], i) / 3
    """,
    "the output is a projection": """
        @cell(states="h c")
        def mine(x, h, c, W, R):
            c[t, n] = c[t - 1, n] / 2 + Sum(W[n, j] * x[t, j], j)
            h[t, m] = Sum(R[m, n] * c[t, n], n)
    """,
    "products scaled and subtracted": """
        @cell(states="h")
        def mine(x, h, W, U, z, a):
            z[t, n] = 0.5 * Sum(W[n, j] * x[t, j], j) - Sum(a[n] * U[n, k] * h[t - 1, k], k) / 3
            h[t, n] = tanh(z[t, n])
    """,
    "one sum over two indices": """
        @cell(states="h")
        def mine(x, h, W, Q):
            h[t, n] = tanh(Sum(W[n, m] * Q[m, j] * x[t, j], m, j)) + h[t - 1, n] / 2
    """,
    "the input scaled unit by unit": """
        @cell(states="h", scale="Q")
        def mine(x, h, W, U, Q, u):
            u[t, j] = x[t, j] * sigmoid(Sum(Q[j, k] * h[t - 1, k], k))
            h[t, n] = tanh(Sum(W[n, j] * u[t, j], j) + Sum(U[n, k] * h[t - 1, k], k))
    """,
    "an output that nothing reads": """
        @cell(states="h c")
        def mine(x, h, c, W):
            c[t, n] = c[t - 1, n] / 2 + Sum(W[n, j] * x[t, j], j)
            h[t, n] = tanh(c[t, n])
    """,
    "an output without recurrence beside a state without input": """
        @cell(states="r e")
        def mine(x, r, M, G, e):
            r[t, o] = Sum(M[o, j] * x[t, j], j)
            e[t, n] = tanh(Sum(G[n, k] * e[t - 1, k], k))
    """,
    "no recurrence": """
        @cell(states="g")
        def mine(x, g, M):
            g[t, j] = Sum(M[j, n] * x[t, n], n)
    """,
    "values that nothing reads, of parameters and of matrices": """
        @cell(states="h")
        def mine(x, h, W, p, Q, v, w):
            v[t, n] = h[t - 1, n] * p[n]
            w[t, m] = Sum(Q[m, n] * h[t - 1, n], n)
            h[t, n] = Sum(W[n, j] * x[t, j], j) + h[t - 1, n]
    """,
    "a state that is a constant": """
        @cell(states="h e")
        def mine(x, e, h, G, R):
            h[t, n] = 1
            e[t, m] = Sum(G[m, j] * x[t, j], j) + Sum(R[m, j] * h[t - 1, j], j)
    """,
    "a state that is carried over unchanged": """
        @cell(states="f s")
        def mine(x, f, C, s, K):
            s[t, j] = s[t - 1, j]
            f[t, i] = tanh(Sum(K[i, m] * s[t, m], m)) + Sum(C[i, j] * x[t, j], j)
    """,
    "a state that is a product alone": """
        @cell(states="h s")
        def mine(x, h, D, W, s):
            s[t, n] = Sum(D[n, j] * h[t - 1, j], j)
            h[t, m] = Sum(W[m, j] * sigmoid(s[t - 1, j]), j) + Sum(x[t, j], j)
    """,
    "a product that the next step adds": """
        @cell(states="e w")
        def mine(x, e, w, C, A):
            w[t, o] = Sum(A[o, j] * e[t - 1, j], j)
            e[t, i] = Sum(C[i, j] * x[t, j], j) + w[t - 1, i]
    """,
    "an output made of parameters": """
        @cell(states="w")
        def mine(x, w, beta, b):
            b[t, j] = Sum(x[t, m], m) * w[t - 1, j]
            w[t, m] = beta[m]
    """,
    "functions of parameters": """
        @cell(states="a")
        def mine(x, mix, a, kappa, W):
            mix[t, m] = softplus(kappa[m])
            a[t, i] = mix[t, i] * a[t - 1, i] * exp(-exp(kappa[i])) + Sum(W[i, m] * x[t, m], m)
    """,
    "families with members that are absent": """
        @cell(states="h y s", gates="f g o")
        def mine(x, g, f, U, G, M, o, s, C, h, off, D, y, z, A, alpha):
            z[f][t, j] = Sum(U[f][j, m] * x[t, m], m) + Sum(G[f][j, n] * h[t - 1, n], n)
            z[g][t, j] = Sum(G[g][j, i] * y[t - 1, i], i)
            g[t, j] = sigmoid(z[g][t, j])
            f[t, j] = tanh(z[f][t, j])
            h[t, m] = alpha[m]
            z[o][t, i] = Sum(U[o][i, k] * x[t, k], k) + Sum(G[o][i, m] * y[t - 1, m], m) + off[o][i]
            o[t, i] = tanh(z[o][t, i])
            s[t, k] = 0.9 * s[t - 1, k] + -Sum(C[k, j] * Sum(D[j, i] * h[t - 1, i] * y[t - 1, i], i), j)
            y[t, k] = (f[t, k] - g[t, k] / 3) ** 2 / 4 + 2 * Sum(A[k, i] * Sum(M[i, j] * x[t, j] ** 2, j), i)
    """,
    "functions and powers of a size": """
        @cell(states="h")
        def mine(x, h, W, b):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) / sqrt(H)) * tanh(1 / H) + b[n] * exp(-H) * H**2 + h[t - 1, n] / (1 + H)
    """,
    "sine, cosine and an absolute value": """
        @cell(states="h")
        def mine(x, h, W, U, b):
            s = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k)
            h[t, n] = sin(s) * cos(b[n] + h[t - 1, n]) + abs(h[t - 1, n]) / 3
    """,
    "a weight both ways": """
        @cell(states="h")
        def mine(x, h, W, Q):
            a = Sum(W[n, k] * h[t - 1, k], k) - Sum(W[k, n] * h[t - 1, k], k)
            h[t, n] = h[t - 1, n] + tanh(a + Sum(Q[n, j] * x[t, j], j)) / 4
    """,
    "a number a step of a sum, which units read": """
        @cell(states="h c")
        def mine(x, h, c, W, p, s, r):
            s[t] = Sum(p[n] * h[t - 1, n], n) * Sum(c[t - 1, n] ** 2, n)
            r[t] = 1 / (1 + s[t] ** 2)
            c[t, n] = c[t - 1, n] * r[t] + Sum(W[n, j] * x[t, j], j)
            h[t, n] = tanh(c[t, n]) * s[t] + h[t - 1, n] / 2
    """,
    "one product under two names": """
        @cell(states="h")
        def mine(x, h, W, U, a, b):
            a[t, n] = Sum(W[n, j] * x[t, j], j)
            b[t, n] = Sum(W[n, k] * x[t, k], k)
            h[t, n] = tanh(a[t, n] + b[t, n] + Sum(U[n, k] * h[t - 1, k], k) + Sum(U[n, j] * h[t - 1, j], j))
    """,
    "a gradient at t = 0 of a product before and one after the loop": """
        @cell(states="y h s mem", gates="z e r")
        def mine(x, y, h, s, mem, U, z, e, r, v, M, b, q, w):
            q[r][t, i] = Sum(U[e][i, m] * y[t - 1, m], m)
            r[t, o] = q[r][t, o]
            w[t] = Sum(h[t - 1, n] * r[t, n] * h[t - 1, n], n) / 16
            z[t, k] = sigmoid(x[t, k])
            s[t, k] = z[t, k] * w[t]
            mem[t, k] = softplus(mem[t - 1, k] / 3) + z[t, k]
            y[t, j] = v[j]
            h[t, o] = Sum(U[e][o, m] * y[t, m], m) - Sum(M[o, n] * mem[t - 1, n], n) + b[o]
    """,
    "the larger and the smaller of two, which are equal at first": """
        @cell(states="h c")
        def mine(x, h, c, W, b):
            c[t, n] = maximum(h[t - 1, n], c[t - 1, n]) / 2 + tanh(Sum(W[n, j] * x[t, j], j) + b[n])
            h[t, n] = minimum(c[t, n], c[t - 1, n]) + maximum(c[t, n], 0, Rational(1, 4)) / 3
    """,
    "comparisons as numbers, joined and alone": """
        @cell(states="h")
        def mine(x, h, W, a, d):
            a[t, n] = Sum(W[n, j] * x[t, j], j)
            d[t, n] = (0.1 < a[t, n]) + (h[t - 1, n] <= h[t - 1, n]) * a[t, n]
            h[t, n] = (a[t, n] > 0) * h[t - 1, n] + where((a[t, n] >= h[t - 1, n]) & ~(d[t, n] <= 0), a[t, n], d[t, n] / 2)
    """,
    "a sum over the units of what is clipped, and a choice by it": """
        @cell(states="h")
        def mine(x, h, W, s):
            s[t] = Sum(clip(h[t - 1, n], -0.5, 0.5), n)
            h[t, n] = where(s[t] > 0, tanh(Sum(W[n, j] * x[t, j], j)), s[t]) - clip(h[t - 1, n], -0.25, s[t] ** 2)
    """,
    "activations with kinks": """
        @cell(states="h")
        def mine(x, h, W, U, a):
            a[t, n] = 4 * Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k)
            h[t, n] = (hard_tanh(a[t, n]) + hard_sigmoid(2 * a[t, n]) + elu(a[t, n], 0.7) + leaky_relu(a[t, n])) / 4
    """,
    "smooth activations": """
        @cell(states="h")
        def mine(x, h, W, U, a, b):
            a[t, n] = silu(Sum(W[n, j] * x[t, j], j) + b[n]) + gelu(Sum(U[n, k] * h[t - 1, k], k))
            h[t, n] = gelu_tanh(a[t, n]) + softsign(a[t, n]) + log_sigmoid(h[t - 1, n]) / 3 + normal_cdf(a[t, n])
    """,
    "erf, atan, expm1, the floor and the sign": """
        @cell(states="h")
        def mine(x, h, W, a):
            a[t, n] = erf(Sum(W[n, j] * x[t, j], j)) + atan(h[t - 1, n]) + floor(3 * h[t - 1, n]) / 6
            h[t, n] = expm1(a[t, n] / 2) * sign(h[t - 1, n]) + log(1 + a[t, n] ** 2)
    """,
    "spikes, with a derivative that is declared": """
        spike = function("spike", lambda v: where(v > 0, 1, 0), derivative=lambda v: 1 / (1 + (pi * v) ** 2))
        @cell(states="s v")
        def mine(x, s, v, W, U, b):
            v[t, n] = sigmoid(b[n]) * v[t - 1, n] * (1 - s[t - 1, n]) + Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * s[t - 1, k], k)
            s[t, n] = spike(v[t, n] - Rational(1, 4))
    """,
    "functions of one's own, of two arguments, with exp in them, of sizes and of numbers a step": """
        larger = lambda a, b: maximum(a, b) + log(1 + exp(-abs(a - b)))
        soft = function("soft", larger, derivative=lambda a, b: (sigmoid(a - b), sigmoid(b - a)))
        short = function("short", lambda a: a * sigmoid(a))
        @cell(states="h")
        def mine(x, h, W, s, e):
            s[t] = soft(Sum(h[t - 1, n], n), 1)
            e[t, n] = soft(Sum(W[n, j] * x[t, j], j), h[t - 1, n] / H) * s[t]
            h[t, n] = short(e[t, n]) / 2 + soft(s[t], h[t - 1, n]) / 8
    """,
    "functions without a derivative, behind which nothing is left of a gradient": """
        @cell(states="h c")
        def mine(x, h, c, W, U, R, b, a):
            a[t, n] = sign(Sum(W[n, j] * x[t, j], j)) + floor(4 * Sum(U[n, k] * h[t - 1, k], k) + b[n])
            c[t, n] = (h[t - 1, n] > 0.1) + c[t - 1, n] / 2
            h[t, n] = tanh(Sum(R[n, k] * c[t, k], k)) + a[t, n] / 4
    """,
}
