"""No tensor of a cell can take a name that the generated C has for something else: macros, constants, types, variables.

What the C of all committed cells declares is read from the C; each name must be one that `interface.c_name` avoids.
"""

import re
import subprocess
from functools import cache

import pytest
from c_tools import CELLS, ISA_FLAGS, MATH, REALS, files, need

from derive import ir, registry
from derive import signature as interface
from derive.backends.c.schedule import plan
from derive.backends.shared.names import c_name
from derive.pipeline import model
from derive.runtime.core import extension as runtime
from derive.signature import is_reserved

WORD = r"[A-Za-z_]\w*"
TYPE = r"(?:const |static |struct )*(?:vec|ivec|uvec|real|size_t|int|double|char|mode|args|sums|" + WORD + r"_at)"


@cache
def code(cell, real):
    """The C of a cell, without comments and without continued lines."""
    return re.sub(r"/\*.*?\*/", "", files(cell)[f"{cell}_{real.tag}.c"], flags=re.DOTALL).replace("\\\n", " ")


@cache
def own(cell):
    """Every variable of C that stands for a tensor of the cell."""
    programs = [kernel.program for kernel in plan(model(registry.cell(cell)))]
    return {c_name(name, by) for program in programs for name in program.tensors for by in (-1, 0, 1)}


def stage_functions(text):
    """(parameters, body) of the functions in which equations are computed: those that read `struct <kernel>_at`."""
    found = re.findall(
        rf"^INLINE void \w+\(\s*(const struct {WORD}_at \*at[^)]*)\)\n{{\n(.*?)^}}", text, re.M | re.DOTALL
    )
    assert len(found) > 5
    return found


def declared(text):
    """The names that declarations in a piece of C make."""
    names = set()
    for kind in re.finditer(rf"(?<![\w*]){TYPE}\b([^;{{}}()]*(?:\([^;]*)?)[;:)]", text):
        first = re.split(r",(?![^(]*\))", kind[1])
        names |= {m[1] for part in first if (m := re.match(rf"\s*[*\s]*(?:const )?({WORD})", part))}
    return names


def test_the_parser_of_these_tests_finds_declarations():
    text = "const vec a = f(b, c), d = 1; for (size_t r = 0, stop = n; r < stop; ++r) { real *to; vec w[4]; } int few;"
    assert declared(text) == {"a", "d", "r", "stop", "to", "w", "few"}
    assert declared("const struct infer_at *at, size_t row, vec *sum_1)") >= {"at"}


@pytest.mark.parametrize("real", REALS, ids=lambda real: real.tag)
@pytest.mark.parametrize("cell", CELLS)
def test_what_stands_beside_tensors_is_reserved(cell, real):
    """Parameters and variables of the functions in which a tensor is a variable."""
    seen = set()
    for parameters, body in stage_functions(code(cell, real)):
        names = declared(f"{body}")
        for parameter in parameters.split(","):
            names.add(re.findall(WORD, parameter)[-1])
        assert {"at"} < names
        seen |= names
    assert {"rows", "lanes", "unit"} <= seen
    assert not {name for name in seen - own(cell) if not is_reserved(name)}


@pytest.mark.parametrize("cell", CELLS)
def test_what_such_functions_call_is_reserved(cell):
    """A variable would hide the function, type or constant that the next line uses."""
    for real in REALS:
        for parameters, body in stage_functions(code(cell, real)):
            words = set(re.findall(rf"(?<![\w.])(?<!->){WORD}", parameters + body))
            members = set(re.findall(rf"at->({WORD})", body))
            numbers = {w for w in words if re.fullmatch(r"f|e\d*|x[0-9a-f]*", w)}
            own_functions = {w for w in words if re.fullmatch(r"\w+_at|\w+_(units|rows)", w)}
            left = words - members - numbers - own_functions - own(cell)
            assert not {name for name in left if not is_reserved(name)}


