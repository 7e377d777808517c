"""The machine that the C is written for: every number of it, read by plan, templates and cost model alike.

What a processor differs in is chosen by the C compiler, so that one text serves all of them: a `Target` holds a row for each
instruction set, and what is the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import sympy as sp

from derive import ir
from derive.backends.shared.sizes import STEPS, Blocks, Least, Quotient, When
from derive.passes.fuse import SLOTS

# Numbers of the machine in expressions, under the names that they have in C: V is that of the type.
LANES, ROWS, DEPTH, SETTLE = sp.symbols("V ROWS DEPTH SETTLE", integer=True, positive=True)
WHOLE = sp.Symbol("S", integer=True, positive=True)  # sequences of the whole batch, of which a call may have a part

ITEMSIZES = (4, 8)  # bytes of float and double


@dataclass(frozen=True)
class InstructionSet:
    """The vectors of a kind of processor, and the rows of a tile whose sums fit into its registers.

    peak: float32 flop per cycle and core, at most.  A library holds a build of its own for a set with `features`: what the
    processor must name, what the compiler calls it, what people do.
    """

    tag: str
    vector_bytes: int
    rows: int
    peak: float
    title: str = ""
    compiled_as: str = ""
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """Sizes to which the kernels are tuned.

    tile_vectors   columns of a tile, in vectors: with the rows of an instruction set, what registers hold
    group          tiles whose products wait in the first level cache for their equations
    few            sequences of a small batch: even and odd products of a sum are added up apart
    depth          rows of a chunk of steps, and of a weight gradient, that are taken together
    settle         blocks of `depth` rows after which sums are settled
    hoist_rows     sequences up to which hoistable products are made for many steps at once: their weights are then read
                   once for a chunk of steps and not once a step.  A larger batch finds them in its tiles.
    packed_rows    rows of weights that go through all panels together
    strip_rows     rows of an operand that are packed into strips together
    alignment      bytes to which buffers are aligned
    spin_limit     how often a thread looks at a barrier before it asks for a pause
    parts          threads of one call, at most
    """

    sets: tuple[InstructionSet, ...]
    tile_vectors: int = SLOTS  # fuse.py joins so many products in a tile
    group: int = 4
    few: int = 2
    depth: int = 256
    settle: int = 64
    hoist_rows: int = 6
    packed_rows: int = 16
    strip_rows: int = 8
    alignment: int = 64
    spin_limit: int = 64
    parts: int = 1024

    @property
    def isa(self) -> Mapping[str, InstructionSet]:
        """The instruction sets by their tags."""
        return MappingProxyType({s.tag: s for s in self.sets})

    @property
    def built(self) -> tuple[InstructionSet, ...]:
        """Those for which a library holds a build beside the portable one, from the least to the best."""
        return tuple(s for s in self.sets if s.features)

    @property
    def chunk_steps(self) -> sp.Expr:
        """Steps of time that are taken together: enough rows to make the large products efficient, few enough for the cache."""
        return When(DEPTH <= ir.B, 1, Least(ir.T, Quotient(DEPTH, ir.B)))

    @property
    def hoists(self) -> sp.Expr:
        """Whether hoistable products are made for a chunk of steps at once, before the loop."""
        return sp.And(WHOLE <= self.hoist_rows, ir.T > 1)

    @property
    def row_blocks(self) -> sp.Expr:
        """Blocks of up to DEPTH rows into which the steps and sequences of a call are cut."""
        return Blocks(ir.T, STEPS) * Blocks(ir.B, DEPTH)

    def numbers(self, isa: InstructionSet, itemsize: int) -> dict[str, int]:
        """What the symbols of the machine stand for."""
        lanes = isa.vector_bytes // itemsize
        return {"V": lanes, "ROWS": isa.rows, "DEPTH": self.depth, "SETTLE": self.settle}

    @property
    def tile_widths(self) -> range:
        """Vectors of a tile."""
        return range(1, self.tile_vectors + 1)

    @property
    def tile_rows(self) -> tuple[tuple[int, range], ...]:
        """Rows of a tile: (r, those beyond r that a set with more than r rows has)."""
        most = sorted({s.rows for s in self.sets})
        return tuple((low, range(low + 1, high + 1)) for low, high in zip((0, *most), most, strict=False))

    @property
    def few_rows(self) -> range:
        """Rows of a small batch."""
        return range(1, self.few + 1)

    @property
    def exchanges(self) -> dict[int, list[tuple[int, list[int], list[int]]]]:
        """How vectors of n lanes are transposed: by exchanges of what differs in one bit of its two indices.

        For each n (bit, lanes of the first result, lanes of the second), counted through both vectors.
        """
        lanes = {s.vector_bytes // size for s in self.sets for size in ITEMSIZES}
        return {n: [_exchange(n, bit) for bit in _bits(n)] for n in sorted(lanes, reverse=True)}


def _bits(lanes: int) -> list[int]:
    return [1 << b for b in range(lanes.bit_length() - 1)]


def _exchange(lanes: int, bit: int) -> tuple[int, list[int], list[int]]:
    first = [k if not k & bit else lanes + k - bit for k in range(lanes)]
    return bit, first, [k + (bit if not k & bit else lanes) for k in range(lanes)]


# Flop per cycle: base 2 multipliers and 2 adders of 4 lanes; neon 4 fused units of 4 (2 on many cores); avx2 2 of 8; avx512 2
# of 16 (cores that cut such vectors in halves do 32).  Rows: 16 registers hold 3 x 4 sums and 4 vectors of weights, 32 registers
# twice as many sums.
TARGET = Target(
    (
        InstructionSet("base", 16, 3, 16.0),
        InstructionSet("neon", 16, 6, 32.0),
        InstructionSet("avx2", 32, 3, 32.0, "AVX2 and FMA", "avx2,fma", ("avx2", "fma")),
        InstructionSet(
            "avx512",
            64,
            6,
            64.0,
            "AVX-512",
            "avx512f,avx512dq,avx512vl,avx2,fma",
            ("avx512f", "avx512dq", "avx512vl", "fma"),
        ),
    )
)
