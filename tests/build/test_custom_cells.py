"""Cells of one's own: ten lines in a file, built, and right to the last digits by the interpreter's complex step."""

import importlib
import importlib.util
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import derive
from derive import generation
from derive import signature as interface
from derive.errors import DeriveError
from derive.toolchain import compiler
from derive.toolchain.compiler import WARNINGS
from derive.verify import interpreter as reference

CELLS = {
    "cifg": '''
        """LSTM with coupled gates: what is forgotten is written anew. Greff et al. 2015, CIFG."""
        @cell(states="h c", gates="f g o")
        def cifg(x, h, c, W, U, b, z, f, g, o):
            for q in (f, g, o):
                z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
            f[t, n] = sigmoid(z[f][t, n])
            g[t, n] = tanh(z[g][t, n])
            o[t, n] = sigmoid(z[o][t, n])
            c[t, n] = f[t, n] * c[t - 1, n] + (1 - f[t, n]) * g[t, n]
            h[t, n] = o[t, n] * tanh(c[t, n])
    ''',
    "lstmp": '''
        """LSTM with a projection of its output. Sak, Senior & Beaufays 2014."""
        @cell(states="h c", gates="i f g o", weight_hr="R")
        def lstmp(x, h, c, W, U, b, R, z, i, f, g, o, s):
            for q in (i, f, g, o):
                z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
            i[t, n] = sigmoid(z[i][t, n])
            f[t, n] = sigmoid(z[f][t, n])
            g[t, n] = tanh(z[g][t, n])
            o[t, n] = sigmoid(z[o][t, n])
            c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
            s[t, n] = o[t, n] * tanh(c[t, n])
            h[t, k] = Sum(R[k, n] * s[t, n], n)
    ''',
    "gated": '''
        """Two products with the state, each with a matrix of its own."""
        @cell(states="h", inner="A")
        def gated(x, h, W, U, A, b, z, s, a):
            z[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n]
            s[t, n] = Sum(A[n, k] * h[t - 1, k], k)
            a[t, n] = sigmoid(s[t, n])
            h[t, n] = tanh(z[t, n]) * a[t, n]
    ''',
    "indrnn": '''
        """Independently recurrent units. Li et al. 2018."""
        @cell(states="h", recurrent="u")
        def indrnn(x, h, W, u, b, z):
            z[t, n] = Sum(W[n, j] * x[t, j], j) + u[n] * h[t - 1, n] + b[n]
            h[t, n] = relu(z[t, n])
    ''',
    "mingru": '''
        """The least of the gated units. Feng et al. 2024."""
        @cell(states="h", gates="z g")
        def mingru(x, h, W, b, a, z, g):
            for q in (z, g):
                a[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + b[q][n]
            z[t, n] = sigmoid(a[z][t, n])
            g[t, n] = a[g][t, n]
            h[t, n] = (1 - z[t, n]) * h[t - 1, n] + z[t, n] * g[t, n]
    ''',
    "smooth": '''
        """Softplus, exp, log, a root and a quotient in one step."""
        @cell(states="h")
        def smooth(x, h, W, U, b, p, z, s, e):
            z[t, n] = Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n]
            s[t, n] = softplus(z[t, n])
            e[t, n] = exp(-s[t, n]) + p[n] ** 2
            h[t, n] = log(1 + e[t, n]) * sqrt(1 + s[t, n] ** 2) / (2 + s[t, n])
    ''',
    "embedded": '''
        """A layer on the input before the recurrence: a product, a function of it, and a product of that."""
        @cell(states="h", embedding="E")
        def embedded(x, h, E, W, U, b, e, z):
            e[t, m] = tanh(Sum(E[m, j] * x[t, j], j))
            z[t, n] = Sum(W[n, m] * e[t, m], m) + Sum(U[n, k] * h[t - 1, k], k) + b[n]
            h[t, n] = tanh(z[t, n])
    ''',
    "resetbefore": '''
        """The gated recurrent unit as first written: the reset acts before the product. Cho et al. 2014."""
        @cell(states="h", gates="r z n")
        def resetbefore(x, h, W, U, b, a, r, z, n):
            for q in (r, z):
                a[q][t, i] = Sum(W[q][i, j] * x[t, j], j) + Sum(U[q][i, k] * h[t - 1, k], k) + b[q][i]
            r[t, i] = sigmoid(a[r][t, i])
            z[t, i] = sigmoid(a[z][t, i])
            a[n][t, i] = Sum(W[n][i, j] * x[t, j], j) + Sum(U[n][i, k] * r[t, k] * h[t - 1, k], k) + b[n][i]
            n[t, i] = tanh(a[n][t, i])
            h[t, i] = (1 - z[t, i]) * n[t, i] + z[t, i] * h[t - 1, i]
    ''',
    "leaky": '''
        """No matrix that acts on the state, no gate, no bias: only a decay."""
        @cell(states="h", decay="u")
        def leaky(x, h, W, u, s):
            s[t, n] = sigmoid(u[n])
            h[t, n] = s[t, n] * h[t - 1, n] + Sum(W[n, j] * x[t, j], j)
    ''',
    "names": '''
        """Names that mean something else in C, in the templates or in the interface."""
        @cell(states="full", gates="sum int", weight_ih="V", weight_hh="S", bias="load", diagonal="I", scale="lanes")
        def names(u, full, V, S, load, acc, I, sum, int, w, p, a, out_, lanes):
            for q in (sum, int):
                acc[q][t, n] = Sum(V[q][n, j] * u[t, j], j) + Sum(S[q][n, k] * full[t - 1, k], k) + load[q][n]
            sum[t, n] = sigmoid(acc[sum][t, n])
            int[t, n] = tanh(acc[int][t, n] + I[n] * full[t - 1, n])
            w[t] = Sum(int[t, n] ** 2, n) / H
            p[t, n] = sum[t, n] * w[t]
            a[t, n] = lanes[n] * p[t, n]
            out_[t, n] = a[t, n] + int[t, n]
            full[t, n] = out_[t, n] + sum[t, n] * full[t - 1, n]
    ''',
    "constants": '''
        """Names of macros, constants and variables of the C; and names with the endings that it gives to others."""
        @cell(states="STATES PARTS", gates="SEGMENTS EVERYTHING", gain_ok="OK", diagonal="NAN", decay="PARTS_ld")
        def constants(x, STATES, PARTS, W, U, b, ROWS_GROW, sum_1, sum_2, PARTS_prev, PARTS_next, SEGMENTS, EVERYTHING,
                      using, DEPTH, NAN, OK, PARTS_ld, PARTS_prev_ld):
            for q in (SEGMENTS, EVERYTHING):
                ROWS_GROW[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * STATES[t - 1, k], k) + b[q][n]
            SEGMENTS[t, n] = sigmoid(ROWS_GROW[SEGMENTS][t, n])
            EVERYTHING[t, n] = tanh(ROWS_GROW[EVERYTHING][t, n] + PARTS_ld[n] * PARTS[t - 1, n])
            sum_1[t] = Sum(EVERYTHING[t, n] ** 2, n) / H
            sum_2[t] = Sum(SEGMENTS[t, n] * EVERYTHING[t, n], n) / H
            PARTS_prev[t, n] = SEGMENTS[t, n] * PARTS[t - 1, n] + sum_1[t] * EVERYTHING[t, n]
            PARTS_next[t, n] = sigmoid(NAN[n] * PARTS_prev[t, n])
            PARTS_prev_ld[t, n] = PARTS_next[t, n] * PARTS_prev[t, n]
            PARTS[t, n] = PARTS_prev_ld[t, n] + sum_2[t] * OK[n]
            using[t, n] = tanh(PARTS[t, n])
            DEPTH[t, n] = using[t, n] * SEGMENTS[t, n]
            STATES[t, n] = DEPTH[t, n] + using[t, n] * STATES[t - 1, n]
    ''',
    "letters": '''
        """Names that the loss and the adjoint have for something else."""
        @cell(states="h")
        def letters(x, h, W, U, seed, l, L, y, loss, carry_h, tanh_y):
            seed[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k))
            l[t] = Sum(seed[t, n] ** 2, n) / H
            L[t, n] = sigmoid(seed[t, n]) * l[t]
            y[t, n] = L[t, n] * h[t - 1, n]
            tanh_y[t, n] = sigmoid(y[t, n])
            loss[t, n] = tanh(y[t, n]) + tanh_y[t, n]
            carry_h[t, n] = loss[t, n] * L[t, n]
            h[t, n] = carry_h[t, n] + seed[t, n] * L[t, n] * h[t - 1, n]
    ''',
    "twolayer": '''
        """An LSTM-like unit with a readout of two layers on top."""
        @head(weight_1="A", weight_2="V", bias_2="d")
        def mlp(h, A, V, d, s, p):
            s[t, m] = tanh(Sum(A[m, n] * h[t, n], n))
            p[t, o] = Sum(V[o, m] * s[t, m], m) + d[o]

        @cell(states="h")
        def unit(x, h, W, U, b):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * h[t - 1, k], k) + b[n])

        twolayer = unit.then(mlp, "twolayer")
    ''',
}
HEAD = "from derive.notation import *  # noqa\nfrom derive.notation import head\n"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERIVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(compiler, "FLAGS", ("-O1", *(f for f in compiler.FLAGS if f != "-O3")))
        yield


