"""AntisymmetricRNN with a gate z. Chang, Chen, Haber & Chi 2019, section 3."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="h", gates="g z", weight_ih="V", inner="M", constants={"gamma": 0.01, "epsilon": 0.1})
def antisymmetric_gated(x, h, V, M, b, g, z, s, gamma, epsilon):
    s[t, n] = Sum(M[n, k] * h[t - 1, k], k) - Sum(M[k, n] * h[t - 1, k], k) - gamma * h[t - 1, n]
    g[t, n] = tanh(s[t, n] + Sum(V[g][n, j] * x[t, j], j) + b[g][n])
    z[t, n] = sigmoid(s[t, n] + Sum(V[z][n, j] * x[t, j], j) + b[z][n])
    h[t, n] = h[t - 1, n] + epsilon * z[t, n] * g[t, n]
