"""AntisymmetricRNN: (M - M' - gamma) h, gamma = 1/100, epsilon = 1/10. Chang, Chen, Haber & Chi 2019, section 3."""

from derive.notation import Sum, cell, j, k, n, t, tanh


@cell(states="h", weight_ih="V", inner="M")
def antisymmetric(x, h, V, M, b, s):
    s[t, n] = Sum(M[n, k] * h[t - 1, k], k) - Sum(M[k, n] * h[t - 1, k], k) - h[t - 1, n] / 100
    h[t, n] = h[t - 1, n] + tanh(s[t, n] + Sum(V[n, j] * x[t, j], j) + b[n]) / 10
