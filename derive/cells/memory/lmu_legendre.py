"""Legendre memory unit with its matrices, by Euler's rule. Voelker, Kajic & Eliasmith 2019, eq. 2-7; theta in steps."""

from derive.notation import Sum, cell, floor, j, k, n, o, position, t, tanh, value, where


@cell(states="h m_", constants={"theta": 100}, encode_x="e", encode_h="r", encode_m="s", hidden="U", mix="R")
def lmu_legendre(x, h, m_, e, r, s, W, U, R, theta):
    A, sign, u = value("A sign u")
    sign[o] = 1 - 2 * (position(o) - 2 * floor(position(o) / 2))  # (-1)^o
    A[o, k] = (2 * position(o) + 1) * where(position(o) < position(k), -1, -sign[o] * sign[k]) / theta
    u[t] = Sum(e[j] * x[t, j], j) + Sum(r[k] * h[t - 1, k], k) + Sum(s[o] * m_[t - 1, o], o)
    m_[t, o] = m_[t - 1, o] + Sum(A[o, k] * m_[t - 1, k], k) + (2 * position(o) + 1) * sign[o] * u[t] / theta
    h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + Sum(R[n, o] * m_[t, o], o))
