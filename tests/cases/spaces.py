"""Cells over spaces of several dimensions: heads, block-diagonal weights, matrices as states, sums over some of the units."""

SPACES = {
    "an LSTM with heads": """
        d, e = sympy.symbols("d e")

        @cell(states="h c", gates="z i f o")
        def mine(x, h, c, W, R, b, p, z, i, f, o):
            for q in (z, i, f, o):
                p[q][t, n, d] = Sum(W[q][n, d, j] * x[t, j], j) + Sum(R[q][n, d, e] * h[t - 1, n, e], e) + b[q][n, d]
            z[t, n, d] = tanh(p[z][t, n, d])
            i[t, n, d] = sigmoid(p[i][t, n, d])
            f[t, n, d] = sigmoid(p[f][t, n, d])
            o[t, n, d] = sigmoid(p[o][t, n, d])
            c[t, n, d] = f[t, n, d] * c[t - 1, n, d] + i[t, n, d] * z[t, n, d]
            h[t, n, d] = o[t, n, d] * tanh(c[t, n, d])
    """,
    "a matrix memory": """
        d, e = sympy.symbols("d e")

        @cell(states="h C s")
        def mine(x, h, C, s, W_q, W_k, W_v, W_o, w_i, w_f, b_o, q, k, v, o, i, f):
            q[t, e] = Sum(W_q[e, j] * x[t, j], j)
            k[t, e] = Sum(W_k[e, j] * x[t, j], j)
            v[t, d] = Sum(W_v[d, j] * x[t, j], j)
            o[t, d] = sigmoid(Sum(W_o[d, j] * x[t, j], j) + b_o[d])
            i[t] = sigmoid(Sum(w_i[j] * x[t, j], j))
            f[t] = sigmoid(Sum(w_f[j] * x[t, j], j))
            C[t, d, e] = f[t] * C[t - 1, d, e] + i[t] * v[t, d] * k[t, e]
            s[t, e] = f[t] * s[t - 1, e] + i[t] * k[t, e]
            h[t, d] = o[t, d] * Sum(C[t, d, e] * q[t, e], e) / (1 + Sum(s[t, e] * q[t, e], e)**2)
    """,
    "fast weights, one vector along both axes": """
        @cell(states="h A")
        def mine(x, h, A, W, U, r):
            A[t, n, m] = A[t - 1, n, m] / 2 + h[t - 1, n] * h[t - 1, m] * r[n]
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + Sum(A[t, n, m] * h[t - 1, m], m))
    """,
    "a bilinear form": """
        @cell(states="h")
        def mine(x, h, W, b):
            h[t, n] = tanh(Sum(W[n, j, k] * x[t, j] * h[t - 1, k], j, k) + b[n])
    """,
    "heads with a gate each, and biases along either axis": """
        d, e = sympy.symbols("d e")

        @cell(states="h c")
        def mine(x, h, c, W, R, P, G, a, b, g, w):
            g[t, n] = sigmoid(Sum(G[n, j] * x[t, j], j) + Sum(w[d] * c[t - 1, n, d], d) + a[n])
            w_c = Sum(R[n, d, e] * c[t - 1, n, e], e)
            c[t, n, d] = g[t, n] * w_c + (1 - g[t, n]) * tanh(Sum(W[n, d, j] * x[t, j], j) + b[d] + a[n])
            h[t, m] = tanh(Sum(P[m, n, d] * c[t, n, d], n, d) + h[t - 1, m])
    """,
    "a matrix memory for every head": """
        d, e = sympy.symbols("d e")

        @cell(states="h C")
        def mine(x, h, C, Q, K, P, a, q, k, v, f):
            q[t, n, e] = Sum(Q[n, e, j] * x[t, j], j)
            k[t, n, e] = Sum(K[n, e, j] * x[t, j], j)
            v[t, n, d] = Sum(P[n, d, j] * x[t, j], j)
            f[t, n] = sigmoid(Sum(a[n, j] * x[t, j], j))
            C[t, n, d, e] = f[t, n] * C[t - 1, n, d, e] + v[t, n, d] * k[t, n, e]
            h[t, n, d] = tanh(Sum(C[t, n, d, e] * q[t, n, e], e))
    """,
    "an input of two axes": """
        d, e = sympy.symbols("d e")

        @cell(states="h")
        def mine(x, h, W, U, a):
            h[t, n, d] = tanh(Sum(W[n, d, j] * x[t, n, j], j) + Sum(U[d, e] * h[t - 1, n, e], e)) * a[n]
    """,
    "attention of all units to all units": """
        @cell(states="h")
        def mine(x, h, W, a):
            a[t, n] = Sum(W[n, j] * x[t, j], j) + h[t - 1, n]
            h[t, n] = Sum(sigmoid(a[t, k] - a[t, n]), k) / H
    """,
    "differences of all units, and an odd function of them": """
        @cell(states="h")
        def mine(x, h, W, a):
            a[t, n] = Sum(W[n, j] * x[t, j], j) + h[t - 1, n]
            h[t, n] = Sum(tanh(a[t, k] - a[t, n]), k) / H
    """,
    "a sum along the outer axis, and one of all units": """
        d = sympy.Symbol("d")

        @cell(states="h")
        def mine(x, h, W, a, s, m):
            m[t, d] = Sum(h[t - 1, n, d] * a[n, d], n)
            s[t] = Sum(h[t - 1, n, d] ** 2, n, d)
            h[t, n, d] = tanh(Sum(W[n, d, j] * x[t, j], j) + m[t, d]) / (1 + s[t])
    """,
    "numbers everywhere: a parameter, a state, an input": """
        @cell(states="h s", inputs="v")
        def mine(x, v, h, s, W, U, a, b, g):
            g[t] = sigmoid(a[()] * Sum(x[t, j], j) + v[t] * s[t - 1] + b[()])
            s[t] = g[t] * s[t - 1] + v[t]
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + g[t] * Sum(U[n, k] * h[t - 1, k], k) + a[()] * s[t])
    """,
    "one number from step to step": """
        @cell(states="h")
        def mine(x, h, a, b):
            h[t] = tanh(a[()] * x[t] + b[()] * h[t - 1])
    """,
    "values of parameters alone": """
        @cell(states="h")
        def mine(x, h, W, r, g, s, l, u):
            s[n] = exp(-exp(r[n]))
            l[()] = Sum(g[n]**2, n)
            u[n] = s[n] * g[n] / sqrt(1 + l[()])
            h[t, n] = s[n] * h[t - 1, n] + u[n] * tanh(Sum(W[n, j] * x[t, j], j) + g[n])
    """,
    "a matrix of low rank, and one with normed rows": """
        @cell(states="h")
        def mine(x, h, A, C, W, g, M, N, z):
            M[n, m] = Sum(A[n, k] * C[k, m], k)
            z[n] = 1 / sqrt(1 + Sum(W[n, j]**2, j))
            N[n, j] = g[n] * W[n, j] * z[n]
            h[t, n] = tanh(Sum(N[n, j] * x[t, j], j) + Sum(M[n, m] * h[t - 1, m], m))
    """,
    "calls of parameters inside of a step": """
        @cell(states="h")
        def mine(x, h, W, a, b):
            h[t, n] = sigmoid(a[n]) * h[t - 1, n] + softplus(b[n]) * tanh(Sum(W[n, j] * x[t, j], j) + Sum(b[k] * a[k], k))
    """,
    "an input and a state of earlier steps": """
        @cell(states="h")
        def mine(x, h, W, V_, U, R):
            h[t, n] = tanh(
                Sum(W[n, j] * x[t, j], j) + Sum(V_[n, j] * x[t - 1, j], j)
                + Sum(U[n, k] * h[t - 1, k], k) + Sum(R[n, k] * h[t - 3, k], k)
            )
    """,
    "a piece of equations, called twice": """
        from derive.notation import mean, value

        def normed(v, gain):
            a, mu, var = value("a mu var")
            a[t, n] = v
            mu[t] = mean(a[t, n], n)
            var[t] = mean((a[t, n] - mu[t]) ** 2, n)
            return gain[n] * (a[t, n] - mu[t]) / sqrt(var[t] + Rational(1, 8))

        @cell(states="h", gates="f g")
        def mine(x, h, W, U, p, q, f, g):
            s = value("s")
            for r in (f, g):
                s[r][t, n] = normed(Sum(W[r][n, j] * x[t, j], j), p) + normed(Sum(U[r][n, k] * h[t - 1, k], k), q)
            f[t, n] = sigmoid(s[f][t, n])
            g[t, n] = tanh(s[g][t, n])
            h[t, n] = f[t, n] * h[t - 1, n] + (1 - f[t, n]) * g[t, n]
    """,
}
