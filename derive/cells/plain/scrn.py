"""Structurally constrained network: slow context units s beside h. Mikolov, Joulin, Chopra, Mathieu & Ranzato 2015, section 3."""

from derive.notation import Rational, Sum, cell, j, k, m, n, sigmoid, t


@cell(states="h s", context="B_", mix="P", hidden="A", recurrent="R")
def scrn(x, h, s, A, B_, P, R):
    s[t, m] = Rational(1, 20) * Sum(B_[m, j] * x[t, j], j) + Rational(19, 20) * s[t - 1, m]
    h[t, n] = sigmoid(Sum(P[n, m] * s[t, m], m) + Sum(A[n, j] * x[t, j], j) + Sum(R[n, k] * h[t - 1, k], k))
