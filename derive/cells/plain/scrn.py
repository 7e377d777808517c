"""Structurally constrained network: slow context units s beside h. Mikolov, Joulin, Chopra, Mathieu & Ranzato 2015, section 3."""

from derive.notation import Sum, cell, j, k, m, n, sigmoid, t


@cell(states="h s", context="B_", mix="P", hidden="A", recurrent="R", constants={"alpha": 0.95})
def scrn(x, h, s, A, B_, P, R, alpha):
    s[t, m] = (1 - alpha) * Sum(B_[m, j] * x[t, j], j) + alpha * s[t - 1, m]
    h[t, n] = sigmoid(Sum(P[n, m] * s[t, m], m) + Sum(A[n, j] * x[t, j], j) + Sum(R[n, k] * h[t - 1, k], k))
