"""A C program that includes the header of a cell with three inputs: gradients, NULL where one is not wanted, error codes."""

import subprocess

import numpy as np
import pytest
from several import NAMES, several

from derive import check, generation
from derive.pipeline import model
from derive.toolchain.compiler import WARNINGS

SIZES = {"T": 5, "B": 3, "I": 3, "P2": 4, "H": 6, "K": 2}
PROGRAM = r"""
#include "several.h"
#include <stdio.h>
#include <stdlib.h>

static @C@ *given(size_t count)
{
    @C@ *p = malloc(count * sizeof *p);
    if (!p || fread(p, sizeof *p, count, stdin) != count) exit(10);
    return p;
}

static @C@ *room(size_t count)
{
    @C@ *p = malloc(count * sizeof *p);
    if (!p) exit(11);
    for (size_t k = 0; k < count; ++k) p[k] = -1;
    return p;
}

int main(void)
{
    const size_t T = @T@, B = @B@, I = @I@, P2 = @P2@, H = @H@, K = @K@;
    several_@R@_args a = {0};
    several_sizes need;
    size_t bytes;
    @C@ loss;
    a.T = T, a.B = B, a.I = I, a.P2 = P2, a.H = H, a.K = K;
@READ@
@ROOM@
    a.loss = &loss;
    a.tape_every = @EVERY@;
    if (several_@R@_sizes(&a, &need)) return 1;
    bytes = need.loss_and_grad > need.backward ? need.loss_and_grad : need.backward;
    a.tape = malloc(need.tape + 1);
    a.workspace = malloc(bytes), a.workspace_size = bytes;
    if (several_@R@_loss_and_grad(&a)) return 2;
    fwrite(&loss, sizeof loss, 1, stdout);
@WRITE@
    {   /* the same without two of the gradients, and then calls that lack an input */
        several_@R@_args own = a;
        @C@ *before = a.d_u;
        own.d_x = own.d_m = NULL;
        for (size_t k = 0; k < T * B * P2; ++k) before[k] = -2;
        if (several_@R@_backward(&own)) return 3;
        fwrite(a.d_u, sizeof loss, T * B * P2, stdout);
        own = a, own.u = NULL;
        if (several_@R@_infer(&own) != 1 || several_@R@_backward(&own) != 1 || several_@R@_loss_and_grad(&own) != 1) return 4;
        own = a, own.m = NULL;
        if (several_@R@_infer(&own) != 1 || several_@R@_forward(&own) != 1) return 5;
        own = a, own.P2 = 0;
        if (several_@R@_infer(&own) != 2) return 6;
        own = a, own.P2 = (size_t)-1 / 8;
        if (several_@R@_sizes(&own, &need) != 3) return 7;
    }
    return 0;
}
"""


def count(shape):
    return int(np.prod([int(f or 1) * SIZES[d] for f, _, d in (axis.rpartition("*") for axis in shape)], dtype=int))


@pytest.mark.parametrize("every", ["0", "2", "(size_t)-1"])
@pytest.mark.parametrize("real", ["f32", "f64"])
def test_a_program_in_c_gets_the_gradients_of_50_digits(real, every, tmp_path):
    made = model(several)
    call = made.signature.call("loss_and_grad")
    reads, gradients = call.of("in"), [a for a in call.of("out") if a.role == "gradient"]
    rooms = [a for a in (*gradients, *call.of("scratch")) if a.type == "real"]
    dtype = np.float32 if real == "f32" else np.float64
    lines = {
        "READ": [f"a.{a.name} = given({' * '.join(f'({axis})' for axis in a.shape)});" for a in reads],
        "ROOM": [f"a.{a.name} = room({' * '.join(f'({axis})' for axis in a.shape)});" for a in rooms],
        "WRITE": [f"fwrite(a.{a.name}, sizeof loss, {' * '.join(a.shape)}, stdout);" for a in gradients],
    }
    text = PROGRAM
    for name, value in {n: "\n".join(f"    {line}" for line in v) for n, v in lines.items()}.items():
        text = text.replace(f"@{name}@", value)
    words = {
        "R": real,
        "C": "float" if real == "f32" else "double",
        "EVERY": every,
        **{n: str(v) for n, v in SIZES.items()},
    }
    for name, value in words.items():
        text = text.replace(f"@{name}@", value)
    for file, content in generation.standalone(several, (real,)).items():
        (tmp_path / file).write_text(content)
    (tmp_path / "main.c").write_text(text)
    command = ["cc", "-std=c99", "-O0", *WARNINGS, "-o", "main", "main.c", f"several_{real}.c", "-lm"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    problem = check.problem(made, SIZES, dtype)
    values = {**problem.inputs, **problem.params, "y": problem.y}
    values |= {f"{s}_0": a for s, a in zip(several.program().facts.states, problem.state, strict=True)}
    values |= {a.name: np.zeros(count(a.shape)) for a in reads if a.role == "seed"}
    given = b"".join(values[a.name].astype(dtype).tobytes() for a in reads)
    ran = subprocess.run([tmp_path / "main"], input=given, capture_output=True, check=False)
    assert ran.returncode == 0, ran.returncode
    found = np.frombuffer(ran.stdout, dtype)
    loss, expected = check.fifty_digits(made, problem)
    assert {a.of for a in gradients} >= {*NAMES, *problem.params}
    tolerance = 200 * np.finfo(dtype).eps
    np.testing.assert_allclose(found[0], float(loss), rtol=tolerance)
    at = 1
    for a in (*gradients, next(g for g in gradients if g.of == "u")):
        name = f"{a.of[:-2]}0" if a.of.endswith("_0") else a.of
        wanted = expected[name].astype(float).ravel()
        own, at = found[at : at + wanted.size], at + wanted.size
        np.testing.assert_allclose(own, wanted, rtol=0, atol=tolerance * np.abs(wanted).max(), err_msg=a.name)
    assert at == found.size
