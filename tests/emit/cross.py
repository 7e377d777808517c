"""A C program that runs one cell without Python, for processors that are emulated.

It reads one case from its standard input (arrays one after the other, as they lie in memory) and writes all results
to its standard output in the same way; sizes are its arguments.  `reads` and `writes` are the order of the arrays.
Compiled with -DFILES it reads the file `given` and writes the file `found` instead: what has no operating system has no
standard input, but an emulator that opens files for it.
"""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from c_tools import FLAGS, files, run

from derive import registry
from derive.pipeline import model
from derive.verify.references import get

SOURCE = r"""
#include "@CELL@.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *given, *found;

static void *taken(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    if (!p) exit(3);
    memset(p, 0xff, bytes); /* NaN: a result that is not written shows */
    return p;
}

static void *read_in(size_t bytes)
{
    void *p = taken(bytes);
    if (fread(p, 1, bytes, given) != bytes) exit(4);
    return p;
}

static void must(int code, const char *call)
{
    if (!code) return;
    fprintf(stderr, "%s: %s\n", call, @CELL@_error(code));
    exit(5);
}

int main(int count, char **words)
{
    @CELL@_@R@_args a;
    @CELL@_sizes need;
    size_t room;
    memset(&a, 0, sizeof a);
#if defined(FILES)
    given = fopen("given", "rb"), found = fopen("found", "wb");
    if (!given || !found) exit(6);
#else
    given = stdin, found = stdout;
#endif
    if (count != 3 + @COUNT@) return 2;
    a.T = strtoul(words[1], NULL, 10), a.B = strtoul(words[2], NULL, 10);
@DIMS@
    const size_t T = a.T, B = a.B@SIZES@;
    must(@CELL@_@R@_sizes(&a, &need), "sizes");
    room = need.infer > need.forward ? need.infer : need.forward;
    room = room > need.loss_and_grad ? room : need.loss_and_grad;
    a.workspace = taken(room), a.workspace_size = room, a.tape = (@C@ *)taken(need.tape);
@TAKE@
    must(@CELL@_@R@_infer(&a), "infer");
@INFER@
    must(@CELL@_@R@_forward(&a), "forward");
@FORWARD@
    must(@CELL@_@R@_loss_and_grad(&a), "loss_and_grad");
@LOSS@
#if defined(DERIVE_DISPATCH)
    fprintf(stderr, "isa %d", @CELL@_isa());
#endif
    return fclose(found) != 0;
}
"""


def reads(cell: str) -> dict[str, tuple[str, ...]]:
    """Name -> symbolic shape of each array that the program reads, in order."""
    return {a.name: a.shape for a in model(registry.cell(cell)).signature.call("loss_and_grad").of("in")}


def writes(cell: str) -> dict[str, tuple[str, ...]]:
    """Name -> symbolic shape of each array that `loss_and_grad` leaves; `infer` and `forward` leave `out` and states."""
    made = model(registry.cell(cell)).signature
    (d_out, *_), gradients = made.of_role("seed"), made.of_role("gradient")
    return {**first(cell), "loss": ("1",), **{a.name: a.shape for a in (d_out, *gradients)}}


def first(cell: str) -> dict[str, tuple[str, ...]]:
    """What `infer` and `forward` write, the tape aside."""
    return {a.name: a.shape for a in model(registry.cell(cell)).signature.call("infer").of("out")}


def source(cell: str, real) -> str:
    """The program for one cell and scalar type."""
    dims = list(model(registry.cell(cell)).meta["dims"])

    def bytes_of(shape):
        return f"sizeof({real.c}) * {' * '.join(f'({s})' for s in shape)}"

    def out(names):
        lines = [f"fwrite(a.{n}, 1, {bytes_of(s)}, found), memset(a.{n}, 0xff, {bytes_of(s)});" for n, s in names]
        return "\n".join(f"    {line}" for line in lines)

    take = [f"a.{n} = ({real.c} *)read_in({bytes_of(s)});" for n, s in reads(cell).items()]
    take += [f"a.{n} = ({real.c} *)taken({bytes_of(s)});" for n, s in writes(cell).items()]
    fill = {
        "CELL": cell,
        "R": real.tag,
        "C": real.c,
        "COUNT": str(len(dims)),
        "DIMS": "\n".join(f"    a.{d} = strtoul(words[{k + 3}], NULL, 10);" for k, d in enumerate(dims)),
        "SIZES": "".join(f", {d} = a.{d}" for d in dims),
        "TAKE": "\n".join(f"    {line}" for line in take),
        "INFER": out(first(cell).items()),
        "FORWARD": out(first(cell).items()),
        "LOSS": out(writes(cell).items()),
    }
    text = SOURCE
    for name, value in fill.items():
        text = text.replace(f"@{name}@", value)
    return text


