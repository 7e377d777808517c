"""Memory: no call touches a byte outside of its arrays, writes what it only reads, or reads what was never written."""

import itertools
import subprocess

import numpy as np
import pytest
from c_tools import CELLS, REALS, best_isa, compilers, need
from driver import program

from derive import registry
from derive.pipeline import model

# T, B, I, H; V is 2, 4, 8 or 16.
SMALL = [
    (1, 1, 1, 1),
    (2, 1, 1, 1),
    (3, 2, 2, 3),
    (2, 3, 3, 2),
    (3, 4, 5, 7),
    (2, 5, 4, 8),
    (3, 1, 8, 9),
    (2, 7, 9, 4),
    (4, 3, 7, 15),
    (2, 6, 15, 16),
    (3, 2, 17, 17),
    (2, 8, 16, 33),
    (1, 2, 33, 5),
    (2, 13, 1, 31),
]
LONG = [(257, 1, 3, 5), (300, 2, 1, 3), (2, 257, 3, 5), (1, 300, 1, 1), (3, 256, 2, 3), (86, 3, 5, 9), (129, 2, 65, 7)]
LONG += [(16_641, 1, 2, 3), (1, 16_641, 1, 5)]  # more blocks of 256 rows than are added before sums are settled


def arguments(cell, sizes, isas, ends=(0, 1)):
    """Sizes as words; dimensions beyond I and H are odd numbers of their own."""
    others = len(model(registry.cell(cell)).meta["dims"]) - 2
    found = []
    for where, isa, (number, (steps, batch, inputs, units)) in itertools.product(ends, isas, enumerate(sizes)):
        for before in (0, 1 + number % 3):
            found += [
                where,
                isa,
                before,
                steps,
                batch,
                inputs,
                units,
                *((units * 2 + 1) % 19 + 1 for _ in range(others)),
            ]
    return [str(n) for n in found]


def execute(*command, **kwargs):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, **kwargs)
    if done.returncode:
        lines = done.stderr.splitlines()
        last = max((k for k, line in enumerate(lines) if line.startswith("sizes")), default=0)
        pytest.fail(f"exit {done.returncode}; where, isa, others, T, B, dims:\n" + "\n".join(lines[last : last + 40]))
    return done.stderr


PLAINEST = ("rnn", "lstm_layernorm", "lstm_readout")


@pytest.mark.parametrize("cell", [c if c in PLAINEST else pytest.param(c, marks=pytest.mark.sanitize) for c in CELLS])
def test_guard_pages(cell, tmp_path):
    made = program(cell, tmp_path, "-O0", "-DGUARD")
    execute(made, *arguments(cell, SMALL + LONG, range(1, best_isa() + 1)))


@pytest.mark.sanitize
@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("cell", CELLS)
def test_guard_pages_when_optimised(cell, compiler, tmp_path):
    made = program(cell, tmp_path, "-O3", "-DGUARD", compiler=compiler)
    execute(made, *arguments(cell, SMALL + LONG, range(1, best_isa() + 1)))


SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.mark.parametrize("cell", ["gru", *(pytest.param(c, marks=pytest.mark.sanitize) for c in CELLS if c != "gru")])
def test_sanitizers(cell, tmp_path):
    made = program(cell, tmp_path, "-O0", *SANITIZERS)
    execute(made, *arguments(cell, SMALL + LONG, range(1, best_isa() + 1), [0]))


@pytest.mark.sanitize
@pytest.mark.parametrize("cell", CELLS)
def test_sanitizers_when_optimised(cell, tmp_path):
    made = program(cell, tmp_path, "-O1", *SANITIZERS)
    execute(made, *arguments(cell, SMALL + LONG, range(1, best_isa() + 1), [0]))


@pytest.mark.sanitize
@pytest.mark.parametrize("cell", CELLS)
def test_sanitizers_without_vectors(cell, tmp_path):
    made = program(cell, tmp_path, "-O1", "-DDERIVE_PORTABLE", *SANITIZERS)
    execute(made, *arguments(cell, SMALL + LONG, [1], [0]))


@pytest.mark.sanitize
@pytest.mark.parametrize("cell", CELLS)
def test_valgrind(cell, tmp_path):
    """No read of what was never written decides anything.  Valgrind does not know AVX-512."""
    made = program(cell, tmp_path, "-O1", "-g")
    report = execute(
        need("valgrind"),
        "--error-exitcode=9",
        "--leak-check=full",
        "-q",
        made,
        *arguments(cell, SMALL + [(257, 1, 3, 5), (2, 257, 2, 3)], range(1, min(best_isa(), 2) + 1), [0]),
    )
    assert "ERROR" not in report


# -- misuse ------------------------------------------------------------------------------------------------------------

CALLS = ("infer", "forward", "backward", "loss_and_grad")


