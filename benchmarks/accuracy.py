"""The largest error of any gradient of each cell, in units of the machine epsilon: the table in docs/figures.md.

python benchmarks/accuracy.py           prints a table, writes benchmarks/results/accuracy.md
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from derive import check, registry

HEAD = """\
| cell | derived equations, complex step | C float64, 50 digits | C float32, 50 digits | C float64, NumPy | C float32, NumPy |
|---|---|---|---|---|---|
"""


def main() -> None:
    """Run all checks and write the table."""
    lines = []
    for name in registry.shipped():
        rows = check.run(name)
        worst: dict[tuple[str, str], float] = {}
        for row in rows:
            key = (row.reference, row.dtype)
            worst[key] = max(worst.get(key, 0.0), row.error / float(np.finfo(row.dtype).eps))
        keys = [("complex step", "float64"), ("mpmath", "float64"), ("mpmath", "float32"), ("NumPy", "float64")]
        found = [f"{worst[key]:.1f}" for key in [*keys, ("NumPy", "float32")]]
        lines.append(f"| {name} | {' | '.join(found)} |")
        print(lines[-1], flush=True)
    table = HEAD + "\n".join(lines) + "\n"
    (Path(__file__).parent / "results" / "accuracy.md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
