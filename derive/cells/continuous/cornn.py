"""Coupled oscillatory RNN, velocities z. Rusch & Mishra 2021, eq. 3."""

from derive.notation import Sum, cell, j, k, n, t, tanh


@cell(states="y z", position="W", velocity="W_z", weight_ih="V", constants={"dt": 0.1, "gamma": 1, "epsilon": 2})
def cornn(x, y, z, W, W_z, V, b, a, dt, gamma, epsilon):
    a[t, n] = tanh(Sum(W[n, k] * y[t - 1, k], k) + Sum(W_z[n, k] * z[t - 1, k], k) + Sum(V[n, j] * x[t, j], j) + b[n])
    z[t, n] = z[t - 1, n] + dt * (a[t, n] - gamma * y[t - 1, n] - epsilon * z[t - 1, n])
    y[t, n] = y[t - 1, n] + dt * z[t, n]
