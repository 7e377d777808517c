"""Both directions of the last layer, as a head or a loss reads them: p(t) = x(t), and a state that says nothing."""

from derive.notation import cell, j, t


@cell(states="s", output="p")
def joined(x, s, p):
    p[t, j] = x[t, j]
    s[t] = s[t - 1]
