"""MUT1, found by search. Jozefowicz, Zaremba & Sutskever 2015; tanh(x) is tanh(E x), of the size of the state."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", embed="E", update="Z", reset="R", reset_h="S", cand="U")
def mut1(x, h, E, Z, R, S, U, bz, br, bh, z, r, g):
    z[t, n] = sigmoid(Sum(Z[n, j] * x[t, j], j) + bz[n])
    r[t, n] = sigmoid(Sum(R[n, j] * x[t, j], j) + Sum(S[n, k] * h[t - 1, k], k) + br[n])
    g[t, n] = tanh(Sum(U[n, k] * r[t, k] * h[t - 1, k], k) + tanh(Sum(E[n, j] * x[t, j], j)) + bh[n])
    h[t, n] = g[t, n] * z[t, n] + h[t - 1, n] * (1 - z[t, n])
