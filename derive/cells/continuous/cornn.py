"""Coupled oscillatory RNN, velocities z; dt = 1/10, gamma = 1, epsilon = 2. Rusch & Mishra 2021, eq. 3."""

from derive.notation import Sum, cell, j, k, n, t, tanh


@cell(states="y z", position="W", velocity="W_z", weight_ih="V")
def cornn(x, y, z, W, W_z, V, b, a):
    a[t, n] = tanh(Sum(W[n, k] * y[t - 1, k], k) + Sum(W_z[n, k] * z[t - 1, k], k) + Sum(V[n, j] * x[t, j], j) + b[n])
    z[t, n] = z[t - 1, n] + (a[t, n] - y[t - 1, n] - 2 * z[t - 1, n]) / 10
    y[t, n] = y[t - 1, n] + z[t, n] / 10
