"""UnICORNN: independent undamped oscillators. Rusch & Mishra 2021 (ICML), eq. 6."""

from derive.notation import Sum, cell, j, n, sigmoid, t, tanh


@cell(states="y z", weight_ih="V", speed="c", constants={"dt": 0.125, "alpha": 2})
def unicornn(x, y, z, V, w, b, c, a, s, dt, alpha):
    s[n] = dt * sigmoid(c[n])
    a[t, n] = tanh(w[n] * y[t - 1, n] + Sum(V[n, j] * x[t, j], j) + b[n]) + alpha * y[t - 1, n]
    z[t, n] = z[t - 1, n] - s[n] * a[t, n]
    y[t, n] = y[t - 1, n] + s[n] * z[t, n]
