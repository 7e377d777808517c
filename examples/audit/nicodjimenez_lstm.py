"""LSTM of the notes nicodjimenez/lstm: right, but another cell (h = o s without tanh) and another loss (first unit only).

Source: `lstm.py` of the repository nicodjimenez/lstm. Its s is c here; its weights act on x(t) and h(t-1) written one
under the other, so that each of its matrices is a block W (for x) beside a block U (for h), and dwi, dwf, ... are two
equations each. `diff_h` is its top_diff_h, the sum of the direct derivative and of what comes back from the next step.
"""

from derive.audit import Sum, T, derivation, j, k, n, t


@derivation("lstm_toy", diff_h="dL/dh", ds="dL/dc", input_diff="dL/dz")
def notes(x, h, c, W, U, i, f, g, o, label_diff, diff_h, diff_s, ds, do, di, dg, df, input_diff, dW, dU, db, dx,
          bottom_diff_h):  # fmt: skip
    diff_h[t, n] = label_diff[t, n] + bottom_diff_h[t + 1, n]
    diff_s[t, n] = ds[t + 1, n] * f[t + 1, n]

    ds[t, n] = o[t, n] * diff_h[t, n] + diff_s[t, n]
    do[t, n] = c[t, n] * diff_h[t, n]
    di[t, n] = g[t, n] * ds[t, n]
    dg[t, n] = i[t, n] * ds[t, n]
    df[t, n] = c[t - 1, n] * ds[t, n]

    input_diff[i][t, n] = (1 - i[t, n]) * i[t, n] * di[t, n]
    input_diff[f][t, n] = (1 - f[t, n]) * f[t, n] * df[t, n]
    input_diff[o][t, n] = (1 - o[t, n]) * o[t, n] * do[t, n]
    input_diff[g][t, n] = (1 - g[t, n] ** 2) * dg[t, n]

    for q in (i, f, o, g):
        dW[q][n, j] = Sum(input_diff[q][t, n] * x[t, j], (t, 1, T))
        dU[q][n, k] = Sum(input_diff[q][t, n] * h[t - 1, k], (t, 1, T))
        db[q][n] = Sum(input_diff[q][t, n], (t, 1, T))
    dx[t, j] = sum(Sum(W[q][k, j] * input_diff[q][t, k], k) for q in (i, f, o, g))
    bottom_diff_h[t, n] = sum(Sum(U[q][k, n] * input_diff[q][t, k], k) for q in (i, f, o, g))