class Arguments:
    """A correct struct for any call, with every array exactly as long as it must be."""

    def __init__(self, cell, real):
        module = pytest.importorskip(f"derive.generated.{cell}")
        self.cell, self.real, self.spec = cell, real, module.SPEC
        self.ffi, self.lib = module._kernels.ffi, module._kernels.lib
        self.args, self.sizes = self.ffi.new(f"{cell}_{real.tag}_args *"), self.ffi.new(f"{cell}_sizes *")
        sizes = {"T": 3, "B": 2, **dict(zip(self.spec["dims"], (5, 7, 3), strict=False))}
        for name, value in sizes.items():
            setattr(self.args, name, value)
        assert self("sizes") == 0
        one = lambda shape: int(np.prod([eval(str(s), {}, sizes) for s in shape]))  # noqa: E731
        states, named = self.spec["states"], {n: (role, *shape) for n, (role, *shape) in self.spec["arguments"].items()}
        self.params = {n: tuple(shape) for n, (role, *shape) in named.items() if role == "param"}
        self.shapes = {
            **{n: named[n][1:] for n in ("x", "out", "y")},
            "loss": (1,),
        }
        self.shapes |= self.params
        self.shapes |= {f"{s}_{e}": ("B", d) for s, d in states.items() for e in ("0", "T")}
        self.shapes |= {f"d_{n}": s for n, s in self.shapes.items() if n not in ("y", "loss")}
        self.arrays = {n: np.full(one(s), 0.25, real.dtype) for n, s in self.shapes.items()}
        self.arrays["tape"] = np.full(self.sizes.tape, 7, np.uint8)
        self.arrays["workspace"] = np.full(max(getattr(self.sizes, c) for c in CALLS), 7, np.uint8)
        self.args.workspace_size = self.arrays["workspace"].size
        for name in self.arrays:
            self.point(name)

    def __call__(self, call, args=True):
        function = getattr(self.lib, f"{self.cell}_{self.real.tag}_{call}")
        first = self.args if args else self.ffi.NULL
        return function(first, self.sizes) if call == "sizes" else function(first)

    def point(self, name):
        pointer = self.ffi.from_buffer(self.arrays[name])
        setattr(self.args, name, pointer if name == "workspace" else self.ffi.cast(f"{self.real.c} *", pointer))

    def needed(self, call):
        """The pointers that the header names for a call."""
        states = list(self.spec["states"])
        reads = ["x", *self.params, *(f"{s}_0" for s in states)]
        seeds, finals = [f"d_{s}_T" for s in states], [f"{s}_T" for s in states]
        grads = [f"d_{n}" for n in reads if n != "x"]
        tape = ["tape"] if self.sizes.tape else []
        more = {
            "infer": [*finals],
            "forward": [*finals, *tape],
            "backward": [*tape, "d_out", *seeds, *grads],
            "loss_and_grad": [*finals, *tape, "y", "loss", "d_out", *seeds, *grads],
        }
        return [*reads, "out", "workspace", *more[call]]

    def refused(self, call, code):
        before = {n: a.copy() for n, a in self.arrays.items()}
        assert self(call) == code, f"{self.cell} {self.real.tag} {call}"
        for name, old in before.items():
            np.testing.assert_array_equal(self.arrays[name], old, f"{call} wrote {name}, although it returned {code}")


@pytest.fixture(params=[(c, r) for c in CELLS for r in REALS], ids=lambda p: f"{p[0]}-{p[1].tag}")
def made(request):
    return Arguments(*request.param)


def test_correct_arguments_pass(made):
    for call in CALLS:
        assert made(call) == 0


def test_null(made):
    for call in ("sizes", *CALLS):
        assert made(call, args=False) == 1
    made.sizes, sizes = made.ffi.NULL, made.sizes
    assert made("sizes") == 1
    made.sizes = sizes
    for call in CALLS:
        for name in made.needed(call):
            setattr(made.args, name, made.ffi.NULL)
            made.refused(call, 1)
            made.point(name)
        for name in set(made.arrays) - set(made.needed(call)):  # what a call does not mention may be NULL
            setattr(made.args, name, made.ffi.NULL)
        assert made(call) == 0
        for name in made.arrays:
            made.point(name)


def test_zero_sizes(made):
    for name in ("T", "B", *made.spec["dims"]):
        old = getattr(made.args, name)
        setattr(made.args, name, 0)
        for call in ("sizes", *CALLS):
            made.refused(call, 2)
        setattr(made.args, name, old)


