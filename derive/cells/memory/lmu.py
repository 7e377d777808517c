"""Legendre memory unit, its matrices learned. Voelker, Kajic & Eliasmith 2019; one memory for all inputs together."""

from derive.notation import Sum, cell, j, k, m, n, o, t, tanh


@cell(states="h m_", encode_x="E", encode_h="K", encode_m="G", memory="A", memory_in="C", hidden="U", mix="R")
def lmu(x, h, m_, E, K, G, A, C, W, U, R, u):
    u[t, m] = Sum(E[m, j] * x[t, j], j) + Sum(K[m, k] * h[t - 1, k], k) + Sum(G[m, o] * m_[t - 1, o], o)
    m_[t, o] = Sum(A[o, k] * m_[t - 1, k], k) + Sum(C[o, m] * u[t, m], m)
    h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + Sum(R[n, o] * m_[t, o], o))
