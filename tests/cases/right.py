"""Cells whose names or spellings are out of the ordinary, and the spellings that messages suggest: all have to be right."""

RIGHT = {
    "Greek letters": """
        @cell(states="α β", gates="γ φ", ρ_1="κ")
        def γρεεκ(ξ, α, β, W, U, κ, λ, γ, φ):
            γ[t, n] = tanh(Sum(W[γ][n, j] * ξ[t, j], j) + Sum(U[γ][n, k] * α[t - 1, k], k) + λ[n])
            φ[t, n] = sigmoid(Sum(W[φ][n, j] * ξ[t, j], j) + Sum(U[φ][n, k] * α[t - 1, k], k))
            β[t, n] = φ[t, n] * β[t - 1, n] + γ[t, n]
            α[t, n] = tanh(κ[n] * β[t, n])
    """,
    "three inputs, the first not called x, one behind the states, one with a public name": """
        @cell(states="h", mask="m")
        def mine(μ, m, h, W, U, A, v):
            h[t, n] = m[t, n] * h[t - 1, n] + tanh(Sum(W[n, j] * μ[t, j], j) + Sum(A[n, k] * v[t, k], k)) * Sum(U[i] * m[t, i], i)
    """,
    "a head that reads an input of its own": """
        @cell(states="h")
        def lower(x, h, W, b):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + b[n]) + h[t - 1, n] / 2
        @head()
        def upper(h, v, p, A, Q):
            p[t, o] = Sum(A[o, n] * h[t, n], n) + Sum(Q[o, k] * v[t, k], k)
        whole = lower.then(upper, "whole")
    """,
    "an input of the size of the units": """
        @cell(states="h")
        def mine(x, h, W, U):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k)) + x[t, n] / 2
    """,
    "a softmax over units, a cumulative sum, positions of units": """
        from derive.notation.pieces import cumsum, logsumexp, softmax
        @cell(states="h")
        def mine(x, h, W, U, p, r, l):
            p[t, n] = softmax(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k), n)
            l[t] = logsumexp(2 * p[t, n], n)
            r[t, n] = cumsum(p[t, n] * h[t - 1, n], n)
            h[t, n] = tanh(r[t, n] * (position(n) + 1) / 4 - l[t]) + p[t, n]
    """,
    "a cell that keeps what its gradients do not need": """
        @cell(states="h", keep="z")
        def mine(x, h, W, U, z):
            z[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k)
            h[t, n] = tanh(z[t, n])
    """,
    "the output is called y": """
        @cell(states="y")
        def mine(x, y, W):
            y[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + y[t - 1, n])
    """,
    "the output is called L": """
        @cell(states="L")
        def mine(x, L, W):
            L[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + L[t - 1, n])
    """,
    "the output is called x and the input out": """
        @cell(states="x tape")
        def mine(out, x, tape, W):
            tape[t, n] = tape[t - 1, n] / 2 + Sum(W[n, j] * out[t, j], j)
            x[t, n] = tanh(tape[t, n] + x[t - 1, n])
    """,
    "gates of two sizes": """
        @cell(states="h c", gates="g o", mix="R")
        def mine(x, h, c, W, R, g, o):
            g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j))
            c[t, n] = c[t - 1, n] / 2 + g[t, n]
            o[t, n] = sigmoid(Sum(W[o][n, j] * x[t, j], j))
            h[t, n] = o[t, n] * tanh(Sum(R[n, k] * c[t, k], k)) + h[t - 1, n] / 2
    """,
    "indices of SymPy, and a size that is a word of C": """
        p, s, nan = sympy.symbols("p input nan")
        q = sympy.Symbol("p", integer=True)  # the same index, whatever SymPy knows of it
        @cell(states="h")
        def mine(x, h, W, A, U, e, f):
            e[t, s] = tanh(Sum(W[s, p] * x[t, q], q))
            f[t, nan] = tanh(Sum(A[nan, p] * x[t, p], p))
            h[t, n] = Sum(U[n, s] * e[t, s], s) + h[t - 1, n] * Sum(f[t, nan], nan)
    """,
    "SymPy's own sum to the size of its index": """
        @cell(states="h")
        def mine(x, h, W, U):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + sympy.Sum(U[n, k] * h[t - 1, k], (k, 1, H)))
    """,
    "numbers of every kind": """
        from decimal import Decimal
        from fractions import Fraction
        @cell(states="h c")
        def mine(x, h, c, W, b):
            c[t, n] = Fraction(1, 3) * c[t - 1, n] + Decimal("0.1") * Sum(W[n, j] * x[t, j], j) + sympy.pi * b[n]
            h[t, n] = tanh(c[t, n] * numpy.float32(0.5)) + (1 + h[t - 1, n] ** 2.0) ** 0.5 / sympy.sqrt(7) - 1 / 3
    """,
    "sizes in formulas": """
        @cell(states="h")
        def mine(x, h, W, s):
            s[t] = Sum(h[t - 1, n], n) / sqrt(H)
            h[t, n] = Sum(W[n, j] * x[t, j], j) / H**2 + sigmoid(s[t]) * log(H + 1) / (2 * H + sqrt(H))
    """,
    "a product of two numbers of a row beside a vector": """
        @cell(states="h")
        def mine(x, h, W, p, q):
            p[t] = Sum(h[t - 1, n], n) / H
            q[t] = Sum(x[t, j] ** 2, j)
            h[t, n] = h[t - 1, n] / 2 + p[t] * q[t] - tanh(Sum(W[n, j] * x[t, j], j))
    """,
    "functions that cells share": """
        def gate(z, W, x):
            z[t, n] = sigmoid(Sum(W[n, j] * x[t, j], j))

        @cell(states="h")
        def mine(x, h, W, A, z):
            gate(z, A, x)
            h[t, n] = z[t, n] * h[t - 1, n] + Sum(W[n, j] * x[t, j], j)
    """,
    "states in another order, one of them read at t alone": """
        @cell(states="h c")
        def mine(x, h, c, W):
            h[t, n] = tanh(c[t, n]) + h[t - 1, n] / 2
            c[t, n] = Sum(W[n, j] * x[t, j], j)
    """,
    "a constant": """
        @cell(states="h c")
        def mine(x, h, c, W):
            c[t, n] = 1
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + c[t - 1, n]
    """,
    "an output that does not depend on the input": """
        @cell(states="h c")
        def mine(x, h, c, W, U):
            c[t, n] = Sum(W[n, j] * x[t, j], j)
            h[t, n] = tanh(Sum(U[n, k] * h[t - 1, k], k))
    """,
    "suggested: a state of size one": """
        @cell(states="h s")
        def mine(x, h, s, W, p, q):
            s[t, m] = s[t - 1, m] / 2 + Sum(p[m, j] * x[t, j], j)
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(q[n, m] * s[t, m], m)) + h[t - 1, n] / 2
    """,
    "suggested: an input and a state kept for a step more": """
        @cell(states="h p g")
        def mine(x, h, p, g, W, A):
            p[t, j] = x[t, j]
            g[t, n] = h[t - 1, n]
            h[t, n] = tanh(Sum(W[n, j] * p[t - 1, j], j) + Sum(A[n, j] * x[t, j], j)) + g[t - 1, n] / 2
    """,
    "suggested: max by relu, and a power by its logarithm": """
        @cell(states="h")
        def mine(x, h, W, l, z):
            z[t, n] = Sum(W[n, j] * x[t, j], j)
            l[t, n] = log(1 + h[t - 1, n] ** 2)
            h[t, n] = relu(z[t, n] - h[t - 1, n]) + h[t - 1, n] + exp(0.1 * l[t, n])
    """,
    "a gate without the input beside one with it": """
        @cell(states="h c")
        def mine(x, h, c, W, A, R, D, b, a, g):
            a[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(A[n, k] * h[t - 1, k], k) + Sum(R[n, m] * c[t - 1, m], m)
            g[t, n] = Sum(D[n, m] * c[t - 1, m], m) + b[n]
            h[t, n] = tanh(a[t, n]) * sigmoid(g[t, n])
            c[t, m] = tanh(c[t - 1, m])
    """,
    "three sums of two operands each": """
        @cell(states="h c", gates="i f g")
        def mine(x, h, c, W, U, R, b, z, i, f, g):
            z[i][t, n] = Sum(W[i][n, j] * x[t, j], j) + Sum(U[i][n, k] * h[t - 1, k], k)
            z[f][t, n] = Sum(W[f][n, j] * x[t, j], j) + Sum(R[f][n, m] * c[t - 1, m], m)
            z[g][t, n] = Sum(U[g][n, k] * h[t - 1, k], k) + Sum(R[g][n, m] * c[t - 1, m], m) + b[n]
            i[t, n] = sigmoid(z[i][t, n])
            f[t, n] = sigmoid(z[f][t, n])
            g[t, n] = tanh(z[g][t, n])
            h[t, n] = i[t, n] * h[t - 1, n] + f[t, n] * g[t, n]
            c[t, m] = tanh(c[t - 1, m])
    """,
    "a matrix read both ways, backwards beside another": """
        @cell(states="h s u")
        def mine(x, h, s, u, M, A, D, E, F, a, e):
            a[t, o] = x[t, o] + Sum(M[o, k] * Sum(A[k, m] * u[t - 1, m], m), k)
            e[t, o] = Sum(F[o, k] * h[t - 1, k], k) + x[t, o]
            u[t, n] = Sum(D[n, m] * a[t, m], m) + Sum(E[n, o] * e[t, o], o)
            h[t, k] = tanh(h[t - 1, k])
            s[t, i] = Sum(M[m, i] * a[t, m], m)
    """,
    "a logarithm whose draws are mostly NaN": """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = log(Sum(W[n, j] * x[t, j], j)) + h[t - 1, n]
    """,
    "the hundredth power of what may be negative": """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = tanh(h[t - 1, n]) ** 100 + Sum(W[n, j] * x[t, j], j)
    """,
    "fractions whose halves no float32 holds": """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Rational(10**40 + 1, 3 * 10**40) * h[t - 1, n] + Rational(3**300, 2**475) * Sum(W[n, j] * x[t, j], j)
    """,
    "a head with sizes that the cell has too": """
        @cell(states="h")
        def unit(x, h, W, E, e):
            e[t, m] = tanh(Sum(E[m, j] * x[t, j], j))
            h[t, n] = tanh(Sum(W[n, m] * e[t, m], m) + h[t - 1, n])

        @head()
        def deep(h, A, C, s, p):
            s[t, m] = tanh(Sum(A[m, n] * h[t, n], n))
            p[t, i] = Sum(C[i, m] * s[t, m], m)

        mine = unit.then(deep, "mine")
    """,
    "a gradient that the caller leaves out, and others read": """
        @cell(states="e u", inputs="v")
        def mine(x, v, e, u, W, tau):
            e[t, n] = e[t - 1, n] * (1 - e[t - 1, n]) / 4 - Sum(e[t - 1, k] ** 2, k) * tau[n] + v[t, n] * e[t - 1, n]
            u[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(e[t, k], k) + u[t - 1, n])
    """,
}
