"""Cells from papers, none of which ships, against loops in PyTorch that autograd differentiates: nothing is shared.

Compiled without optimisation: what is looked for here is a wrong equation, place or size, and not a wrong compiler.
"""

import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the loops that cells are compared with need PyTorch: pip install torch==2.13.0")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import dynamics  # noqa: E402, F401
import gated  # noqa: E402, F401
import memory  # noqa: E402, F401
from against_torch import compare  # noqa: E402
from zoo import CELLS  # noqa: E402

from derive.registry.user_file import run_file  # noqa: E402
from tests.campaign import quick  # noqa: E402


def cell_of(folder, text, name):
    path = folder / f"{name}.py"
    path.write_text("from derive.notation import *\nfrom sympy import sign\n\n\n" + textwrap.dedent(text))
    return getattr(run_file(path, "a cell"), name)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_from_a_paper_is_what_its_loop_in_torch_is(tmp_path, name):
    it = CELLS[name]
    module = quick.build(cell_of(tmp_path, it.text, name), None, tmp_path / "built")
    assert compare(module, it.step, it.positive) == []
