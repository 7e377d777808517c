"""A C program for one cell: runs every call with each array in a block of its own, exactly as long as the header says.

Compiled with -DGUARD the blocks end at (or begin after) a page that cannot be touched, and what a call only reads
cannot be written; without it they come from malloc, for sanitizers and Valgrind.  Arguments: lists of sizes,
`where isa others T B dims...`, where 0 puts the blocks after the forbidden page and 1 before it; `others` sequences of
the batch stand before the B of this call, and belong to somebody else.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from c_tools import MATH, REALS, files, run

from derive import registry
from derive.pipeline import model

HEAD = r"""
#define _DEFAULT_SOURCE
#include "@CELL@.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(GUARD)
#include <sys/mman.h>
#include <unistd.h>
#endif

typedef struct { char *base, *p; size_t bytes, span; } block;
static int at_end;

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "%s: %s\n", name, what);
    exit(1);
}

/* Guarded memory, filled with bytes that make NaN; malloc leaves it undefined, for Valgrind to see. */
static void take(block *b, size_t bytes)
{
    b->bytes = bytes;
#if defined(GUARD)
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    b->span = (bytes + page - 1) / page * page;
    b->base = (char *)mmap(NULL, b->span + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->base == MAP_FAILED || mprotect(b->base + page, b->span, PROT_READ | PROT_WRITE)) fail("no memory", "take");
    b->p = b->base + page + (at_end ? b->span - bytes : 0);
    memset(b->p, 0xff, bytes);
#else
    b->base = b->p = (char *)malloc(bytes);
    if (!b->p) fail("no memory", "take");
#endif
}

static void only_read(block *b, int yes)
{
#if defined(GUARD)
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (mprotect(b->base + page, b->span, yes ? PROT_READ : PROT_READ | PROT_WRITE)) fail("mprotect", "only_read");
#else
    (void)b, (void)yes;
#endif
}

static void give(block *b)
{
#if defined(GUARD)
    munmap(b->base, b->span + 2 * (size_t)sysconf(_SC_PAGESIZE));
#else
    free(b->base);
#endif
}

static uint32_t state;
static double drawn(void)
{
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / 8388608.0 - 1.0;
}
"""

BODY = r"""
/* Of each step the first values are not ours and still what they were, the others are results. */
static void rows_@R@(const block *b, size_t not_ours, size_t ours, const char *name)
{
    const size_t count = b->bytes / sizeof(@C@);
    for (size_t k = 0; k < count; ++k) {
        const @C@ v = ((const @C@ *)(const void *)b->p)[k];
        const int mine = k % (not_ours + ours) >= not_ours;
        if (mine && !(v - v == 0)) fail("a result was not written, or is not finite", name);
#if defined(GUARD)
        if (!mine && v == v) fail("another's value was written", name);
#endif
    }
}

static void draw_@R@(block *b)
{
    for (size_t k = 0; k < b->bytes / sizeof(@C@); ++k) ((@C@ *)(void *)b->p)[k] = (@C@)drawn();
}

