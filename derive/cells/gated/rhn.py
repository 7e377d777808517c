"""Recurrent highway network of depth three, carry and transform gate coupled. Zilly, Srivastava, Koutnik & Schmidhuber 2017, eqs. 6-9."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="g q", depth_1="R1", depth_2="R2", depth_3="R3", bias_1="b1", bias_2="b2", bias_3="b3")
def rhn(x, h, W, R1, R2, R3, b1, b2, b3, g1, q1, s1, g2, q2, s2, g, q):
    g1[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(R1[g][n, k] * h[t - 1, k], k) + b1[g][n])
    q1[t, n] = sigmoid(Sum(W[q][n, j] * x[t, j], j) + Sum(R1[q][n, k] * h[t - 1, k], k) + b1[q][n])
    s1[t, n] = g1[t, n] * q1[t, n] + h[t - 1, n] * (1 - q1[t, n])
    g2[t, n] = tanh(Sum(R2[g][n, k] * s1[t, k], k) + b2[g][n])
    q2[t, n] = sigmoid(Sum(R2[q][n, k] * s1[t, k], k) + b2[q][n])
    s2[t, n] = g2[t, n] * q2[t, n] + s1[t, n] * (1 - q2[t, n])
    g[t, n] = tanh(Sum(R3[g][n, k] * s2[t, k], k) + b3[g][n])
    q[t, n] = sigmoid(Sum(R3[q][n, k] * s2[t, k], k) + b3[q][n])
    h[t, n] = g[t, n] * q[t, n] + s2[t, n] * (1 - q[t, n])
