"""The plain backend on a Cortex-M4F under qemu: its numbers, the bytes of its code, the instructions of a step.

python tests/emit/plain_m4f.py        the figures of docs/backends.md
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from c_tools import MATH, need, run
from targets import TARGETS, Target, command, linked

from derive import registry
from derive.backends import named
from derive.pipeline import model

M4F = TARGETS["m4f"]
HIDDEN = (8, 16, 20, 40)

# Reads weights, state and x from the file `given`; runs so many steps; writes outputs and the state to `found`.
MAIN = r"""
#include "cell.h"
#include <stdio.h>
#include <stdlib.h>

static cell_weights weights;
static cell_state state;
static float x[STEPS][CELL_I], out[STEPS][CELL_H];

int main(int count, char **words)
{
    const size_t steps = count > 1 ? (size_t)atoi(words[1]) : 0;
    FILE *file = fopen("given", "rb");
    if (!file || steps > STEPS) return 2;
    if (fread(&weights, sizeof weights, 1, file) != 1 || fread(&state, sizeof state, 1, file) != 1) return 3;
    if (fread(x, sizeof x, 1, file) != 1 || fclose(file)) return 4;
    for (size_t t = 0; t < steps; ++t) cell_step(&weights, &state, x[t], out[t]);
    file = fopen("found", "wb");
    if (!file || fwrite(out, sizeof out, 1, file) != 1 || fwrite(&state, sizeof state, 1, file) != 1) return 5;
    return fclose(file) != 0;
}
"""


def sources(units: int, steps: int) -> dict[str, str]:
    """The LSTM of one input with so many units, and the program around it."""
    made = named("plain").files(model(registry.cell("lstm")), sizes={"I": 1, "H": units}, T=64, name="cell")
    return {**made, "main.c": MAIN.replace("STEPS", str(steps))}


def built(target: Target, units: int, steps: int, work: Path, *flags: str) -> Path:
    """The program for a processor."""
    work.mkdir(parents=True, exist_ok=True)
    objects = []
    for name, text in sources(units, steps).items():
        (work / name).write_text(text)
        if name.endswith(".c"):
            objects.append((work / name).with_suffix(".o"))
            more = ("-ffunction-sections", "-fdata-sections")
            run(
                need(target.compiler),
                "-std=c99",
                *MATH,
                *target.flags,
                *flags,
                *more,
                "-c",
                work / name,
                "-o",
                objects[-1],
            )
    return linked(target, work, objects, work / "program")


def given(units: int, steps: int) -> np.ndarray:
    """Weights, a state that is not zero, and an input."""
    rng = np.random.default_rng(units)
    sizes = (4 * units, 4 * units * units, 4 * units, units, units, steps)
    scales = (1, 1.5 / units**0.5, 0.5, 0.5, 0.5, 1)
    arrays = [rng.normal(size=n) * scale for n, scale in zip(sizes, scales, strict=True)]
    return np.concatenate(arrays).astype(np.float32)


def results(target: Target, made: Path, data: np.ndarray, steps: int, *options: str) -> np.ndarray:
    """Outputs and the state after the steps; `options` go to the emulator."""
    (made.parent / "given").write_bytes(data.tobytes())
    (made.parent / "found").unlink(missing_ok=True)
    words = command(target, made, str(steps))
    done = subprocess.run([words[0], *options, *words[1:]], cwd=made.parent, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}\n{done.stderr.decode()}"
    return np.frombuffer((made.parent / "found").read_bytes(), np.float32)


def instructions(made: Path, units: int, steps: int) -> int:
    """The instructions of a step, exactly: those of all steps less those of none, over their number."""
    counted = []
    for number in (0, steps):
        log = made.parent / "log"
        results(M4F, made, given(units, steps), number, "-singlestep", "-d", "nochain,exec", "-D", str(log))
        with log.open(encoding="utf-8") as lines:
            counted.append(sum(line.startswith("Trace") for line in lines))
        log.unlink()
    return round((counted[1] - counted[0]) / steps)


def step_bytes(work: Path) -> int:
    """The bytes of code that a program with `step` alone needs of the C file: the function and what it calls."""
    table = run(need("arm-none-eabi-nm"), "-S", "--size-sort", work / "cell.o")
    sizes = {words[3]: int(words[1], 16) for words in map(str.split, table.splitlines()) if words[2] in "tTrR"}
    others = ("run_forward", "run_loss", "run_backward", "is_wrong", "cell_infer", "nothing")
    training = {n for n in sizes if n.startswith(("cell_forward", "cell_loss", "cell_backward", *others))}
    return sum(n for name, n in sizes.items() if name not in training)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        for flag in ("-Os", "-O2"):
            for units in HIDDEN:
                made = built(M4F, units, 2, Path(folder) / f"{flag}{units}", flag)
                print(
                    flag,
                    units,
                    "units:",
                    step_bytes(made.parent),
                    "bytes,",
                    instructions(made, units, 2),
                    "instructions",
                )


if __name__ == "__main__":
    main()
