"""Threads that share a call: what one writes and another reads, or both write, has a barrier in between.

ThreadSanitizer follows which accesses are ordered by atomic operations and finds a barrier that is missing whether or not
threads ran into each other.  The results have the bits of one thread.
"""

import subprocess

import numpy as np
import pytest
from c_tools import FLAGS, files, need, run
from cross import case, executed, source

from derive.backends.shared.printer import F32

SHARED = r"""
#include <pthread.h>

typedef struct { @CELL@_f32_args a; int (*call)(const @CELL@_f32_args *); int code; } job;
static void *work(void *p)
{
    job *mine = (job *)p;
    mine->code = mine->call(&mine->a);
    return NULL;
}

static int together(int (*call)(const @CELL@_f32_args *), const @CELL@_f32_args *a)
{
    static int meeting[16];
    job jobs[THREADS];
    pthread_t threads[THREADS];
    int code = 0;
    for (int k = 0; k < THREADS; ++k) {
        jobs[k].a = *a, jobs[k].a.part = (size_t)k, jobs[k].a.meeting = meeting, jobs[k].call = call;
        if (pthread_create(&threads[k], NULL, work, &jobs[k])) exit(6);
    }
    for (int k = 0; k < THREADS; ++k) pthread_join(threads[k], NULL), code |= jobs[k].code;
    return code;
}

int main("""
# Units of several threads and one; a tail; more steps than a chunk; more rows than a block of a weight gradient.
SIZES = [
    {"T": 3, "B": 1, "I": 3, "H": 21, "O": 18},
    {"T": 4, "B": 2, "I": 21, "H": 4, "O": 3},
    {"T": 300, "B": 1, "I": 2, "H": 9, "O": 5},
    {"T": 3, "B": 300, "I": 2, "H": 9, "O": 5},
]
TAPES = {"everything": "", "states": "a.tape_every = (size_t)-1;", "segments": "a.tape_every = a.T > 100 ? 120 : 2;"}


def program(cell, work, parts, tape, *flags):
    text = source(cell, F32).replace("int main(", SHARED.replace("@CELL@", cell), 1)
    for call in ("infer", "forward", "loss_and_grad"):
        text = text.replace(f"must({cell}_f32_{call}(&a)", f"must(together({cell}_f32_{call}, &a)")
    text = text.replace(
        "    must(" + f"{cell}_f32_sizes", f"    a.parts = THREADS; {tape}\n    must({cell}_f32_sizes", 1
    )
    assert text.count("together(") == 4 and "a.parts = THREADS" in text
    for name in (f"{cell}_f32.c", f"{cell}.h"):
        (work / name).write_text(files(cell)[name])
    (work / "main.c").write_text(text)
    made = work / f"threads_{parts}"
    own = [f for f in FLAGS if not f.startswith(("-D", "-O"))]
    sources = (work / "main.c", work / f"{cell}_f32.c")
    run(
        need("gcc"),
        *own,
        "-O1",
        "-g",
        "-DDERIVE_THREADS",
        *flags,
        f"-DTHREADS={parts}",
        *sources,
        "-o",
        made,
        "-lm",
        "-lpthread",
    )
    return made


@pytest.fixture(scope="module")
def sanitizer(tmp_path_factory):
    """The command before a program under ThreadSanitizer: without random addresses, which old versions cannot read."""
    work = tmp_path_factory.mktemp("tsan")
    (work / "a.c").write_text("int main(void) { return 0; }\n")
    made = subprocess.run([need("gcc"), "-fsanitize=thread", work / "a.c", "-o", work / "a"], capture_output=True)
    before = [need("setarch"), "-R"]
    if made.returncode or subprocess.run([*before, work / "a"], capture_output=True).returncode:
        pytest.skip("ThreadSanitizer does not run here")
    return before


@pytest.mark.parametrize("tape", TAPES)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_no_two_threads_meet_in_memory(cell, tape, tmp_path, sanitizer):
    alone = program(cell, tmp_path, 1, TAPES[tape])
    watched = program(cell, tmp_path, 2, TAPES[tape], "-fsanitize=thread")
    for sizes in SIZES:
        given = case(cell, F32, sizes)
        expected, _ = executed([alone], cell, F32, sizes, given)
        found, said = executed([*sanitizer, watched], cell, F32, sizes, given)
        assert "data race" not in said
        for ours, theirs in zip(found, expected, strict=True):
            for name, value in theirs.items():
                np.testing.assert_array_equal(ours[name], value, err_msg=f"{name} at {sizes}")
