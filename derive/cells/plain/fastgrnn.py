"""FastGRNN, its matrices of low rank. Kusupati et al. 2018, section 3.2; zeta and nu through a sigmoid."""

from derive.notation import Sum, cell, j, k, m, n, o, sigmoid, t, tanh


@cell(states="h", gates="z g", left_in="A", right_in="C", left="P", right="R")
def fastgrnn(x, h, A, C, P, R, b, zeta, nu, a, z, g):
    a[t, n] = Sum(A[n, m] * Sum(C[m, j] * x[t, j], j), m) + Sum(P[n, o] * Sum(R[o, k] * h[t - 1, k], k), o)
    z[t, n] = sigmoid(a[t, n] + b[z][n])
    g[t, n] = tanh(a[t, n] + b[g][n])
    h[t, n] = (sigmoid(zeta[()]) * (1 - z[t, n]) + sigmoid(nu[()])) * g[t, n] + z[t, n] * h[t - 1, n]
