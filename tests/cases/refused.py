"""Cells and losses that are refused when they are read: what a person wrote, and what the message must say.

The line that the message has to name is marked by `#!`; where no line is at fault there is no mark.
"""

REFUSED = {
    "a parameter that cancels": (
        """
        @cell(states="h", gates="f g")
        def mine(x, h, W, b, f, g):
            f[t, n] = sigmoid(Sum(W[f][n, j] * x[t, j], j) + b[f][n] - b[f][n])
            g[t, n] = sigmoid(Sum(W[g][n, j] * x[t, j], j) + b[g][n])
            h[t, n] = f[t, n] * h[t - 1, n] + g[t, n]
        """,
        ("b[f] is read, and stands in no equation", "it cancels"),
    ),
    # -- time ----------------------------------------------------------------------------------------------------------
    "this step is read where the step before is meant": (
        """
        @cell(states="h", gates="r z")
        def mine(x, h, W, U, a, r, z):
            for q in (r, z):
                a[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t, k], k)  #!
            r[t, n] = sigmoid(a[r][t, n])
            z[t, n] = sigmoid(a[z][t, n])
            h[t, n] = r[t, n] * h[t - 1, n] + z[t, n]
        """,
        (
            "a_r, a_z, r, z, h depend on each other at the same time step",
            "write h[t - 1, k]",
            "its value of the step before",
        ),
    ),
    "a cycle of values": (
        """
        @cell(states="h")
        def mine(x, h, W, a, b):
            a[t, n] = b[t, n] + Sum(W[n, j] * x[t, j], j)  #!
            b[t, n] = tanh(a[t, n])
            h[t, n] = b[t, n]
        """,
        ("a, b depend on each other at the same time step", "name one of them in states="),
    ),
    "the number of steps in a formula": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j) / T  #!
        """,
        ("the number of steps T stands in a formula",),
    ),
    "another symbol that is called t": (
        """
        time = sympy.Symbol("t")
        @cell(states="h")
        def mine(x, h, W):
            h[time, n] = Sum(W[n, j] * x[time, j], j)  #!
        """,
        ("an index called t, which has a meaning of its own", "time is the t of derive.notation"),
    ),
    # -- gates, states and the input -----------------------------------------------------------------------------------
    "a gate that is never assigned": (
        """
        @cell(states="h", gates="g o")
        def mine(x, h, W, g, o):
            g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + Sum(W[o][n, j] * x[t, j], j))
            h[t, n] = o[t, n] * g[t, n]  #!
        """,
        ("the gate o is read, and never assigned; write o[t, n] = ...",),
    ),
    "a gate that is not listed": (
        """
        @cell(states="h", gates="g")
        def mine(x, h, W, g, o):
            g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j))
            o[t, n] = sigmoid(Sum(W[o][n, j] * x[t, j], j))  #!
            h[t, n] = o[t, n] * g[t, n]
        """,
        ("W[o] is of a gate that the decorator does not list", 'gates="g o"', "W_o"),
    ),
    "a state that is a gate": (
        """
        @cell(states="h g", gates="g")
        def mine(x, h, W, g):
            g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j) + g[t - 1, n])
            h[t, n] = g[t, n]
        """,
        ("g is a state and a gate in the decorator", "kept in a state of its own, g_[t, n] = g[t, n]"),
    ),
    "a gate that is listed twice": (
        """
        @cell(states="h", gates="g g")
        def mine(x, h, W, g):
            g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j))
            h[t, n] = g[t, n]
        """,
        ("g stands twice in gates",),
    ),
    "a value that is never assigned": (
        """
        @cell(states="h c")
        def mine(x, h, c, W, o):
            c[t, n] = c[t - 1, n] / 2 + Sum(W[n, j] * x[t, j], j)
            h[t, n] = o[t, n] * tanh(c[t, n])  #!
        """,
        (
            "o is read with time, and no equation defines it; write o[t, n] = ..., or leave the time away where o is a parameter",
            "If it is an input that the caller gives, put it before h among the arguments",
            'inputs="x o"',
        ),
    ),
    "a value whose equation has the name of another": (
        """
        @cell(states="h")
        def mine(x, h, W, g, q):
            q[t, n] = tanh(Sum(W[n, j] * x[t, j], j))
            h[t, n] = g[t, n] + h[t - 1, n] / 2  #!
        """,
        ("write g[t, n] = ...; q is assigned and never read, is one of the two meant for the other?",),
    ),
    "a member of a family that is never assigned": (
        """
        @cell(states="h")
        def mine(x, h, W, z, a, o):
            z[a][t, n] = Sum(W[n, j] * x[t, j], j)
            h[t, n] = sigmoid(z[o][t, n]) * tanh(z[a][t, n])  #!
        """,
        ("z[o] is read with time, and no equation defines it; write z[o][t, n] = ...",),
    ),
    "an input that is assigned": (
        """
        @cell(states="h", inputs="x g")
        def mine(x, h, W, g):
            g[t, n] = tanh(Sum(W[n, j] * x[t, j], j))  #!
            h[t, n] = g[t, n] + h[t - 1, n] / 2
        """,
        ("g is assigned, and the decorator names it in inputs=",),
    ),
    "an input without time": (
        """
        @cell(states="h", inputs="x b")
        def mine(x, h, W, b):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + b[n])  #!
        """,
        ("b stands in inputs= of the decorator and is read without time; write b[t, j]",),
    ),
    "an input that is a state": (
        """
        @cell(states="h", inputs="x h")
        def mine(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + h[t - 1, n]
        """,
        ("h is an input and a state in the decorator",),
    ),
    "an input that is no argument": (
        """
        @cell(states="h", inputs="x u")
        def mine(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + h[t - 1, n]
        """,
        ("'u' in the decorator is no argument of the function",),
    ),
    "an input that is called like an argument of the functions": (
        """
        @cell(states="h")
        def mine(x, threads, h, W, A):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(A[n, k] * threads[t, k], k)  #!
        """,
        (
            "another use for the name threads of an input (an argument of the Python functions)",
            'input_threads="threads"',
        ),
    ),
    "an input x that is not the first": (
        """
        @cell(states="h")
        def mine(u, x, h, W, A):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(A[n, k] * u[t, k], k)  #!
        """,
        ("another use for the name x of an input", "let x be the first argument of the cell"),
    ),
    "an input that is called like the gradient of another": (
        """
        @cell(states="h")
        def mine(x, d_x, h, W, A):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(A[n, k] * d_x[t, k], k)  #!
        """,
        ("another use for the name d_x of an input (the gradient of x)",),
    ),
    "an input that is called like a word of C": (
        """
        @cell(states="h")
        def mine(x, short, h, W, A):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(A[n, k] * short[t, k], k)  #!
        """,
        ("another use for the name short of an input (a word of Python, of C or of the kernels)",),
    ),
    "an input that is called like a parameter": (
        """
        @cell(states="h")
        def mine(x, weight_ih, h, W, A):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(A[n, k] * weight_ih[t, k], k)  #!
        """,
        ("another use for the name weight_ih (the input weight_ih)",),
    ),
    "no sequence": (
        """
        @cell(states="h")
        def mine(h, U):
            h[t, n] = tanh(Sum(U[n, k] * h[t - 1, k], k))
        """,
        ("a cell reads at least one input sequence, found none", "x[t, j]"),
    ),
    "added to": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j)
            h[t, n] += h[t - 1, n]  #!
        """,
        ("h[t, n] is assigned twice", "the first stands on line 4", "+= is no equation"),
    ),
    # -- numbers, vectors, matrices ------------------------------------------------------------------------------------
    "a size that no array has": (
        """
        @cell(states="h")
        def mine(x, h):
            h[t, n] = Sum(x[t, j], j) + h[t - 1, n] / 2  #!
        """,
        ("h has the size H, which stands on no parameter and not on an input", "such as a bias, h[t, n] = ... + b[n]"),
    ),
    # -- sums ----------------------------------------------------------------------------------------------------------
    "a sum over a part of the units": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = tanh(sympy.Sum(W[n, j] * x[t, j], (j, 1, 2))) + h[t - 1, n]  #!
        """,
        ("the sum over j goes from 1 to 2; a sum goes over all of its index", "Sum(..., j)"),
    ),
    "a sum that begins at 0": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = sympy.Sum(W[n, j] * x[t, j], (j, 0, H)) + h[t - 1, n]  #!
        """,
        ("the sum over j goes from 0 to H",),
    ),
    "a sum to the size of another index": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = sympy.Sum(W[n, j] * x[t, j], (j, 1, H)) + h[t - 1, n]  #!
        """,
        ("the sum over j goes to H, but j runs over I",),
    ),
    "an index that is summed twice in one sum": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j, j) + h[t - 1, n]  #!
        """,
        ("j is summed and is summed around it as well",),
    ),
    "a gate as the index of a sum": (
        """
        @cell(states="h", gates="o")
        def mine(x, h, W, o):
            h[t, n] = Sum(h[t - 1, n], o)  #!
        """,
        ("the second argument must be an index such as j, found o",),
    ),
    # -- Python --------------------------------------------------------------------------------------------------------
    "the max of Python": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = max(Sum(W[n, j] * x[t, j], j), h[t - 1, n])  #!
        """,
        ("TypeError: cannot determine truth value", "Python's max, min, if", "maximum(a, b)"),
    ),
    "the if of Python": (
        """
        @cell(states="h")
        def mine(x, h, W):
            if h[t - 1, n] > 0:  #!
                h[t, n] = Sum(W[n, j] * x[t, j], j)
        """,
        ("Python's max, min, if", "where(a > b, c, d) for an if"),
    ),
    "the and of Python": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = where(h[t - 1, n] > 0 and h[t - 1, n] < 1, 1, 0) * Sum(W[n, j] * x[t, j], j)  #!
        """,
        ("Python's max, min, if", "(a > b) & (c > d) for an and"),
    ),
    "too few arguments": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = where(h[t - 1, n] > 0, Sum(W[n, j] * x[t, j], j))  #!
        """,
        ("where takes exactly 3 arguments (2 given); write where(condition, a, b)",),
    ),
    "too many arguments": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = leaky_relu(h[t - 1, n], 0.1, 0.2) + Sum(W[n, j] * x[t, j], j)  #!
        """,
        ("write leaky_relu(x, slope=0.01)",),
    ),
    "a function of NumPy": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = numpy.floor(h[t - 1, n]) + Sum(W[n, j] * x[t, j], j)  #!
        """,
        ("equations call the functions of derive.notation, not those of math or NumPy",),
    ),
    "a function that rounds": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = float(h[t - 1, n]) + Sum(W[n, j] * x[t, j], j)  #!
        """,
        ("float, int and round want numbers as well",),
    ),
    "the name that PyTorch has for a function": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = clamp(h[t - 1, n], 0, 1) + Sum(W[n, j] * x[t, j], j)  #!
        """,
        ("name 'clamp' is not defined; did you mean clip?",),
    ),
    "a caret": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + h[t - 1, n]^2  #!
        """,
        ("a power is written with two stars: h[t, n]**2",),
    ),
    "a name in the wrong case": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(w[n, j] * x[t, j], j) + h[t - 1, n]  #!
        """,
        ("name 'w' is not defined; did you mean W?", "(x, h, W)"),
    ),
    "a typing error in a function": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = tahn(Sum(W[n, j] * x[t, j], j))  #!
        """,
        ("did you mean tanh?",),
    ),
    "a function that is not imported": (
        """
        del softplus
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = softplus(Sum(W[n, j] * x[t, j], j))  #!
        """,
        ("import it: from derive.notation import softplus",),
    ),
    "round brackets": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W(n, j) * x[t, j], j)  #!
        """,
        ("W(...) calls a tensor; its indices stand in square brackets",),
    ),
    "an attribute of a tensor": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W.T[j, n] * x[t, j], j)  #!
        """,
        ("the tensor W has no attribute T",),
    ),
    "a lambda": (
        """
        mine = cell(states="h")(lambda x, h, W: None)
        """,
        ("a lambda has no name; write def name",),
    ),
    "a class": (
        """
        @cell(states="h")
        class mine:
            pass
        """,
        ("cell mine: @cell stands above a function", "found type"),
    ),
    "a generator": (
        """
        @cell(states="h")
        def mine(x, h, W):
            yield h[t, n]
        """,
        ("the function returns generator; it writes equations",),
    ),
    "a coroutine": (
        """
        @cell(states="h")
        async def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j)
        """,
        ("the function returns coroutine", "no async"),
    ),
    "a result": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j)
            return h
        """,
        ("the function returns Name; it writes equations",),
    ),
    "a mistake in a function that cells share": (
        """
        def gate(z, W, x):
            z[t, n] = sigmoid(Sum(W[n, k] * x[t, j], j))  #!

        @cell(states="h")
        def mine(x, h, W, z):
            gate(z, W, x)
            h[t, n] = z[t, n] * h[t - 1, n]
        """,
        ("in the equation of z[t, n], the index k of W[n, k] is neither on the left nor summed",),
    ),
    # -- numbers and functions -----------------------------------------------------------------------------------------
    "a complex number": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = (1 + 2j) * Sum(W[n, j] * x[t, j], j)  #!
        """,
        ("1.0 + 2.0·I is no real number",),
    ),
    "a complex number alone": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = 2j  #!
        """,
        ("2.0·I is no real number",),
    ),
    "an integer that is too large": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = 10**400 * Sum(W[n, j] * x[t, j], j)  #!
        """,
        ("1.00000e+400 is no number of float32",),
    ),
    "a number that float32 does not have": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + 1e-60  #!
        """,
        ("1e-60 is no number of float32, whose values go from 1.2e-38 to 3.4e+38",),
    ),
    "a fraction that even a double takes for nothing": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + Rational(1, 10**400) * h[t - 1, n]  #!
        """,
        ("e-400 is no number of float32, whose values go from 1.2e-38 to 3.4e+38",),
    ),
    "a constant that overflows": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + exp(800)  #!
        """,
        ("exp(800) is no number of float32",),
    ),
    "a function of a number": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + 2 * relu(3)  #!
        """,
        ("relu(3) is a constant; write its value, 3.0",),
    ),
    "a division by zero": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j) / 0  #!
        """,
        ("zoo is no real number",),
    ),
    "not a number": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + float("nan")  #!
        """,
        ("nan is no real number",),
    ),
    "a third root": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + h[t - 1, n] ** Rational(1, 3)  #!
        """,
        ("an exponent that is no multiple of 1/2", "l[t, n] = log(a[t, n])", "exp(1/3*l[t, n])"),
    ),
    "a tenth power": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(W[n, j] * x[t, j], j) + (1 + h[t - 1, n] ** 2) ** 0.1  #!
        """,
        ("an exponent that is no multiple of 1/2", "exp(0.1*l[t, n])"),
    ),
    "a piecewise function": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = sympy.Piecewise((h[t - 1, n], h[t - 1, n] > 0), (0, True)) * Sum(W[n, j] * x[t, j], j)  #!
        """,
        ("Piecewise is no function that an equation may call", "where(condition, a, b)"),
    ),
    "a derivative": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = sympy.Derivative(h[t - 1, n] ** 2, h[t - 1, n]) + Sum(W[n, j] * x[t, j], j)  #!
        """,
        ("Derivative is no function that an equation may call",),
    ),
    "a Kronecker delta": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = Sum(sympy.KroneckerDelta(n, k) * h[t - 1, k], k) + Sum(W[n, j] * x[t, j], j)  #!
        """,
        ("KroneckerDelta is no function", "the diagonal of a matrix is written as a vector"),
    ),
    "an array of NumPy": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = numpy.ones(3) * h[t - 1, n]  #!
        """,
        ("the right-hand side of h[t, n] is of type ndarray, not an expression",),
    ),
    "a Dummy as an index": (
        """
        p = sympy.Dummy("p")
        @cell(states="h")
        def mine(x, h, W):
            h[t, p] = Sum(W[p, j] * x[t, j], j)  #!
        """,
        ("a Dummy of SymPy", 'sympy.Symbol("p")'),
    ),
    "a Greek index": (
        """
        p = sympy.Symbol("ν")
        @cell(states="h")
        def mine(x, h, W):
            h[t, p] = Sum(W[p, j] * x[t, j], j)  #!
        """,
        ("has 'ν' as an index; an index is named by Latin letters",),
    ),
    # -- names ---------------------------------------------------------------------------------------------------------
    "two parameters under one public name": (
        """
        @cell(states="h", bias="u")
        def mine(x, h, W, u, b):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + u[n] * h[t - 1, n] + b[n])  #!
        """,
        ("the parameters u and b would both be called bias",),
    ),
    "a family and a tensor under one public name": (
        """
        @cell(states="h", gates="r")
        def mine(x, h, W, A, r):
            r[t, n] = sigmoid(Sum(W[r][n, j] * x[t, j], j) + Sum(W[n, j] * x[t, j], j))
            h[t, n] = Sum(A[n, k] * h[t - 1, k], k) * r[t, n]
        """,
        ("W and W[r] would both be called weight_ih",),
    ),
    "a parameter called as an initial state": (
        """
        @cell(states="h")
        def mine(x, h, W, h0):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + h0[n] * h[t - 1, n])  #!
        """,
        ("another use for the name h0 (the gradient of the initial state h)", 'weight_h0="h0"'),
    ),
    "a public name that is an initial state": (
        """
        @cell(states="h c", c0="u")
        def mine(x, h, c, W, u):
            c[t, n] = u[n] * c[t - 1, n] + Sum(W[n, j] * x[t, j], j)  #!
            h[t, n] = tanh(c[t, n])
        """,
        ("another use for the name c0 (the gradient of the initial state c)", 'weight_u="u"'),
    ),
    "a parameter called x": (
        """
        @cell(states="h")
        def mine(u, h, W, x):
            h[t, n] = tanh(Sum(W[n, j] * u[t, j], j) + x[n] * h[t - 1, n])  #!
        """,
        ("another use for the name x (the input)",),
    ),
    "a parameter called params": (
        """
        @cell(states="h")
        def mine(x, h, W, params):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + params[n] * h[t - 1, n])  #!
        """,
        ("another use for the name params (all parameters",),
    ),
    "a parameter called as the gradient of the input": (
        """
        @cell(states="h")
        def mine(x, h, W, d_x):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + d_x[n] * h[t - 1, n])  #!
        """,
        ("another use for the name d_x (the gradient of x)",),
    ),
    "a member of a family called as a gradient": (
        """
        @cell(states="h", gates="o", bias_2="d")
        def mine(x, h, W, d, o):
            o[t, n] = sigmoid(Sum(W[o][n, j] * x[t, j], j) + d[o][n])  #!
            h[t, n] = o[t, n] + h[t - 1, n]
        """,
        ("the name d_o (of d[o]) is taken, by the gradient of o; rename the argument d",),
    ),
    "a member of a family called as an initial state": (
        """
        @cell(states="h", gates="o")
        def mine(x, h, W, o, h_0):
            o[t, n] = sigmoid(Sum(W[o][n, j] * x[t, j], j) + h_0[n])
            h[t, n] = o[t, n] + h[t - 1, n]
        """,
        ("the name h_0 is taken, by the state h at one end of time",),
    ),
    "two families with one name for a member": (
        """
        @cell(states="h", gates="c b_c")
        def mine(x, h, a, a_b, c, b_c):
            c[t, n] = tanh(Sum(a_b[c][n, j] * x[t, j], j))
            b_c[t, n] = tanh(Sum(a[b_c][n, j] * x[t, j], j))  #!
            h[t, n] = c[t, n] + b_c[t, n]
        """,
        ("a[b_c] and a_b[c] would both be called a_b_c; rename one",),
    ),
    "two spellings of one letter": (
        """
        @cell(states="h")
        def mine(x, h, W, λ, lambda_):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + λ[n] * lambda_[n] * h[t - 1, n]
        """,
        ("the arguments λ and lambda_ would both be called lambda_; rename one",),
    ),
    "a letter that has no spelling": (
        """
        @cell(states="h")
        def mine(x, h, W, д):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + д[n] * h[t - 1, n]
        """,
        ("'д', an argument of the function, has no spelling for C, file names and Python",),
    ),
    "a cell whose name has no spelling": (
        """
        @cell(states="h")
        def 单元(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + h[t - 1, n]
        """,
        ("'单元', the name of the cell, has no spelling",),
    ),
    "a public name that is no identifier": (
        """
        @cell(states="h", **{"a b": "W"})
        def mine(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + h[t - 1, n]
        """,
        ("'a b', the public name of W, is no name of Python and C",),
    ),
    "a public name that is a word of Python": (
        """
        @cell(states="h", **{"class": "W"})
        def mine(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + h[t - 1, n]
        """,
        ("'class', the public name of W, is no name of Python and C",),
    ),
    "two public names for one parameter": (
        """
        @cell(states="h", one="W", two="W")
        def mine(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + h[t - 1, n]
        """,
        ("W has two public names, one and two",),
    ),
    "a number as a public name": (
        """
        @cell(states="h", weight=3)
        def mine(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + h[t - 1, n]
        """,
        ("@cell(..., weight=3): write the name of an argument in quotes",),
    ),
    # -- heads and losses ----------------------------------------------------------------------------------------------
    "a softmax over an index that is not the last": (
        """
        from derive.notation.pieces import softmax
        @cell(states="C")
        def mine(x, C, W, A):
            v = value("v")
            v[t, i, k] = Sum(W[i, j] * x[t, j], j) * A[i, k] + C[t - 1, i, k]
            C[t, i, k] = softmax(v[t, i, k], i)  #!
        """,
        ("the largest of values is found over their last index, k, alone; let the index of a softmax be the last one",),
    ),
    "a loss that reads a size of its own": (
        """
        @loss
        def mine(h, y, w, L):
            L[()] = Sum(Sum((h[t, n] - y[t, n]) ** 2, n) * Sum(w[m], m), t)  #!
        """,
        ("w[m] has the size M, and the prediction H; what a loss reads beside the prediction has its sizes, or none",),
    ),
    "a loss without a target": (
        """
        @loss
        def mine(h, L):
            L[()] = Sum(Sum(h[t, n] ** 2, n), t)
        """,
        ("expected a prediction, a target and at last a scalar", "found the sequences h"),
    ),
    "a mean over time in a cell": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + mean(h[t, n], t)  #!
        """,
        ("a mean over time belongs into a loss",),
    ),
    "the position of a step": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + position(t) * h[t - 1, n]  #!
        """,
        ("position(t) is the number of a step; a step does not know it",),
    ),
    "a unit that no number of a step names": (
        """
        @cell(states="h")
        def mine(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) + one_hot(3, n) * h[t - 1, n]  #!
        """,
        ("one_hot(3, n) names a unit by a number of each step; write one_hot(y[t], n)",),
    ),
    "a target of another size": (
        """
        @loss
        def mine(h, y, L):
            L[()] = Sum(Sum(h[t, n], n) - Sum(y[t, k], k), t)  #!
        """,
        ("y[t, k] has the size K, and the prediction H",),
    ),
    "a loss beside a constant": (
        """
        @loss
        def mine(h, y, L):
            L[()] = Sum(Sum((h[t, n] - y[t, n]) ** 2, n), t) / 2 + 1  #!
        """,
        ("in the equation of L, 1 is no sum over time; a loss adds up one number a step, L[()] = Sum(l[t], t)",),
    ),
    "a root of the whole loss": (
        """
        @loss
        def mine(h, y, L):
            L[()] = sqrt(Sum(Sum((h[t, n] - y[t, n]) ** 2, n), t))  #!
        """,
        ("is no sum over time; a loss adds up one number a step",),
    ),
    "a loss in two numbers": (
        """
        @loss
        def mine(h, y, s, L):
            s[()] = Sum(Sum((h[t, n] - y[t, n]) ** 2, n), t)
            L[()] = sqrt(s[()])  #!
        """,
        ("sqrt(s) is no sum over time",),
    ),
    "a loss of the last step": (
        """
        @loss
        def mine(h, y, L):
            L[()] = Sum((h[T, n] - y[T, n]) ** 2, n)  #!
        """,
        ("is read or defined at T",),
    ),
    "a loss that leaves a step out": (
        """
        @loss
        def mine(h, y, L):
            L[()] = sympy.Sum(Sum((h[t, n] - y[t, n]) ** 2, n), (t, 2, T))  #!
        """,
        ("the sum over t goes from 2 to T",),
    ),
    "a loss with brackets": (
        """
        @loss()
        def mine(h, y, L):
            L[()] = Sum(Sum((h[t, n] - y[t, n]) ** 2, n), t)
        """,
        ("write @loss above the function, without brackets",),
    ),
    "a head without brackets": (
        """
        @head
        def mine(h, A, p):
            p[t, o] = Sum(A[o, n] * h[t, n], n)
        """,
        ("head mine: write @head() above it, with brackets",),
    ),
    "a head that ends in a number": (
        """
        @head()
        def mine(h, a, p):
            p[t] = Sum(a[n] * h[t, n], n)
        """,
        ("ends in another, p[t, o] = ..., found p[t] = ... as its last equation",),
    ),
    "a loss as a head": (
        """
        @cell(states="h")
        def unit(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + h[t - 1, n])

        @loss
        def objective(h, y, L):
            L[()] = Sum(Sum((h[t, n] - y[t, n]) ** 2, n), t)

        mine = unit.then(objective, "mine")
        """,
        ("objective is a loss, which is given when the cell is built",),
    ),
    "a name for the whole that is none": (
        """
        @cell(states="h")
        def unit(x, h, W):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + h[t - 1, n])

        @head()
        def readout(h, A, p):
            p[t, o] = Sum(A[o, n] * h[t, n], n)

        mine = unit.then(readout, "a b")
        """,
        ("'a b', the name of the whole, has no spelling",),
    ),
}