def test_rows_that_grow(made):
    """`rows` says how many sequences run at each step: all of them at the first, never more than at the step before."""
    size = 2 * made.args.workspace_size  # some calls need more for rows that end
    made.arrays["workspace"] = np.full(size, 7, np.uint8)
    made.point("workspace")
    made.args.workspace_size = size
    for rows, code in (((2, 2, 2), 0), ((2, 1, 1), 0), ((2, 1, 2), 5), ((2, 2, 3), 5), ((1, 1, 1), 5), ((3, 2, 1), 5)):
        made.args.rows = kept = made.ffi.new("size_t[]", rows)
        for call in ("sizes", *CALLS):
            if code:
                made.refused(call, code)
            else:
                assert made(call) == 0, (call, list(kept))


def test_parts_and_batches_that_cannot_be(made):
    """A part is one of at most 1024, which meet somewhere; a call has no more sequences than the batch that it is from."""
    meeting = made.ffi.new("int[16]")
    for fields, code in (
        ({"parts": 2, "part": 2, "meeting": meeting}, 7),
        ({"parts": 2, "part": 3, "meeting": meeting}, 7),
        ({"parts": 1025, "meeting": meeting}, 7),
        ({"batch": 1}, 2),
    ):
        for name, value in fields.items():
            setattr(made.args, name, value)
        for call in ("sizes", *CALLS):
            made.refused(call, code)
        for name in fields:
            setattr(made.args, name, made.ffi.NULL if name == "meeting" else 0)
    made.args.parts = 2
    for call in CALLS:
        made.refused(call, 1)


def test_sizes_that_overflow(made):
    names = ("T", "B", *made.spec["dims"])
    largest = 2 ** (8 * made.ffi.sizeof("size_t")) - 1
    patterns = [{n: largest} for n in ("B", *made.spec["dims"])]
    patterns += [
        dict.fromkeys(names, largest),
        {"T": largest, "B": 2},
        {"T": 2**62},
        {"T": 2**40, "B": 2**22},
        {"T": 2**32, "B": 2**32},
        {"B": 2**31, "H": 2**31},
        {"I": 2**31, "H": 2**31},
        {"H": 2**32},
        {"T": 2**30, "B": 2**20, "I": 2**14, "H": 1},
    ]
    for pattern in patterns:
        old = {n: getattr(made.args, n) for n in pattern}
        for name, value in pattern.items():
            setattr(made.args, name, value)
        for call in ("sizes", *CALLS):
            made.refused(call, 3)
        for name, value in old.items():
            setattr(made.args, name, value)


def test_workspace_too_small(made):
    """A byte less than `sizes` says is refused, by every call and before anything is written; exactly as many pass."""
    for call in CALLS:
        exact = getattr(made.sizes, call)
        for size in (exact - 1, exact // 2, 0):
            made.args.workspace_size = size
            made.refused(call, 4)
        made.args.workspace_size = exact
        assert made(call) == 0


def test_packed_weights_must_be_there(made):
    """packed = 1 on a workspace into which no call packed, or another function, or one for other sizes, or for itself alone."""
    out, names = made.arrays["out"], ("infer", "forward")
    for call in names:
        made.args.packed = 1
        made.refused(call, 8)
    for call, other in (names, names[::-1]):
        made.args.packed = 0
        assert made(call) == 0
        expected = out.copy()
        made.args.packed = 1
        made.refused(call, 8)
        made.args.packed = 2
        assert made(call) == 0
        made.args.packed = 1
        out[:] = 7
        assert made(call) == 0
        np.testing.assert_array_equal(out, expected)
        made.refused(other, 8)
        made.args.T, made.args.B = 1, 1  # the weights are the same for any number of steps and sequences
        assert made(call) == 0
        made.args.T, made.args.B = 3, 2
        for name in made.spec["dims"]:
            setattr(made.args, name, getattr(made.args, name) - 1)
            made.refused(call, 8)
            setattr(made.args, name, getattr(made.args, name) + 1)
        assert made("loss_and_grad") == 0  # uses the workspace for its own weights
        made.refused(call, 8)


def test_packed_weights_of_segments(made):
    """With tape_every = k `forward` runs segments by the kernel of `infer`, each of them with the weights that the first packed."""
    made.args.tape_every = 2
    assert made("sizes") == 0
    made.arrays["tape"] = np.zeros(made.sizes.tape, np.uint8)
    made.point("tape")
    for packed, code in ((1, 8), (2, 0), (1, 0)):
        made.args.packed = packed
        if code:
            made.refused("forward", code)
        assert made("forward") == code
    assert made("infer") == 0


def test_error_texts(made):
    error = getattr(made.lib, f"{made.cell}_error")
    texts = [made.ffi.string(error(code)).decode() for code in range(10)]
    assert len(set(texts)) == 10 and texts[0] == "no error"
    words = ("NULL", "0", "size_t", "workspace", "rows", "sizes", "part", "packed", "unknown")
    for code, word in enumerate(words, 1):
        assert word in texts[code]
