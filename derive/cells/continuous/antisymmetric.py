"""AntisymmetricRNN: (M - M' - gamma) h. Chang, Chen, Haber & Chi 2019, section 3."""

from derive.notation import Sum, cell, j, k, n, t, tanh


@cell(states="h", weight_ih="V", inner="M", constants={"gamma": 0.01, "epsilon": 0.1})
def antisymmetric(x, h, V, M, b, s, gamma, epsilon):
    s[t, n] = Sum(M[n, k] * h[t - 1, k], k) - Sum(M[k, n] * h[t - 1, k], k) - gamma * h[t - 1, n]
    h[t, n] = h[t - 1, n] + epsilon * tanh(s[t, n] + Sum(V[n, j] * x[t, j], j) + b[n])
