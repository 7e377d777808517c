"""What a run measures: its options, as they go from the command line to the processes that measure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.shapes import CELL_SHAPES, CELLS, LSTM, OPS, QUICK, Shape


@dataclass(frozen=True)
class Settings:
    """`seconds` is the time that one figure takes, about; `cells` are those beside the LSTM."""

    threads: tuple[int, ...] = (1, 2)
    dtypes: tuple[str, ...] = ("float32", "float64")
    ops: tuple[str, ...] = OPS
    shapes: tuple[Shape, ...] = tuple(LSTM)
    cells: tuple[str, ...] = CELLS
    cell_shapes: tuple[Shape, ...] = CELL_SHAPES
    peers: tuple[str, ...] = tuple(PEERS)
    seconds: float = 0.2
    build: bool = True  # also what it takes to derive, compile and import

    @classmethod
    def quick(cls) -> Settings:
        """A few seconds, with NumPy for a peer: shows that everything works, and measures nothing well."""
        return cls(threads=(1,), dtypes=("float32",), shapes=QUICK, cells=("gru",), cell_shapes=QUICK[:1],
                   peers=("ours", "plan", "kernel", "numpy"), seconds=0.02, build=False)  # fmt: skip

    def problems(self) -> list[tuple[str, Shape, str]]:
        """(cell, shape, dtype) of all problems. Cells beside the LSTM are measured in the first dtype only."""
        found = [("lstm", shape, dtype) for shape in self.shapes for dtype in self.dtypes]
        return found + [(cell, shape, self.dtypes[0]) for cell in self.cells for shape in self.cell_shapes]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        raw: dict[str, Any] = json.loads(text)
        for name, value in raw.items():
            if isinstance(value, list):
                raw[name] = tuple(Shape(*entry) if isinstance(entry, list) else entry for entry in value)
        return cls(**raw)
