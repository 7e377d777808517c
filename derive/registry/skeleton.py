"""The file that `derive new` writes: a small gated cell that builds as it is, with comments that say what may be changed."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import sys

from derive.errors import DeriveError
from derive.notation.spelling import name_of_cell

TEXT = '''"""{name}: what the cell is, who wrote of it, and when. This line is its title in `derive list` and on paper."""

from derive.notation import Sum, cell, j, k, n, sigmoid, t, tanh


# states: the tensors that may be read at t - 1, as in "h c"; the first is the output.
# gates: what the arrays of weights are stacked over, in this order; leave it out for a cell without gates.
# Parameters of other names keep them, or get the one that stands here, as in peephole="p".
@cell(states="h", gates="f g")
def {name}(x, h, W, U, b, z, f, g):
    # The arguments are the tensors. What is assigned below is a value; what is not is the input if it has a time
    # index, as x[t, j], and a parameter if it has none. W[q] is the matrix of gate q. Every index has one range
    # everywhere, which is how shapes are known: j runs over the inputs, n and k over the units.
    for q in (f, g):
        z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
    # Functions: sigmoid, tanh, exp, log, sqrt, relu, maximum, where, clip, abs, ... (docs/cells.md); import those that you use.
    f[t, n] = sigmoid(z[f][t, n])
    g[t, n] = tanh(z[g][t, n])
    h[t, n] = f[t, n] * h[t - 1, n] + (1 - f[t, n]) * g[t, n]


# Nothing is said of gradients, batches or C: these are derived. With this file as {name}.py,
#
#     derive list {name}.py                        prints the equations
#     derive check {name}.py                       compares every gradient with independent references
#     derive latex {name}.py --format html -o {name}.html
#     python {name}.py                             builds it, and runs what follows
if __name__ == "__main__":
    import derive
    import numpy as np

    module = derive.build({name})  # compiled the first time; afterwards it is found in a cache
    params = module.init_params(input_size=3, hidden_size=8, seed=0)
    x = np.random.default_rng(0).normal(size=(20, 4, 3)).astype(np.float32)  # (T, B, I)
    y = np.zeros((20, 4, 8), np.float32)  # (T, B, H)
    loss, grads = module.loss_and_grad(x, y, params)
    print(f"loss {{loss:.4f}}; gradients of {{', '.join(grads)}}")
'''


def skeleton(name: str) -> tuple[str, str]:
    """The name of a new cell as it is spelled, and the text of its file.

    Raises DeriveError for a name that no cell can have, that the file uses for something else, or under which Python
    would find another module.
    """
    spelled = name_of_cell("derive new", name, "the name of the cell")
    if keyword.iskeyword(name):
        raise DeriveError(f"derive new: {name!r} is a word of Python; choose another name for the cell")
    text = TEXT.format(name=spelled)
    if spelled in _words():
        raise DeriveError(f"derive new: {spelled!r} means something else in the file of a cell; choose another name")
    if spelled in sys.stdlib_module_names or _installed(spelled):
        raise DeriveError(
            f"derive new: there is a module {spelled} already, which a file {spelled}.py would hide from Python; "
            f"choose another name for the cell"
        )
    return spelled, text


def _words() -> set[str]:
    """The names that the file uses, beside that of the cell."""
    nodes = list(ast.walk(ast.parse(TEXT.format(name="_"))))
    found = {node.id for node in nodes if isinstance(node, ast.Name)}
    found |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return found | {
        alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def _installed(name: str) -> bool:
    """Whether Python finds a module of that name that is installed, and no file of the user's own."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    place = (found.origin or "") if found else ""
    return found is not None and (name == "derive" or "site-packages" in place or "dist-packages" in place)
