"""Calls with one or two odd arguments, at random: the right result or one exception that names the argument, and no crash."""

import subprocess
import sys
from pathlib import Path

import pytest

CALLS = 2500

PROGRAM = '''
import collections, faulthandler, random, sys, types
faulthandler.enable()
sys.path.insert(0, sys.argv[1])
import numpy as np
from cells import Problem, load
from derive.runtime import DtypeError, ShapeError

R = random.Random(int(sys.argv[2]))
CELLS = [load(name) for name in ("lstm", "rnn", "lstm_readout")]
USUAL = 0.9  # how often an argument is as it should be

class Sub(np.ndarray):
    pass

class Mapping(collections.abc.Mapping):
    def __init__(self, given): self.given = given
    def __getitem__(self, key): return self.given[key]
    def __iter__(self): return iter(self.given)
    def __len__(self): return len(self.given)

def odd(array):
    """Another array in the place of this one, or what is none."""
    count = 2 ** R.randrange(45, 60)  # no machine has so much
    made = R.choice([
        lambda: array[..., ::-1], lambda: np.asfortranarray(array), lambda: array.astype(">f4"), lambda: array.astype(object),
        lambda: array.view(Sub), lambda: np.ma.masked_array(array), lambda: array.tolist(), lambda: array[:0],
        lambda: array[..., :0], lambda: array[None], lambda: array.reshape(-1), lambda: None, lambda: np.float32(1),
        lambda: np.broadcast_to(np.array(1, array.dtype), (count, *array.shape[1:])), lambda: array.astype("f2"),
        lambda: np.full_like(array, np.nan), lambda: np.full_like(array, np.inf), lambda: "array",
        lambda: np.lib.stride_tricks.as_strided(array, array.shape, [0] * array.ndim),
        lambda: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    ])
    try:
        return made()
    except Exception:  # there is no such array
        return odd(array)

def some(usual, *others):
    return usual if R.random() < USUAL else R.choice(others)

def array(usual):
    return some(usual, odd(usual))

def lengths(T, B):
    return some(R.choice([None, [R.randrange(1, T + 1) for _ in range(B)]]),
        [0] * B, [T + 1] * B, [-1] * B, np.array(T), T, [], [[T] * B], np.full(B, T, np.uint64), np.full(B, 2**63, np.uint64),
        np.full(B, True), np.full(B, 1.5), np.full(B, T, object), "abc", np.ma.masked_array([T] * B), [None] * B,
        [2**70] * B, np.full(B, "a"), iter([T] * B), np.full(B, T, ">i4"), {1: T})

def threads():
    return some(R.choice([None, 1, 2, 3]), 0, -1, True, 2.0, "2", 2**70, np.int64(2), np.bool_(1), [1])

def tape(T):
    return some(R.choice([None, "recompute", 1, 2]), T + 5, 0, -1, 2**70, True, 1.5, "x", np.int64(3), b"recompute", [2])

def wrt():
    return some(R.choice([None, "x", "params", "h0", ["x", "h0"]]), {"x"}, (), "", [None], b"x", 3, np.array(["x"]), [["x"]],
        {"x": 1}, "c0", iter(["x", "bias"]), ["params", "x"])

def parameters(p):
    params = {name: some(value, odd(value)) if R.random() < 0.3 else value for name, value in p.params.items()}
    short = dict(list(params.items())[1:])
    return some(params, Mapping(params), types.MappingProxyType(params), [*params.values()], {**params, 3: 1}, short, None,
        collections.defaultdict(lambda: p.x), {})

def states(given):
    return some(R.choice([None, given, [*given], (None,) * len(given)]), given[0], given[:1], tuple(map(odd, given)), {"h": 1},
        iter(given), "hc", given + given, 0)

def run(p, T, B):
    m, b, x = p.module, 1 if B is None else B, array(p.x)
    params, state, some_threads, kept = parameters(p), states(p.state), threads(), tape(T)
    out = some(R.choice([None, np.empty_like(p.d_out)]), p.d_out.copy()[..., ::-1], x, p.y.copy(), np.empty(3), "o",
        p.state[0].copy(), np.empty_like(p.d_out).view(Sub))
    common = {"threads": some_threads, "lengths": lengths(T, b)}
    match R.choice(["infer", "forward", "backward", "loss_and_grad", "plan"]):
        case "infer":
            m.infer(x, params, state, out=out, **common)
        case "forward":
            m.forward(x, params, state, out=out, tape=kept, **common)
        case "loss_and_grad":
            m.loss_and_grad(x, array(p.y), params, state, tape=kept, wrt=wrt(), **common)
        case "backward":
            saved = m.forward(p.x, p.params, p.state, tape=R.choice([None, "recompute", 2]))[2]
            owner = some(m, *CELLS)
            owner.backward(some(saved, None, m), array(p.d_out), states(p.d_state), threads=some_threads, wrt=wrt())
        case "plan":
            steps, batch = some(T, 0, -1, True, 2**40, 2**70, "3", 1.0), some(B, -1, 0, 2**40, True, 2**70)
            plan = m.plan(params, steps, batch, threads=some_threads, tape=kept, wrt=wrt())
            for _ in range(3):
                match R.choice("ilu"):
                    case "i":
                        plan.infer(x, state, out=out, lengths=common["lengths"])
                    case "l":
                        plan.loss_and_grad(x, array(p.y), state, lengths=common["lengths"])
                    case "u":
                        plan.update(some(None, params, p.params))

def same(a, b):
    return np.array_equal(a, b, equal_nan=True)

ends, names = collections.Counter(), tuple(f"{m.SPEC['name']}" for m in CELLS)
for number in range(int(sys.argv[3])):
    T, B = R.randrange(1, 6), R.choice([None, 0, 1, 2, 5])
    sizes = {"inputs": R.randrange(1, 5), "units": R.randrange(1, 8)}
    p = Problem(R.choice(CELLS), T, B, R.choice([np.float32, np.float64]), number, **sizes)
    inputs = [p.x, p.y, p.d_out, *p.params.values(), *p.state, *p.d_state]
    before = [a.copy() for a in inputs]
    try:
        run(p, T, B)
        ends["done"] += 1
    except (TypeError, ValueError, MemoryError) as error:
        assert str(error).startswith(names), (number, error)
        ends["refused"] += 1
    assert all(map(same, inputs, before)), (number, "an argument was written to")
print(ends["done"], ends["refused"])
'''


@pytest.mark.parametrize("seed", [1])
def test_odd_arguments(seed):
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(Path(__file__).parent), str(seed), str(CALLS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    finished, refused = map(int, done.stdout.split())
    assert finished > CALLS // 5 and refused > CALLS // 5, "too many of one kind"
