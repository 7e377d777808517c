"""Programs as lists of sweeps over time: stacks, directions, derivatives of derivatives."""

from __future__ import annotations

import pytest

from derive import ir, registry
from derive.ir import Program
from derive.passes.adjoint import jvp, vjp
from derive.passes.batch import batch
from derive.passes.layers import both_directions, stack
from derive.passes.mirror import mirror
from derive.passes.partition import Sweep, partition
from derive.passes.simplify import simplify

CELLS = ("rnn", "lstm", "gru", "lstm_peephole", "lstm_layernorm", "lstm_readout")


def sweeps_of(program: Program) -> list[Sweep]:
    return partition(batch(simplify(program)[0]))


def directions(program: Program) -> list[int]:
    return [s.direction for s in sweeps_of(program)]


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_and_its_adjoint_are_two_sweeps(name: str) -> None:
    assert directions(vjp(registry.cell(name).normal())) == [1, -1]


@pytest.mark.parametrize("name", CELLS)
def test_the_adjoint_of_an_adjoint_needs_no_further_sweeps(name: str) -> None:
    """The gradient is linear in its seeds: what is adjoint to it runs forwards beside the values, and back beside it."""
    first, second = sweeps_of(vjp(vjp(registry.cell(name).normal())))
    assert (first.direction, second.direction) == (1, -1)
    assert {"h", "d2_d_h"} <= set(first.program.defined) and {"d_h", "d2_h"} <= set(second.program.defined)


@pytest.mark.parametrize("name", CELLS)
def test_tangents_run_beside_the_values(name: str) -> None:
    """One sweep; and the tangent of an adjoint runs beside the adjoint."""
    assert directions(jvp(registry.cell(name).normal())) == [1]
    assert directions(jvp(vjp(registry.cell(name).normal()))) == [1, -1]


@pytest.mark.parametrize("name", CELLS)
def test_every_equation_is_in_one_sweep_and_reads_what_is_there(name: str) -> None:
    program = batch(simplify(vjp(vjp(registry.cell(name).normal())))[0])
    found = partition(program)
    assert sorted(e.id for s in found for e in s.program.equations) == sorted(e.id for e in program.equations)
    done: set[str] = set(program.inputs)
    for sweep in found:
        own = set(sweep.program.defined)
        for equation in sweep.program.equations:
            for access in ir.accesses(equation.rhs, program.tensors):
                assert ir.name_of(access) in done | own, equation
                by = ir.offset(ir.time_of(access, program.tensors)) if equation.lhs.has(ir.t) else 0
                if ir.name_of(access) in own and by:
                    assert by * sweep.direction < 0, equation
        done |= own


def test_what_comes_with_a_later_call_starts_a_sweep_of_its_own() -> None:
    """Even where time would not ask for it: a cell whose state no step reads has no loop at all."""
    program = batch(simplify(vjp(registry.cell("rnn").normal()))[0])
    seeds = [x.name for x in program.of_role("seed")]
    first, second = partition(program, seeds)
    assert not {ir.name_of(a) for e in first.program.equations for a in ir.accesses(e.rhs, program.tensors)} & set(
        seeds
    )
    assert {"d_x", "d_h_0"} <= set(second.program.defined)


@pytest.mark.parametrize("name", CELLS)
def test_the_mirror_image_of_a_mirror_image_is_the_program(name: str) -> None:
    program = vjp(registry.cell(name).normal())
    turned = mirror(program)
    assert turned.digest != program.digest and mirror(turned).digest == program.digest


def test_two_directions_are_sweeps_of_both_signs_and_the_second_is_given_mirrored() -> None:
    found = sweeps_of(vjp(both_directions(registry.cell("rnn").normal())))
    assert [(s.direction, s.mirrored) for s in found] == [(1, False), (1, True), (-1, True), (-1, False)]


def test_a_stack_of_cells_with_split_equations_names_tensors_that_exist() -> None:
    norm = registry.cell("lstm_layernorm").normal()
    program = stack(norm, norm, norm.facts.output)
    assert {e.whole for e in program.equations} - {""} <= set(program.tensors)
    assert [s.direction for s in sweeps_of(program)] == [1]


def test_layers_print_as_formulas() -> None:
    """IDs stand in \\text{...}, where TeX takes no underscore."""
    shown = both_directions(registry.cell("rnn").normal())._repr_latex_()
    assert r"\text{(F1.r)}" in shown and r"h_{r}(t + 1)" in shown
    assert not [part for part in shown.split(r"\text{")[1:] if "_" in part.partition("}")[0]]
