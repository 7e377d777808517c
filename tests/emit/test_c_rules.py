"""The rules of the generated C: no warnings, no memory of its own, no constants of another type, IDs that match."""

import itertools
import re

import pytest
from c_tools import (
    CELLS,
    CPP_WARNINGS,
    FLAGS,
    INCLUDE,
    ISA_FLAGS,
    MATH,
    REALS,
    WARNINGS,
    compilers,
    files,
    folder,
    need,
    run,
)

from derive import generation, registry
from derive.backends.c.schedule import plan
from derive.backends.c.target import TARGET
from derive.backends.shared.names import c_name
from derive.pipeline import model

CALLS = ("sizes", "infer", "forward", "backward", "loss_and_grad")


def sources(cell):
    return [n for n in files(cell) if n.endswith(".c")]


def without_comments(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


# -- compilers ---------------------------------------------------------------------------------------------------------


C99, CPP = ("-x", "c", "-std=c99"), ("-x", "c++", "-std=c++11")
COMPILERS = {"gcc": C99, "clang": C99, "g++": CPP, "clang++": CPP}
LEVELS = ("-Os", "-O2", "-O3")
PATHS = ("base", "portable")


def quiet(compiler, level, path, cell, real):
    """Compile one file with the project's warnings, all of them errors; those for C++ are fewer."""
    warnings = WARNINGS if COMPILERS[compiler] is C99 else CPP_WARNINGS
    code = folder(cell) / f"{cell}_{real.tag}.c"
    how = [*COMPILERS[compiler], level, *MATH, *warnings, *ISA_FLAGS[path], *INCLUDE]
    run(need(compiler), *how, "-c", code, "-o", "/dev/null")


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("level", ["-Os", "-O3"])
def test_no_warnings(level, path, compiler):
    """An optimiser sees more: values that may be uninitialised, loops that run too far."""
    quiet(compiler, level, path, "rnn", REALS[LEVELS.index(level) % 2])


# Every cell with every compiler and path; levels and types take turns, so that each meets each of the others somewhere.
TURNS = [
    (cell, path, compiler, LEVELS[(i + j + k) % 3], REALS[(i + k) % 2])
    for i, cell in enumerate(c for c in CELLS if c != "rnn")
    for j, path in enumerate(PATHS)
    for k, compiler in enumerate(("gcc", "clang"))
]


@pytest.mark.parametrize(("cell", "path", "compiler", "level", "real"), TURNS)
def test_no_warnings_in_any_cell(cell, path, compiler, level, real):
    quiet(compiler, level, path, cell, real)


@pytest.mark.parametrize(("isa", "compiler"), [("avx2", "gcc"), ("avx512", "clang")])
def test_no_warnings_with_wider_vectors(isa, compiler):
    """The cell with the most kinds of stages."""
    for real in REALS:
        quiet(compiler, "-O1", isa, "lstm_layernorm", real)


@pytest.mark.exhaustive
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("path", ISA_FLAGS)
@pytest.mark.parametrize("cell", CELLS)
def test_no_warnings_at_all(cell, path, compiler):
    for real, level in itertools.product(REALS, ("-O0", *LEVELS)):
        quiet(compiler, level, path, cell, real)


@pytest.mark.parametrize(("cell", "compiler"), [(c, ("gcc", "clang")[k % 2]) for k, c in enumerate(CELLS)])
def test_no_warnings_in_what_is_shipped(cell, compiler, tmp_path):
    """Every file as the extension module is built from it."""
    for name in sources(cell):
        run(need(compiler), *FLAGS, *WARNINGS, *INCLUDE, "-fsyntax-only", folder(cell) / name)


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("cell", CELLS)
def test_compiles_as_cpp(cell, compiler):
    for name in (f"{cell}_f32.c", f"{cell}_dispatch.c"):
        run(need(compiler), "-x", "c++", "-std=c++11", *CPP_WARNINGS, *INCLUDE, "-fsyntax-only", folder(cell) / name)


@pytest.mark.parametrize(("isa", "compiler"), [("avx2", "clang++"), ("avx512", "g++")])
def test_compiles_as_cpp_with_wider_vectors(isa, compiler):
    for real in REALS:
        quiet(compiler, "-O1", isa, "gru", real)


@pytest.mark.parametrize("compiler", ["gcc", "clang", "g++", "clang++"])
def test_headers_alone(compiler, tmp_path):
    """Each alone, then all in one file, each twice."""
    language = ("-x", "c++", "-std=c++11") if "++" in compiler else ("-x", "c", "-std=c99", *WARNINGS)
    together = ""
    for cell in CELLS:
        text = (
            f'#include "{folder(cell) / f"{cell}.h"}"\n#include "{folder(cell) / f"{cell}.h"}"\n'
            f"const char *use_{cell}(int code);\nconst char *use_{cell}(int code) {{ return {cell}_error(code); }}\n"
        )
        together += text
        (tmp_path / "alone.c").write_text(text)
        run(need(compiler), *language, *CPP_WARNINGS, "-fsyntax-only", tmp_path / "alone.c")
    (tmp_path / "together.c").write_text(together)
    run(need(compiler), *language, *CPP_WARNINGS, "-fsyntax-only", tmp_path / "together.c")


# -- what is in the objects --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("cell", CELLS)
def test_objects_hold_functions_only(cell, compiler, tmp_path):
    """No variable, mutable or zero-filled (a table of constants is none), and no name but those of the header; of the C
    library only what computes, and in a build for threads what one that waits for others calls where the system has it.
    Code for a fixed address: elsewhere the loader must write to a table of pointers."""
    for real, threads in zip(REALS, ([], ["-DDERIVE_THREADS"]), strict=True):
        made = tmp_path / "made.o"
        run(
            compiler,
            "-std=c99",
            "-O0",
            *MATH,
            "-fno-pic",
            "-fno-pie",
            *threads,
            *INCLUDE,
            "-c",
            folder(cell) / f"{cell}_{real.tag}.c",
            "-o",
            made,
        )
        lines = [line.split() for line in run(need("nm"), made).splitlines()]
        assert not [line for line in lines if line[-2] in "dDbBCcgGsS"], "variables"
        assert {line[-1] for line in lines if line[-2] in "TRVW"} == {f"{cell}_{real.tag}_{call}" for call in CALLS}
        used = {line[-1] for line in lines if line[-2] == "U"} - {"_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
        assert used <= {"memcpy", "memset", "memmove", "sqrt", "sqrtf", *(["sched_yield"] if threads else [])}, used


@pytest.mark.parametrize("cell", ["rnn", "lstm_readout"])
def test_dispatch_names(cell, tmp_path):
    """One library of all files exports the names of the header, and those with the tag of an instruction set."""
    public = {f"{cell}_{real.tag}_{call}" for real in REALS for call in CALLS}
    tags = ("_base", *(f"_{isa.tag}" for isa in TARGET.built))
    exported = set()
    for name in sources(cell):
        run(
            need("gcc"),
            "-std=c99",
            "-O0",
            *MATH,
            "-fno-pic",
            "-fno-pie",
            "-DDERIVE_DISPATCH",
            *INCLUDE,
            "-c",
            folder(cell) / name,
            "-o",
            tmp_path / "made.o",
        )
        lines = [line.split() for line in run(need("nm"), tmp_path / "made.o").splitlines()]
        assert not [line for line in lines if line[-2] in "dDbBCcgGsS"], name
        new = {line[-1] for line in lines if line[-2] in "TRVW"}
        assert not exported & new, "defined twice"
        exported |= new
    assert exported == public | {f"{cell}_isa", f"{cell}_parts"} | {name + tag for name in public for tag in tags}


# -- the text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_text(cell):
    for name, text in files(cell).items():
        assert text.endswith("\n") and "\r" not in text and not re.search(r"[ \t]$", text, re.MULTILINE), name
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b|__DATE__|__TIME__|__FILE__", text), f"{name} has a date"
        assert str(generation.ROOT) not in text and not re.search(
            r"(?<![\w.*/])/(home|usr|tmp|work|root|var|opt)/", text
        ), f"{name} has a path"
        if name.endswith((".c", ".h")):
            assert text.isascii(), name
            code = without_comments(text)
            for word in (
                "malloc",
                "calloc",
                "realloc",
                "free",
                "alloca",
                "abort",
                "exit",
                "printf",
                "assert",
                "goto",
                "errno",
            ):
                assert not re.search(rf"\b{word}\b", code), f"{name} has {word}"
            assert not re.search(r"\b(pow|powf|long double|register)\b", code), name
            assert "//" not in code, f"{name} has a comment that C90 tools do not know"


@pytest.mark.parametrize("cell", CELLS)
def test_constants_have_the_type_of_the_file(cell):
    """float: every literal ends in f, which REAL() adds, and there is no double."""
    code = without_comments(files(cell)[f"{cell}_f32.c"])
    assert "#define REAL(literal) literal##f\n" in code
    code = re.sub(r"\bREAL\((-?[\d.e+-]+)\)", r"\1f", code)
    number = re.compile(r"(?<![\w.])(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?(\w*)")
    for line in code.splitlines():
        assert "double" not in line, line
        for whole, power, suffix in number.findall(line):
            assert suffix == "f" or ("." not in whole and not power), line
    assert not re.search(r"\b(exp|log|tanh|sin|cos|sqrt|fabs|log1p|expm1)\(", code)
    wide = re.sub(
        "#include.*", "", without_comments(files(cell)[f"{cell}_f64.c"])
    )  # float.h has the limits of double too
    assert not re.search(r"\d[fF]\b", wide) and not re.search(
        r"\bfloat\b|\b(exp|log|tanh|sin|cos|sqrt|fabs|log1p|expm1)f\(", wide
    )


# -- IDs ---------------------------------------------------------------------------------------------------------------


def ids_of(equations):
    return {i for e in equations for i in e.ids}


def in_comments(text):
    found = set()
    for comment in re.findall(r"/\*.*?\*/", text, flags=re.DOTALL):
        found |= set(re.findall(r"(?<![\w.])[FBPLD]'?\d+'*(?![\w])", comment))
    return found


def copies(made):
    """Boundaries that only say which array begins or ends a sequence: no line of C computes them."""
    return {e.id for kernel in plan(made) for e in kernel.boundaries}


@pytest.mark.parametrize("cell", CELLS)
def test_ids_of_the_model_are_those_of_the_comments(cell):
    made = model(registry.cell(cell))
    scheduled = {i for kernel in plan(made) for i in ids_of(kernel.program.equations)}
    wanted = ids_of(made.primal.equations) | ids_of(made.adjoint.equations)
    assert wanted <= scheduled | copies(made)
    for real in REALS:
        code = files(cell)[f"{cell}_{real.tag}.c"]
        body = code[code.index("/* ==== infer") :]
        written = in_comments(body)
        assert wanted - copies(made) <= written, f"no line for {sorted(wanted - copies(made) - written)}"
        assert written <= wanted | ids_of(made.loss.equations), "an ID that is in no equation"


@pytest.mark.parametrize("cell", CELLS)
def test_ids_stand_where_they_are_computed(cell):
    """A comment with IDs ends a line that assigns to the target of an equation with these IDs."""
    made = model(registry.cell(cell))
    targets = {}
    for kernel in plan(made):
        for e in kernel.program.equations:
            targets.setdefault(", ".join(e.ids), set()).add(c_name(e.target, 0))
    code = files(cell)[f"{cell}_f64.c"]
    marked = re.findall(
        r"^ *(?:const (?:vec|real) )?(?:at->)?(\w+)(?:\[[^=]*\])? \+?= .*; /\* ([FBPLD][^*]*) \*/$", code, re.MULTILINE
    )
    assert len(marked) >= 8
    for name, ids in marked:
        assert name in targets.get(ids, ()), f"{name} is not what {ids} computes"


@pytest.mark.parametrize("cell", CELLS)
def test_header_says_it_all(cell):
    made = model(registry.cell(cell))
    header = files(cell)[f"{cell}.h"]
    for e in made.primal.equations:
        assert re.search(rf"^ \*   {re.escape(e.id)}:", header, re.MULTILINE), e.id
    assert made.digest in header
    for name in [*made.meta["params"], *made.meta["states"]]:
        assert re.search(rf"^ \*   {name}(_0, {name}_T)? ", header, re.MULTILINE), name