static void run_@R@(int isa, size_t others, const size_t *size)
{
    @CELL@_@R@_args q, a;
    @CELL@_sizes need;
    block workspace, @BLOCKS@, again;
    memset(&q, 0, sizeof q);
    q.isa = isa;
    q.T = size[0], q.B = size[1]@DIMS@;
    const size_t T = q.T, B = q.B, S = B + others@SIZES@;
    (void)T, (void)B;
    q.batch = others ? S : 0;
    if (@CELL@_@R@_sizes(&q, &need)) fail("error", "sizes");
    state = 1;
@TAKE@
    /* infer */
@INFER@
    /* forward gives the same, up to rounding */
    take(&again, out.bytes);
    if (!others) memcpy(again.p, out.p, out.bytes);
    memset(out.p, 0xff, out.bytes);
@FORWARD@
    for (size_t k = 0; !others && k < out.bytes / sizeof(@C@); ++k) { /* a compiler may fuse other multiply-adds */
        const @C@ gap = ((const @C@ *)(const void *)out.p)[k] - ((const @C@ *)(const void *)again.p)[k];
        if (!(gap < @EPS@ && gap > -@EPS@)) fail("differs from infer", "forward");
    }
    give(&again);
    /* backward, and once more without d_x */
@BACKWARD@
@WITHOUT@
    /* loss_and_grad overwrites all that it writes */
@LOSS@
@GIVE@
}
"""

MAIN = r"""
int main(int count, char **words)
{
    const int each = 5 + @COUNT@;
    for (int k = 1; k + each <= count; k += each) {
        size_t size[16];
        const size_t others = (size_t)atoi(words[k + 2]);
        for (int n = 0; n < each - 3; ++n) size[n] = (size_t)strtoul(words[k + 3 + n], NULL, 10);
        at_end = atoi(words[k]);
        fprintf(stderr, "sizes");
        for (int n = 0; n < each; ++n) fprintf(stderr, " %s", words[k + n]);
        fprintf(stderr, "\n");
        run_f32(atoi(words[k + 1]), others, size);
        run_f64(atoi(words[k + 1]), others, size);
    }
    return 0;
}
"""


def source(cell: str) -> str:
    """The program; which arrays a call reads and writes is that of the table in the header."""
    meta = model(registry.cell(cell)).meta
    dims, states, params = list(meta["dims"]), list(meta["states"].items()), list(meta["params"].items())
    (i,), o, y = meta["inputs"].values(), meta["output"][1], meta["targets"]["y"]
    width = {"x": f"T * S * {i}", "y": f"T * S * {y}", "out": f"T * S * {o}", "loss": "1"}
    step = {"x": i, "d_x": i, "y": y, "out": o, "d_out": o}
    width |= {n: " * ".join(shape) for n, shape in params} | {f"{n}_0": f"B * {d}" for n, d in states}
    width |= {f"{n}_T": f"B * {d}" for n, d in states}
    width |= {f"d_{n}": w for n, w in width.items() if n not in ("y", "loss")}
    first, last = [f"{n}_0" for n, _ in states], [f"{n}_T" for n, _ in states]
    reads = ["x", *(n for n, _ in params), *first]
    grads = [f"d_{n}" for n in reads]
    seeds = [f"d_{n}" for n in last]
    blocks = [*width, "tape"]

    def call(real, name, read, write):
        lines = [
            f"a = q, take(&workspace, need.{name}), a.workspace = workspace.p, a.workspace_size = workspace.bytes;"
        ]
        for n in [*read, *write]:
            first = f" + others * {step[n]} * sizeof({real.c})" if n in step else ""
            lines.append(f"a.{n} = (void *)({n}.p{first}), only_read(&{n}, {int(n in read)});")
        lines.append(f'if ({cell}_{real.tag}_{name}(&a)) fail("error", "{name}");')
        lines += [f"only_read(&{n}, 0);" for n in read]
        for n in write:
            if n in step:
                lines.append(f'rows_{real.tag}(&{n}, others * {step[n]}, B * {step[n]}, "{name}: {n}");')
            elif n != "tape":
                lines.append(f'rows_{real.tag}(&{n}, 0, {n}.bytes / sizeof({real.c}), "{name}: {n}");')
        return "\n".join(f"    {line}" for line in [*lines, "give(&workspace);"])

    text = HEAD
    for real in REALS:
        take = [f"take(&{n}, ({w}) * sizeof({real.c}));" for n, w in width.items()] + ["take(&tape, need.tape);"]
        take += [f"draw_{real.tag}(&{n});" for n in [*reads, *seeds, "y", "d_out"]]
        clear = "".join(f"    memset({n}.p, 0xff, {n}.bytes);\n" for n in ["out", *last, "d_out", *grads])
        fill = {
            "BLOCKS": ", ".join(blocks),
            "DIMS": "".join(f", q.{d} = size[{k + 2}]" for k, d in enumerate(dims)),
            "SIZES": "".join(f", {d} = q.{d}" for d in dims),
            "TAKE": "\n".join(f"    {line}" for line in take),
            "INFER": call(real, "infer", reads, ["out", *last]),
            "FORWARD": call(real, "forward", reads, ["out", *last, "tape"]),
            "BACKWARD": call(real, "backward", [*reads, "out", "tape", "d_out", *seeds], grads),
            "WITHOUT": call(
                real, "backward", [*reads, "out", "tape", "d_out", *seeds], [n for n in grads if n != "d_x"]
            ),
            "LOSS": "#if defined(GUARD)\n"
            + clear
            + "#endif\n"
            + call(real, "loss_and_grad", [*reads, "y", *seeds], ["loss", "out", *last, "tape", "d_out", *grads]),
            "GIVE": "\n".join(f"    give(&{n});" for n in blocks),
        }
        body = BODY.replace("@R@", real.tag).replace("@C@", real.c).replace("@EPS@", real.literal(1e-4))
        for name, value in fill.items():
            body = body.replace(f"@{name}@", value)
        text += body
    return (text + MAIN).replace("@COUNT@", str(len(dims))).replace("@CELL@", cell)


def program(cell: str, work: Path, *flags: str, compiler: str = "gcc") -> Path:
    """The driver, compiled with every file of the cell."""
    for name, text in files(cell).items():
        if name.endswith((".c", ".h")):
            (work / name).write_text(text)
    (work / "driver.c").write_text(source(cell))
    names = [n for n in files(cell) if n.endswith(".c")] + ["driver.c"]

    def compiled(name: str) -> Path:
        made = (work / name).with_suffix(".o")
        run(compiler, "-std=c99", *MATH, *flags, "-DDERIVE_DISPATCH", "-c", work / name, "-o", made)
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, names))
    run(compiler, *flags, *objects, "-o", work / "driver", "-lm")
    return work / "driver"
