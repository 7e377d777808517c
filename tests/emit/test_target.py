"""The numbers of the machine: the C that a compiler sees has those of the record, for every instruction set."""

import re

import pytest
from c_tools import INCLUDE, ISA_FLAGS, REALS, compilers, need, run

from derive.backends.c import emit
from derive.backends.c.target import ITEMSIZES, TARGET

NUMBERS = {
    "PANEL": lambda isa, lanes: TARGET.tile_vectors * lanes,
    "DEPTH": lambda isa, lanes: TARGET.depth,
    "GROUP": lambda isa, lanes: TARGET.group * isa.rows,
    "SETTLE": lambda isa, lanes: TARGET.settle,
    "ROWS": lambda isa, lanes: isa.rows,
    "V": lambda isa, lanes: lanes,
}


@pytest.mark.parametrize("real", REALS, ids=[r.tag for r in REALS])
@pytest.mark.parametrize("tag", ISA_FLAGS)
def test_the_compiler_sees_the_numbers_of_the_record(tag, real, tmp_path):
    isa = TARGET.isa["base" if tag == "portable" else tag]
    lanes = 1 if tag == "portable" else isa.vector_bytes // real.dtype().itemsize
    asked = tmp_path / "asked.c"
    checks = [
        f"typedef char {name}_is_right[({name}) == {number(isa, lanes)} ? 1 : -1];" for name, number in NUMBERS.items()
    ]
    sums = f"typedef char sums_are_right[sizeof(sums) / sizeof(vec) == {isa.rows * TARGET.tile_vectors} ? 1 : -1];"
    asked.write_text("\n".join([f'#include "derive_{real.tag}.h"', *checks, sums, ""]))
    run(need(compilers()[0]), "-std=c99", *ISA_FLAGS[tag], *INCLUDE, "-fsyntax-only", asked)


def test_a_type_has_the_bytes_that_vectors_are_counted_in():
    for real, size in zip(REALS, ITEMSIZES, strict=True):
        assert real.dtype().itemsize == size
        assert f"#define REAL_BYTES {size}\n" in emit.shared()[f"derive_{real.tag}.h"]


def test_a_barrier_and_a_small_batch_have_their_numbers():
    assert f"#define SPIN_LIMIT {TARGET.spin_limit}\n" in emit.shared()["derive_team.h"]
    assert f"whole_batch(a) <= {TARGET.hoist_rows} " in emit.shared()["derive_team.h"]


def test_vectors_are_transposed():
    """The exchanges of each step, on numbers: lane k of vector i ends as lane i of vector k."""
    for lanes, steps in TARGET.exchanges.items():
        rows = [[(i, k) for k in range(lanes)] for i in range(lanes)]
        for bit, first, second in steps:
            for i in range(lanes):
                if not i & bit:
                    both = rows[i] + rows[i + bit]
                    rows[i], rows[i + bit] = [both[k] for k in first], [both[k] for k in second]
        assert rows == [[(k, i) for k in range(lanes)] for i in range(lanes)]


def test_tiles_have_all_heights_and_widths():
    text = emit.shared()["derive_gemm.h"]
    made = {tuple(map(int, found)) for found in re.findall(r"^TILE_MANY\((\d+), (\d+)\)$", text, re.MULTILINE)}
    assert made == {(r, n) for r in range(1, max(s.rows for s in TARGET.sets) + 1) for n in TARGET.tile_widths}