def cell_of(folder, name, text):
    """The cell of a file, as a person would write and import it."""
    path = folder / f"{name}.py"
    path.write_text(HEAD + textwrap.dedent(text))
    spec = importlib.util.spec_from_file_location(f"cells_of_mine_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that the cell finds the documentation of its file
    spec.loader.exec_module(module)
    return getattr(module, name)


class Problem:
    """A drawn problem in float64, and L = sum of the results with fixed weights, by the interpreter."""

    def __init__(self, cell, module, steps=4, batch=2, seed=3, sizes=(3, 5, 2, 4)):
        self.program, self.module, self.steps, self.batch = cell.program(), module, steps, batch
        dims = module.SPEC["dims"]
        self.sizes = dict(zip(dims, sizes, strict=False))
        params = module.init_params(dtype=np.float64, seed=seed, **{dims[d]: n for d, n in self.sizes.items()})
        rng = np.random.default_rng(seed)
        self.values = {n: a + 0.3 * rng.normal(size=a.shape) for n, a in params.items()}
        self.values["x"] = rng.normal(size=(steps, batch, self.sizes[module.SPEC["arguments"]["x"][-1]]))
        for state, dim in module.SPEC["states"].items():
            self.values[f"{state}0"] = rng.normal(size=(batch, self.sizes[dim]))
        self.d_out = rng.normal(size=(steps, batch, self.sizes[module.SPEC["arguments"]["out"][-1]]))
        self.d_state = tuple(rng.normal(size=(batch, self.sizes[d])) for d in module.SPEC["states"].values())

    def compiled(self):
        params = {n: self.values[n] for n in self.module.PARAMS}
        state = tuple(self.values[f"{s}0"] for s in self.module.STATES)
        out, final, tape = self.module.forward(self.values["x"], params, state)
        return out, final, self.module.backward(tape, self.d_out, self.d_state)

    def interpreted(self, values):
        """out and the final states, one sequence after the other."""
        places, found = interface.argument_places(self.program), []
        for row in range(self.batch):
            given = {}
            for tensor in self.program.tensors.values():
                if tensor.role == "param":
                    place = places[tensor.name]
                    rows = self.sizes[str(tensor.dims[0])]
                    array = values[place.array]
                    given[tensor.name] = (
                        array if array.shape[0] == rows else array[place.slot * rows : (place.slot + 1) * rows]
                    )
                elif tensor.role == "input":
                    given[tensor.name] = values["x"][:, row]
                elif tensor.role == "initial":
                    given[tensor.name] = values[tensor.name.removesuffix("_0") + "0"][row]
            made = reference.run(self.program, given, {**self.sizes, "T": self.steps})
            out = made[self.program.facts.output]
            found.append((out[-self.steps :], *(made[f"{s}_T"] for s in self.module.STATES)))
        return [np.stack(parts, axis=1 if not k else 0) for k, parts in enumerate(zip(*found, strict=True))]

    def objective(self, values):
        out, *final = self.interpreted(values)
        return (out * self.d_out).sum() + sum((a * b).sum() for a, b in zip(final, self.d_state, strict=True))

    def along(self, name, direction):
        """The derivative of L along a direction, by the complex step: exact to rounding."""
        values = {n: a.astype(complex) for n, a in self.values.items()}
        values[name] = values[name] + 1e-100j * direction
        return self.objective(values).imag / 1e-100


@pytest.mark.parametrize("name", CELLS)
def test_cell_of_ones_own(tmp_path, name):
    cell = cell_of(tmp_path, name, CELLS[name])
    module = derive.build(cell)
    problem = Problem(cell, module)
    out, final, grads = problem.compiled()
    for found, expected in zip((out, *final), problem.interpreted(problem.values), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * max(1, abs(expected).max()))
    assert list(grads) == ["x", *module.PARAMS, *(f"{s}0" for s in module.STATES)]
    rng = np.random.default_rng(1)
    for key, found in grads.items():
        # A wrong element shows in a random direction; each has its own numbers, so that none hides another.
        for direction in rng.normal(size=(6, *found.shape)):
            expected, scale = problem.along(key, direction), np.linalg.norm(found) * np.linalg.norm(direction)
            assert abs((found * direction).sum() - expected) < 1e-13 * scale, f"{name}: gradient of {key}"
    loss, grads = module.loss_and_grad(
        problem.values["x"],
        out + 0.5,
        {n: problem.values[n] for n in module.PARAMS},
        tuple(problem.values[f"{s}0"] for s in module.STATES),
    )
    assert abs(loss - 0.25 * out.size) < 1e-12 * out.size


@pytest.mark.parametrize(
    "label",
    [
        *("V", "loss", "out", "y", "tape", "H", "d_out", "int", "d_weight_ih", "workspace", "batch"),
        *("PARTS", "DEPTH", "NAN", "parts", "part", "meeting", "packed", "accumulate", "tape_every", "rows", "asm"),
    ],
)
def test_names_that_are_taken(label):
    """A parameter may not be called as the interface calls something else; with a public name of its own it may."""
    text = f"""
        @cell(states="h"%)
        def named(x, h, W, {label}):
            h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + {label}[n] * h[t - 1, n])
    """
    space = dict(vars(importlib.import_module("derive.notation")))
    exec(textwrap.dedent(text.replace("%", "")), space)
    with pytest.raises(DeriveError, match=f"the interface has another use for the name {label}"):
        generation.files(space["named"])
    exec(textwrap.dedent(text.replace("%", f', diagonal="{label}"')), space)
    assert "diagonal" in generation.files(space["named"])["named.h"]


@pytest.mark.parametrize("label", ["h_0", "h_T", "d_h", "d_h_T", "d_W", "seed_h"])
def test_names_of_states_and_gradients_are_taken(label):
    """Whatever the public name is: what is derived would be another tensor under the same name."""
    text = f"""
        @cell(states="h", diagonal="p")
        def named(x, h, W, p, {label}):
            {label}[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + p[n] * h[t - 1, n])
            h[t, n] = {label}[t, n] * h[t - 1, n]
    """
    space = dict(vars(importlib.import_module("derive.notation")))
    with pytest.raises(DeriveError, match=f"the name {label} is taken, by .*; rename the argument"):
        exec(textwrap.dedent(text), space)
        generation.files(space["named"])


@pytest.mark.parametrize("program", ["gcc", "clang"])
@pytest.mark.parametrize("name", CELLS)
def test_no_warnings(tmp_path, name, program):
    """With vectors and without, where what a cell does not use is more likely to be noticed."""
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    folder = Path(derive.build(cell_of(tmp_path, name, CELLS[name])).__file__).parent
    for source in folder.glob(f"{name}_f??.c"):
        for flags in ((), ("-DDERIVE_PORTABLE",)):
            done = subprocess.run(
                [program, "-std=c99", *WARNINGS, *flags, "-fsyntax-only", source],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("batch", [2, 7])
def test_several_panels_and_a_narrow_last_block(tmp_path, name, batch):
    """More units than a panel holds, and two more than fill vectors; few sequences (hoisted products) and more."""
    cell = cell_of(tmp_path, name, CELLS[name])
    module = derive.build(cell)
    problem = Problem(cell, module, steps=3, batch=batch, sizes=(11, 66, 34, 10))
    out, final, grads = problem.compiled()
    for found, expected in zip((out, *final), problem.interpreted(problem.values), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * max(1, abs(expected).max()))
    rng = np.random.default_rng(1)
    for key, found in grads.items():
        direction = rng.normal(size=found.shape)
        expected, scale = problem.along(key, direction), np.linalg.norm(found) * np.linalg.norm(direction)
        assert abs((found * direction).sum() - expected) < 1e-12 * scale, f"{name}: gradient of {key}"


@pytest.mark.parametrize("name", ["lstmp", "embedded"])
def test_many_steps_and_rows(tmp_path, name):
    """More steps and rows than one chunk holds: the same result as sequence after sequence."""
    cell = cell_of(tmp_path, name, CELLS[name])
    module = derive.build(cell)
    problem = Problem(cell, module, steps=300, batch=3)
    _, _, grads = problem.compiled()
    alone = []
    for row in range(3):
        single = Problem(cell, module, steps=300, batch=1)
        single.values = {n: problem.values[n] for n in module.PARAMS}
        single.values |= {"x": problem.values["x"][:, row : row + 1]}
        single.values |= {f"{s}0": problem.values[f"{s}0"][row : row + 1] for s in module.STATES}
        single.d_out, single.d_state = problem.d_out[:, row : row + 1], tuple(d[row : row + 1] for d in problem.d_state)
        alone.append(single.compiled()[2])
    for key, found in grads.items():
        parts = [a[key] for a in alone]
        expected = sum(parts) if key in module.PARAMS else np.concatenate(parts, axis=1 if key == "x" else 0)
        assert np.linalg.norm(found - expected) < 1e-12 * np.linalg.norm(expected), key


def test_torch_agrees_on_the_projection(tmp_path):
    torch = pytest.importorskip("torch")
    module = derive.build(cell_of(tmp_path, "lstmp", CELLS["lstmp"]))
    dims = module.SPEC["dims"]
    inputs, units, projected = 3, 7, 4
    by_name = {"I": inputs, module.SPEC["states"]["h"]: projected, module.SPEC["states"]["c"]: units}
    params = module.init_params(dtype=np.float64, seed=1, **{dims[d]: n for d, n in by_name.items()})
    lstm = torch.nn.LSTM(inputs, units, proj_size=projected, dtype=torch.float64)
    with torch.no_grad():
        for name, theirs in (
            ("weight_ih", "weight_ih_l0"),
            ("weight_hh", "weight_hh_l0"),
            ("bias", "bias_ih_l0"),
            ("weight_hr", "weight_hr_l0"),
        ):
            getattr(lstm, theirs).copy_(torch.from_numpy(params[name]))
        lstm.bias_hh_l0.zero_()
    x = np.random.default_rng(0).normal(size=(6, 3, inputs))
    watched = torch.tensor(x, requires_grad=True)
    out, _ = lstm(watched)
    (out**2).sum().backward()
    ours, _, tape = module.forward(x, params)
    grads = module.backward(tape, 2 * ours)
    np.testing.assert_allclose(ours, out.detach().numpy(), rtol=0, atol=1e-14)
    for name, theirs in (
        ("x", watched.grad),
        ("weight_ih", lstm.weight_ih_l0.grad),
        ("weight_hh", lstm.weight_hh_l0.grad),
        ("bias", lstm.bias_ih_l0.grad),
        ("weight_hr", lstm.weight_hr_l0.grad),
    ):
        assert np.linalg.norm(grads[name] - theirs.numpy()) < 1e-13 * np.linalg.norm(theirs.numpy()), name
