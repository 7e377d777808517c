"""The cell that architecture search found. Zoph & Le 2017, figure 8, as its authors' code in TensorFlow has it."""

from derive.notation import Sum, cell, j, k, n, relu, sigmoid, t, tanh


@cell(states="h c", gates="a0 a1 a2 a3 a4 a5 a6 a7")
def nas(x, h, c, W, U, u, v, a0, a1, a2, a3, a4, a5, a6, a7):
    for q in (a0, a1, a2, a3, a4, a5, a6, a7):
        u[q][t, n] = Sum(W[q][n, j] * x[t, j], j)
        v[q][t, n] = Sum(U[q][n, k] * h[t - 1, k], k)
    a0[t, n] = tanh(sigmoid(u[a0][t, n] + v[a0][t, n]) * relu(u[a1][t, n] + v[a1][t, n]))
    a2[t, n] = tanh(sigmoid(u[a2][t, n] + v[a2][t, n]) + relu(u[a3][t, n] * v[a3][t, n]))
    a4[t, n] = tanh(tanh(u[a4][t, n] + v[a4][t, n]) * sigmoid(u[a5][t, n] + v[a5][t, n]))
    a6[t, n] = sigmoid(tanh(u[a6][t, n] + v[a6][t, n]) + sigmoid(u[a7][t, n] + v[a7][t, n]))
    c[t, n] = tanh(a0[t, n] + c[t - 1, n]) * a2[t, n]
    h[t, n] = tanh(c[t, n] * tanh(a4[t, n] + a6[t, n]))
