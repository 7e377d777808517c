"""Cells over spaces of several dimensions, compiled and compared with their equations: all calls, both types, all tapes."""

from __future__ import annotations

import textwrap

import pytest
from spaces import SPACES

from derive.notation import Cell
from derive.verify import validate
from tests.campaign import quick

HEAD = "import numpy, sympy\nfrom derive.notation import *\n"


@pytest.mark.parametrize("case", SPACES)
def test_it_is_right(case, tmp_path):
    space: dict = {"__name__": "cells"}
    exec(HEAD + textwrap.dedent(SPACES[case]), space)
    cell = [found for found in space.values() if isinstance(found, Cell)][-1]
    assert validate(quick.build(cell, None, tmp_path), cell) == []
