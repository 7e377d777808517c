"""Every cell of the zoo, and some that only the tests have, against loops in PyTorch that autograd differentiates.

Nothing is shared.  Compiled without optimisation: what is looked for here is a wrong equation, place or size, and not a wrong
compiler.
"""

import sys
import textwrap
from pathlib import Path

import pytest

from derive import registry

pytest.importorskip("torch", reason="the loops that cells are compared with need PyTorch: pip install torch==2.13.0")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import continuous  # noqa: E402, F401
import gated  # noqa: E402, F401
import linear  # noqa: E402, F401
import memory  # noqa: E402, F401
import others  # noqa: E402, F401
import plain  # noqa: E402, F401
import spiking  # noqa: E402, F401
from against_torch import compare  # noqa: E402
from register import OTHERS, ZOO  # noqa: E402

import derive  # noqa: E402
from derive.registry.user_file import run_file  # noqa: E402
from tests.campaign import quick  # noqa: E402


def cell_of(folder, text, name):
    path = folder / f"{name}.py"
    path.write_text("from derive.notation import *\nfrom sympy import sign\n\n\n" + textwrap.dedent(text))
    return getattr(run_file(path, "a cell"), name)


# That its equations are the paper's is shown of every cell by test_equations.py, which compiles nothing; here is the C of each
# third, and of all of them in `make exhaustive`.
THIRDS = [n if k % 3 == 0 else pytest.param(n, marks=pytest.mark.exhaustive) for k, n in enumerate(registry.zoo())]


@pytest.mark.parametrize("name", THIRDS)
def test_a_cell_of_the_zoo_is_what_its_loop_in_torch_is(tmp_path, name):
    module = quick.build(registry.cell(name), None, tmp_path)
    assert compare(module, ZOO[name].step, ZOO[name].positive) == []


@pytest.mark.parametrize("name", OTHERS)
def test_a_cell_of_the_tests_is_what_its_loop_in_torch_is(tmp_path, name):
    it = OTHERS[name]
    module = quick.build(cell_of(tmp_path, it.text, name), None, tmp_path / "built")
    assert compare(module, it.step, it.positive) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", registry.zoo())
def test_a_cell_of_the_zoo_is_built_with_optimisation_and_accepted(name):
    """For every instruction set of this processor; `derive.load` compares the module with the equations before it gives it."""
    assert compare(derive.load(name), ZOO[name].step, ZOO[name].positive) == []
