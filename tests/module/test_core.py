"""The core of the runtime alone: calls with plain buffers, in a process that has no NumPy."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cells import Problem, load

ALONE = """
import ast, importlib.util, json, sys
from array import array

sys.modules["numpy"] = None  # an import of it fails
folder, kernels_file = sys.argv[1:3]
given = json.load(sys.stdin)

from derive.runtime.core.problem import Kernels
from derive.runtime.core.problem import Problem
from derive.runtime.core.runner import call
from derive.runtime.core.spec import Spec

tree = ast.parse(open(folder + "/__init__.py").read())
raw = next(ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.AnnAssign) and n.target.id == "SPEC")
found = importlib.util.spec_from_file_location("_kernels", kernels_file)
module = importlib.util.module_from_spec(found)
found.loader.exec_module(module)

spec = Spec(raw)
code = "f" if given["real"] == "f32" else "d"
kernels = Kernels(spec, module, given["real"])
problem = Problem("core", kernels, tuple(given["lead"]), given["dims"])
results = {}
for op in ("infer", "loss_and_grad"):
    for threads in (1, 2):
        run = call(problem, op, threads)
        arrays = {}
        for name in run.fields:
            size = 1
            for axis in problem.shapes[name]:
                size *= axis
            arrays[name] = array(code, given["arrays"].get(name, [0.0] * size))
            assert len(arrays[name]) == size, name
        for again in (1, 2):  # the second call finds the runner of the first
            loss = run.run(list(arrays.values()))
        written = [n for n in run.fields if n in kernels.results or n in kernels.gradients]
        results[f"{op} {threads}"] = {"loss": loss, **{n: arrays[n].tolist() for n in written}}
assert not [n for n in sys.modules if n.startswith("derive.runtime.numpy")]
print(json.dumps(results))
"""


@pytest.mark.parametrize("real", ["f32", "f64"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("batch", [5, None])
def test_calls_with_plain_buffers_give_the_bits_of_calls_with_arrays(cell, real, batch):
    module = load(cell)
    p = Problem(module, 6, 5 if batch else 1, np.float32 if real == "f32" else np.float64)
    if batch is None:
        p.x, p.y, p.state = p.x[:, 0], p.y[:, 0], tuple(s[0] for s in p.state)
    arrays = {"x": p.x, "y": p.y, **p.params}
    arrays |= {f"{s}_0": a for s, a in zip(module.STATES, p.state, strict=True)}
    given = {"real": real, "lead": p.x.shape[:-1], "dims": p.dims}
    given["arrays"] = {n: a.astype(float).ravel().tolist() for n, a in arrays.items()}
    command = [sys.executable, "-c", ALONE, str(Path(module.__file__).parent), module._kernels.__file__]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for threads in (1, 2):
        out, final = module.infer(p.x, p.params, p.state, threads=threads)
        loss, grads = module.loss_and_grad(p.x, p.y, p.params, p.state, threads=threads)
        expected = {"out": out, **{f"{s}_T": a for s, a in zip(module.STATES, final, strict=True)}}
        for name, array in expected.items():
            assert found[f"infer {threads}"][name] == array.ravel().tolist(), name
        own = found[f"loss_and_grad {threads}"]
        assert own["loss"] == loss
        for name, array in grads.items():
            field = f"d_{name[:-1]}_0" if name[:-1] in module.STATES and name.endswith("0") else f"d_{name}"
            assert own[field] == array.ravel().tolist(), name


def test_public_names_of_the_runtime_come_when_they_are_asked_for():
    program = """
import sys
import derive.runtime
assert not [n for n in sys.modules if n.startswith("derive.runtime.") or n == "numpy"]
from derive.runtime import KEPT, compiled
assert "numpy" not in sys.modules
for name in derive.runtime.__all__:
    assert getattr(derive.runtime, name) is not None
try:
    derive.runtime.Cells
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "module 'derive.runtime' has no attribute 'Cells'\n", done.stderr
