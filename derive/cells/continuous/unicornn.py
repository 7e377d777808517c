"""UnICORNN: independent undamped oscillators, dt = 1/8, alpha = 2. Rusch & Mishra 2021 (ICML), eq. 6."""

from derive.notation import Sum, cell, j, n, sigmoid, t, tanh


@cell(states="y z", weight_ih="V", speed="c")
def unicornn(x, y, z, V, w, b, c, a):
    a[t, n] = tanh(w[n] * y[t - 1, n] + Sum(V[n, j] * x[t, j], j) + b[n]) + 2 * y[t - 1, n]
    z[t, n] = z[t - 1, n] - sigmoid(c[n]) / 8 * a[t, n]
    y[t, n] = y[t - 1, n] + sigmoid(c[n]) / 8 * z[t, n]
