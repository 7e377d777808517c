"""Long expressive memory. Rusch, Mishra, Erichson & Mahoney 2022, eq. 3."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


@cell(states="y z", gates="p q c", weight_hh="W", weight_ih="V", weight_hh_y="W_y", weight_ih_y="V_y", bias_y="d",
      constants={"dt": 1})
def lem(x, y, z, W, V, b, W_y, V_y, d, p, q, c, dt):
    p[t, n] = dt * sigmoid(Sum(W[p][n, k] * y[t - 1, k], k) + Sum(V[p][n, j] * x[t, j], j) + b[p][n])
    q[t, n] = dt * sigmoid(Sum(W[q][n, k] * y[t - 1, k], k) + Sum(V[q][n, j] * x[t, j], j) + b[q][n])
    c[t, n] = tanh(Sum(W[c][n, k] * y[t - 1, k], k) + Sum(V[c][n, j] * x[t, j], j) + b[c][n])
    z[t, n] = (1 - p[t, n]) * z[t - 1, n] + p[t, n] * c[t, n]
    y[t, n] = (1 - q[t, n]) * y[t - 1, n] + q[t, n] * tanh(Sum(W_y[n, k] * z[t, k], k) + Sum(V_y[n, j] * x[t, j], j) + d[n])
