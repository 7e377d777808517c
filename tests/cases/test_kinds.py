"""Every kind of program that was wrong once: compiled as cheaply as can be, and compared with its equations."""

from __future__ import annotations

import pytest
from kinds import KINDS

from derive import verify
from tests.campaign import quick
from tests.cases.test_right import cell_of


@pytest.mark.parametrize("case", KINDS)
def test_it_is_right(case, tmp_path):
    """Outputs, final states, every gradient, all tapes and `wrt`, lengths and plans; see derive/verify."""
    mine = cell_of(KINDS[case])
    assert verify.validate(quick.build(mine, None, tmp_path), mine) == []