def program(cell: str, real, work: Path, compiler: str, *flags: str) -> Path:
    """Compile the program with the one C file that it needs, or with all of them where flags say -DDERIVE_DISPATCH.

    What an earlier call compiled in the same folder, with the same flags, is used again.
    """
    chosen = [f"{cell}_{real.tag}.c"]
    if "-DDERIVE_DISPATCH" in flags:
        chosen = [n for n in files(cell) if n.endswith(".c")]
    for name in [*chosen, f"{cell}.h"]:
        (work / name).write_text(files(cell)[name])
    (work / f"main_{real.tag}.c").write_text(source(cell, real))
    own = [f for f in FLAGS if not f.startswith("-D")]

    def compiled(name: str) -> Path:
        made = (work / name).with_suffix(".o")
        if not made.is_file():
            run(compiler, *own, *flags, "-c", work / name, "-o", made)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, [*chosen, f"main_{real.tag}.c"]))
    run(compiler, *objects, "-o", work / f"{cell}_{real.tag}", "-lm")
    return work / f"{cell}_{real.tag}"


def case(cell: str, real, sizes: dict[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs for every array that the program reads; no adjoint comes from behind the last step."""
    rng = np.random.default_rng(seed)

    def drawn(name, shape):
        extent = tuple(_number(axis, sizes) for axis in shape)
        return np.zeros(extent) if name.endswith("_T") else rng.normal(size=extent) * 0.7

    return {n: drawn(n, s).astype(real.dtype) for n, s in reads(cell).items()}


def executed(command: list[object], cell: str, real, sizes: dict[str, int], given: dict[str, np.ndarray]):
    """Run the program on a case: (results of infer, forward and loss_and_grad by name, what it said)."""
    words = [*map(str, command), *size_words(cell, sizes)]
    data = b"".join(a.tobytes() for a in given.values())
    done = subprocess.run(words, input=data, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}\n{done.stderr.decode()}"
    return named(cell, np.frombuffer(done.stdout, real.dtype), sizes), done.stderr.decode()


def size_words(cell: str, sizes: dict[str, int]) -> list[str]:
    """The arguments of the program."""
    return [str(sizes[n]) for n in ("T", "B", *model(registry.cell(cell)).meta["dims"])]


def named(cell: str, numbers: np.ndarray, sizes: dict[str, int]) -> list[dict[str, np.ndarray]]:
    """What the program wrote: the results of infer, forward and loss_and_grad by name."""
    results, at = [], 0
    for names in (first(cell), first(cell), writes(cell)):
        found = {}
        for name, shape in names.items():
            extent = tuple(_number(axis, sizes) for axis in shape)
            found[name] = numbers[at : at + int(np.prod(extent))].reshape(extent)
            at += found[name].size
        results.append(found)
    assert at == numbers.size
    return results


def expected(cell: str, given: dict[str, np.ndarray]):
    """The same results from the hand-written NumPy reference, in float64."""
    reference = get(cell)
    wide = {n: a.astype(np.float64) for n, a in given.items()}
    states = model(registry.cell(cell)).meta["states"]
    params = {n: wide[n] for n in model(registry.cell(cell)).meta["params"]}
    state = tuple(wide[f"{s}_0"] for s in states)
    out, final, _ = reference.forward(wide["x"], params, state)
    loss, grads = reference.loss_and_grad(wide["x"], wide["y"], params, state)
    ends = {"out": out, **{f"{s}_T": a for s, a in zip(states, final, strict=True)}}
    named = {f"{n}_0" if (n := k.removesuffix("0")) in states and k.endswith("0") else k: a for k, a in grads.items()}
    return ends, {**ends, "loss": np.array([loss]), **{f"d_{n}": a for n, a in named.items()}}


def _number(axis: str, sizes: dict[str, int]) -> int:
    return int(np.prod([int(part) if part.isdigit() else sizes[part] for part in axis.split("*")]))
