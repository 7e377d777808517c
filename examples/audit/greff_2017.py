"""LSTM with peepholes. Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber 2017, "LSTM: A Search Space Odyssey", BPTT.

Source: section II.B of the paper (arXiv:1503.04069). The paper itself was not at hand: the deltas follow public notes
that quote it, the sums over time are the ones that it is known for, with their limits 0, T-1 and T. Its R is U, its y
is h, its block input z is g here, and its deltas of gates are taken before the nonlinearity. Its first step is read as
t = 1, so that y(0) and c(0) are the initial state.
"""

from derive.audit import Sum, T, derivation, j, k, n, t, tanh


@derivation("lstm_peephole", y="h", R="U", delta="dL/dnet", dy="dL/dh", dc="dL/dc", dx="dL/dx", dR="dL/dU")
def odyssey(x, y, c, W, R, p, i, f, g, o, Delta, delta, dy, dc, dx, dW, dR, db, dp):
    dy[t, n] = Delta[t, n] + sum(Sum(R[q][k, n] * delta[q][t + 1, k], k) for q in (g, i, f, o))
    delta[o][t, n] = dy[t, n] * tanh(c[t, n]) * o[t, n] * (1 - o[t, n])
    dc[t, n] = (
        dy[t, n] * o[t, n] * (1 - tanh(c[t, n]) ** 2)
        + p[o][n] * delta[o][t, n]
        + p[i][n] * delta[i][t + 1, n]
        + p[f][n] * delta[f][t + 1, n]
        + dc[t + 1, n] * f[t + 1, n]
    )
    delta[f][t, n] = dc[t, n] * c[t - 1, n] * f[t, n] * (1 - f[t, n])
    delta[i][t, n] = dc[t, n] * g[t, n] * i[t, n] * (1 - i[t, n])
    delta[g][t, n] = dc[t, n] * i[t, n] * (1 - g[t, n] ** 2)
    dx[t, j] = sum(Sum(W[q][k, j] * delta[q][t, k], k) for q in (g, i, f, o))

    for q in (g, i, f, o):
        dW[q][n, j] = Sum(delta[q][t, n] * x[t, j], (t, 0, T))
        dR[q][n, k] = Sum(delta[q][t + 1, n] * y[t, k], (t, 0, T - 1))
        db[q][n] = Sum(delta[q][t, n], (t, 0, T))
    dp[i][n] = Sum(c[t, n] * delta[i][t + 1, n], (t, 0, T - 1))
    dp[f][n] = Sum(c[t, n] * delta[f][t + 1, n], (t, 0, T - 1))
    dp[o][n] = Sum(c[t, n] * delta[o][t, n], (t, 0, T))
