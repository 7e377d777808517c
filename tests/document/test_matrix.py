"""Matrix forms mean what the indices say: the tree of every equation, evaluated with NumPy, against the interpreter."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from document_tools import CELLS, derivation

from derive import check, ir
from derive.document import structure
from derive.document.matrix import Node, NoMatrixForm
from derive.ir.functions import record_for
from derive.verify.interpreter import run

SIZES = {"T": 3, "I": 2, "H": 4, "O": 3}


class Evaluator:
    """Trees to arrays; vectors are one-dimensional, so that a transpose changes nothing in them."""

    def __init__(self, program, values, when):
        self.program, self.values, self.when = program, values, when

    def __call__(self, node: Node):
        return getattr(self, f"_{node.kind}")(node)

    def _leaf(self, node):
        tensors = self.program.tensors
        name, time = ir.name_of(node.data), ir.time_of(node.data, tensors)
        array = self.values[name]
        if time is None:
            return array
        at = int(time.subs({ir.t: self.when, ir.T: SIZES["T"]}))
        lo, hi = (int(sp.sympify(x).subs(ir.T, SIZES["T"])) for x in tensors[name].time)
        return array[at - lo] if lo <= at <= hi else np.zeros_like(array[0])

    def _number(self, node):
        return float(sp.sympify(node.data).subs(SIZES).subs({ir.dimension(k): v for k, v in SIZES.items()}))

    def _when(self, node):
        _, lo, hi = (int(sp.sympify(x).subs({ir.t: self.when, ir.T: SIZES["T"]})) for x in node.data.args)
        return float(lo <= self.when <= hi)

    def _ones(self, node):
        return np.ones(SIZES[str(node.data)])

    def _turned(self, node):
        return self(node.args[0]).T

    def _times(self, node):
        return self(node.args[0]) @ self(node.args[1])

    _dot = _times

    def _outer(self, node):
        return np.outer(*map(self, node.args))

    def _had(self, node):
        return np.prod(np.broadcast_arrays(*map(self, node.args)), axis=0)

    _scale = _had

    def _add(self, node):
        return sum(self(a) for a in node.args)

    def _total(self, node):
        total = 0
        for when in range(1, SIZES["T"] + 1):
            total = total + Evaluator(self.program, self.values, when)(node.args[0])
        return total

    def _power(self, node):
        return self(node.args[0]) ** float(node.data)

    def _apply(self, node):
        return record_for(node.data).numpy(*map(self, node.args))


@pytest.mark.parametrize("name", [*CELLS, "minimal"])
@pytest.mark.parametrize("stage", ["derived", "saved", "compiled"])
def test_every_matrix_form_is_its_equation(name, stage):
    d = derivation(name)
    program = {"derived": d.derived, "saved": d.saved, "compiled": d.made.adjoint}[stage]
    values = run(program, check.draw(program, SIZES, seed=3), SIZES)
    count = 0
    for equation in program.equations:
        try:
            tree = d.matrices.of(equation)
        except NoMatrixForm:
            continue
        life = equation.when or (sp.Integer(1), sp.Integer(1))
        steps = [int(sp.sympify(x).subs(ir.T, SIZES["T"])) for x in life]
        for when in range(steps[0], steps[1] + 1):
            found = Evaluator(program, values, when)(tree)
            time = ir.time_of(equation.lhs, program.tensors)
            expected = Evaluator(program, values, when)(Node("leaf", data=equation.lhs))
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14, err_msg=f"{equation.id}, {time}")
        count += 1
    assert count == len(program.equations), "an equation of these cells has no matrix form"


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "lstm_peephole", "lstm_toy", "lstm_readout", "minimal"])
def test_the_jacobian_of_a_step_against_the_complex_step(name):
    d = derivation(name)
    sizes = {**SIZES, "T": 1}
    program = d.primal
    inputs = check.draw(program, sizes, seed=5)
    values = run(program, inputs, sizes)
    at = Evaluator(program, values, 1)

    def vector(expr):
        free = tuple(ir.ordered({i for a in ir.accesses(expr, d.tensors) for i in ir.indices_of(a, d.tensors)}))
        return at(d.matrices.tree(expr, free)) * np.ones(sizes["H"])

    for row in d.states:
        for column in d.states:
            swept = np.broadcast_to(inputs[f"{column}_0"].astype(complex), (4, 4)) + 1e-30j * np.eye(4)
            moved = run(program, {n: v.astype(complex) for n, v in inputs.items()} | {f"{column}_0": swept}, sizes)
            expected = (np.imag(moved[row]) / 1e-30)[:, -1].T
            block = next((b for b in structure.jacobian(d) if (b.row, b.column) == (row, column)), None)
            found = np.zeros((4, 4))
            if block is not None:
                assert not block.others or name == "minimal"
                if block.others:
                    continue
                found += sum((np.diag(vector(a)) for a in block.direct), found)
                for left, matrix, right in block.through:
                    found = found + np.diag(vector(left)) @ values[matrix] @ np.diag(vector(right))
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14, err_msg=f"d {row} / d {column}")
