"""LSTM, vignette "LSTM units" of the R package rnn (Fichou and Quast).

Source: `vignettes/LSTM_units.Rmd` of the repository bquast/rnn. The vignette numbers its errors 1 to 26; they are d1 to
d26 here, d1 being the direct derivative of the loss. Its W multiplies h(t-1) and its U multiplies x(t), from the right,
so that its matrices are the transposes of ours: the cell below is the vignette's. Derivatives of sigmoid and tanh are
taken at the saved outputs, as its pictures say.
"""

from derive.audit import Sum, T, cell, derivation, j, k, n, sigmoid, t, tanh


@cell(states="h C", gates="f i g o")
def lstm_units(x, h, C, W, U, z, f, i, g, o):
    for q in (f, i, g, o):
        z[q][t, n] = Sum(h[t - 1, k] * W[q][k, n], k) + Sum(x[t, j] * U[q][j, n], j)
    f[t, n] = sigmoid(z[f][t, n])
    i[t, n] = sigmoid(z[i][t, n])
    g[t, n] = tanh(z[g][t, n])
    o[t, n] = sigmoid(z[o][t, n])
    C[t, n] = C[t - 1, n] * f[t, n] + i[t, n] * g[t, n]
    h[t, n] = tanh(C[t, n]) * o[t, n]


@derivation(lstm_units, d3="dL/dh", d8="dL/dC", d13="dL/dz_o", d14="dL/dz_g", d15="dL/dz_i", d16="dL/dz_f", d26="dL/dx")
def vignette(x, h, C, W, U, f, i, g, o, d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11, d12, d13, d14, d15, d16,
             d17, d18, d19, d20, d21, d22, d23, d24, d25, d26, dW, dU):  # fmt: skip
    # What the step after this one hands back: d25 to h, d11 to C.
    d2[t, n] = d25[t + 1, n]
    d4[t, n] = d11[t + 1, n]

    d3[t, n] = d1[t, n] + d2[t, n]
    d5[t, n] = d3[t, n] * o[t, n]
    d6[t, n] = d3[t, n] * tanh(C[t, n])
    d7[t, n] = d5[t, n] * (1 - tanh(C[t, n]) ** 2)
    d8[t, n] = d7[t, n] * d4[t, n]
    d9[t, n] = d8[t, n] * i[t, n]
    d10[t, n] = d8[t, n] * g[t, n]
    d11[t, n] = d8[t, n] * f[t, n]
    d12[t, n] = d8[t, n] * C[t - 1, n]

    d13[t, n] = d6[t, n] * o[t, n] * (1 - o[t, n])
    d14[t, n] = d9[t, n] * (1 - g[t, n] ** 2)
    d15[t, n] = d10[t, n] * i[t, n] * (1 - i[t, n])
    d16[t, n] = d12[t, n] * f[t, n] * (1 - f[t, n])

    d17[t, j] = Sum(d13[t, k] * U[o][j, k], k)
    d19[t, j] = Sum(d14[t, k] * U[g][j, k], k)
    d21[t, j] = Sum(d15[t, k] * U[i][j, k], k)
    d23[t, n] = Sum(d16[t, k] * W[f][n, k], k)
    d18[t, n] = Sum(d13[t, k] * W[o][n, k], k)
    d20[t, n] = Sum(d14[t, k] * W[g][n, k], k)
    d22[t, n] = Sum(d16[t, k] * W[i][n, k], k)
    d24[t, n] = Sum(d16[t, k] * W[f][n, k], k)
    d25[t, n] = d18[t, n] + d20[t, n] + d22[t, n] + d24[t, n]
    d26[t, j] = d17[t, j] + d19[t, j] + d21[t, j] + d23[t, j]

    dW[f][k, n] = Sum(h[t - 1, k] * d16[t, n], (t, 1, T))
    dU[f][j, n] = Sum(x[t, j] * d16[t, n], (t, 1, T))
    dW[i][k, n] = Sum(h[t - 1, k] * d15[t, n], (t, 1, T))
    dU[i][j, n] = Sum(x[t, j] * d15[t, n], (t, 1, T))
    dW[g][k, n] = Sum(h[t - 1, k] * d14[t, n], (t, 1, T))
    dU[g][j, n] = Sum(x[t, j] * d14[t, n], (t, 1, T))
    dW[o][k, n] = Sum(h[t - 1, k] * d13[t, n], (t, 1, T))
    dU[o][j, n] = Sum(x[t, j] * d13[t, n], (t, 1, T))