@pytest.mark.parametrize("cell", CELLS)
def test_members_of_the_rows_of_a_step_are_tensors_or_reserved(cell):
    for real in REALS:
        for body in re.findall(rf"^struct {WORD}_at {{\n(.*?)^}};", code(cell, real), re.M | re.DOTALL):
            for name in declared(body):
                assert name in own(cell) or is_reserved(name) or name.removesuffix("_ld") in own(cell), name


def test_a_name_with_the_ending_of_another_does_not_meet_it():
    names = ("c", "c_prev", "c_next", "c_ld", "c_prev_ld", "c_", "c__", "sum", "sum_", "sum_1", "sum_1_", "V", "V_")
    made = [c_name(name, by) for name in names for by in (-1, 0, 1)]
    assert len(made) == len(set(made))
    assert not {f"{name}_ld" for name in made} & set(made)
    assert not {name for name in made if is_reserved(name)}


@pytest.mark.parametrize("cell", CELLS)
def test_constants_and_types_of_a_file_are_reserved(cell):
    for real in REALS:
        text = code(cell, real)
        constants = {
            n for body in re.findall(r"\benum {([^}]*)}", text) for n in re.findall(rf"({WORD})[ =,}}]", body + " ")
        }
        types = set(re.findall(rf"^typedef [^;]*?\b({WORD})(?: __attribute__.*|\[.*|\([^;)]*\))?;", text, re.M))
        assert {"OK", "PARTS", "SEGMENTS"} <= constants and {"real", "vec", "sums", "tile_function"} <= types
        assert not {name for name in (constants | types) - {"tile_function"} if not is_reserved(name)}
        assert is_reserved("tile_function")


@pytest.mark.parametrize("compiler", ["gcc", "clang", "aarch64-linux-gnu-gcc", "arm-linux-gnueabihf-gcc"])
def test_macros_are_reserved(compiler):
    """As the preprocessor lists them, with those of the headers and of the compiler itself; in strict C and in GNU C.

    A macro with arguments replaces its name only before a parenthesis, where no tensor ever stands.
    """
    program = need(compiler)
    variants = [()] + ([(), *ISA_FLAGS.values()] if compiler in ("gcc", "clang") else [("-DDERIVE_PORTABLE",)])
    for cell, real in (("lstm_readout", REALS[0]), ("rnn", REALS[1])):
        for flags in variants:
            done = subprocess.run(
                [program, "-std=c99", *MATH, *flags, "-DDERIVE_DISPATCH", "-dM", "-E", "-x", "c", "-"],
                input=code(cell, real).replace(f'#include "{cell}.h"', files(cell)[f"{cell}.h"]),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            macros = set(re.findall(rf"^#define ({WORD})(?: |$)", done.stdout, re.M))
            assert {"V", "PANEL", "DEPTH"} <= macros
            assert not {name for name in macros if not is_reserved(name)}


def test_macros_written_in_the_files_are_reserved():
    """Of every branch, whatever this processor is; sizes fixed at compile time begin with the name of the cell."""
    for cell in CELLS:
        for name, text in files(cell).items():
            if name.endswith((".c", ".h")):
                for macro in re.findall(rf"^\s*#\s*define ({WORD})(?:\s|$)", text, re.M):
                    assert is_reserved(macro), macro


def test_the_struct_of_arguments_has_members_for_tensors_and_controls_only():
    for cell in CELLS:
        header = re.sub(r"/\*.*?\*/", "", files(cell)[f"{cell}.h"], flags=re.DOTALL)
        for body in re.findall(rf"^typedef struct {{([^}}]*)}} {cell}_f\d\d_args;", header, re.M):
            members = set(re.findall(rf"({WORD})[,;]", body))
            made = model(registry.cell(cell))
            arrays = {place.array for k in plan(made) for place in interface.argument_places(k.program).values()}
            arrays |= {f"d_{n}" for n in arrays} | {"tape", "workspace", "T", *map(str, made.meta["dims"]), str(ir.B)}
            assert members - arrays == set(interface.CONTROLS)
    assert interface.CONTROLS == runtime.CONTROLS
