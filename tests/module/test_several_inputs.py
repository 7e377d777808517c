"""Cells that read several inputs: every call, every gradient, and what is said where an input is missing or wrong."""

import itertools
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from several import NAMES, several

from derive import check, verify
from derive.pipeline import model
from derive.runtime import DtypeError, ShapeError
from tests.campaign import quick

SIZES = {"I": 3, "P2": 4, "H": 5, "K": 2}
T, B = 6, 4
BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    how = quick.Build(flags=("-O0", "-DDERIVE_THREADS"))
    return quick.build(several, None, tmp_path_factory.mktemp("several"), how)


class Given:
    """Arguments of a call: the first input, the others by name, and the rest."""

    def __init__(self, module, dtype=np.float64, steps=T, batch=B, seed=0):
        rng = np.random.default_rng(seed)
        lead = (steps,) if batch is None else (steps, batch)
        self.module = module

        def normal(*shape):
            return rng.normal(size=shape).astype(dtype)

        self.x = normal(*lead, SIZES["I"])
        self.more = {"u": normal(*lead, SIZES["P2"]), "m": normal(*lead, SIZES["H"])}
        self.y, self.d_out = normal(*lead, SIZES["H"]), normal(*lead, SIZES["H"])
        self.state, self.d_state = (tuple(normal(*lead[1:], SIZES[d]) for d in "HK") for _ in range(2))
        self.params = module.init_params(*(SIZES[d] for d in module.SPEC["dims"]), dtype=dtype, seed=seed)

    def everything(self, **options):
        """The results of all calls in one dict."""
        infer = {n: v for n, v in options.items() if n != "tape"}
        out, final = self.module.infer(self.x, self.params, self.state, **infer, **self.more)
        out2, final2, tape = self.module.forward(self.x, self.params, self.state, **options, **self.more)
        loss, of_loss = self.module.loss_and_grad(self.x, self.y, self.params, self.state, **options, **self.more)
        grads = self.module.backward(tape, self.d_out, self.d_state)
        found = {"out": out, "out of forward": out2, "loss": np.asarray(loss)}
        found |= {f"final {k}": a for k, a in enumerate((*final, *final2))}
        return found | {f"d {n}": a for n, a in grads.items()} | {f"dL {n}": a for n, a in of_loss.items()}


def near(found, expected, digits):
    assert list(found) == list(expected)
    for name, value in found.items():
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=10.0**-digits * scale, err_msg=name)


def same(found, expected):
    assert list(found) == list(expected)
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_loss_and_every_gradient_are_those_of_50_digits(module):
    """Through the interpreter, by a complex step, in both dtypes; all sizes differ and T = 3."""
    made = model(several)
    sizes = {"T": 3, "B": 2, **SIZES}
    rows = check.compiled(made, module, "mpmath", sizes, lambda q: check.fifty_digits(made, q))
    names = {"loss", *NAMES, *module.PARAMS, "h0", "s0"}
    assert {r.gradient for r in rows} == names and len(rows) == 2 * len(names)
    assert [r for r in rows if not r.ok] == []


def test_validation_passes_and_sees_each_gradient_that_is_wrong(module):
    assert verify.validate(module, several) == []
    for wrong in NAMES:

        def backward(*args, wrong=wrong, **options):
            grads = module.backward(*args, **options)
            return {n: a * 1.01 if n == wrong else a for n, a in grads.items()}

        doctored = SimpleNamespace(**{**vars(module), "backward": backward})
        found = verify.validate(doctored, several)
        assert found and all(f"with respect to {wrong} by" in sentence for sentence in found), found


def test_validation_sees_inputs_that_are_taken_for_each_other(module):
    given = {n: [*v[:-1], "H" if n == "u" else v[-1]] for n, v in module.SPEC["arguments"].items()}
    doctored = SimpleNamespace(**{**vars(module), "SPEC": {**module.SPEC, "arguments": given}})
    assert any("the inputs are" in sentence for sentence in verify.validate(doctored, several))


def test_the_module_says_what_it_reads(module):
    arguments = module.SPEC["arguments"]
    assert [n for n, (role, *_) in arguments.items() if role == "input"] == list(NAMES)
    assert [arguments[n][-1] for n in NAMES] == ["I", "P2", "H"]
    assert module.SPEC["calls"]["infer"][:3] == list(NAMES)
    assert "infer(x, params, u=u, m=m)" in module.__doc__
    assert list(model(several).signature.inputs.items()) == [("x", "I"), ("u", "P2"), ("m", "H")]


@BOTH
def test_gradients_have_the_names_and_shapes_of_the_inputs(module, dtype):
    p = Given(module, dtype)
    _, grads = module.loss_and_grad(p.x, p.y, p.params, p.state, **p.more)
    assert list(grads) == [*NAMES, *module.PARAMS, "h0", "s0"]
    for name, array in {"x": p.x, **p.more}.items():
        assert grads[name].shape == array.shape and grads[name].dtype == dtype and grads[name].any()


@BOTH
def test_any_of_the_gradients_may_be_left_away(module, dtype):
    p = Given(module, dtype)
    _, _, tape = module.forward(p.x, p.params, p.state, **p.more)
    names = [*NAMES, "params", "h0"]
    calls = {
        "backward": lambda wrt: module.backward(tape, p.d_out, p.d_state, wrt=wrt),
        "loss": lambda wrt: module.loss_and_grad(p.x, p.y, p.params, p.state, wrt=wrt, **p.more)[1],
        "plan": lambda wrt: module.plan(p.params, T, B, wrt=wrt).loss_and_grad(p.x, p.y, p.state, **p.more)[1],
    }
    for title, call in calls.items():
        whole = call(None)
        for count in (1, 2, 3):
            for wrt in itertools.combinations(names, count):
                wanted = {*wrt, *(module.PARAMS if "params" in wrt else ())} - {"params"}
                same(call(wrt), {n: a for n, a in whole.items() if n in wanted})
        assert len(whole) == len(NAMES) + len(module.PARAMS) + 2, title


@BOTH
@pytest.mark.parametrize("tape", ["recompute", 1, 2, 4])
def test_a_tape_of_some_states_gives_the_same(module, dtype, tape):
    p = Given(module, dtype)
    near(p.everything(tape=tape), p.everything(), 5 if dtype == np.float32 else 13)


@BOTH
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_give_the_same(module, dtype, threads):
    p = Given(module, dtype)
    near(p.everything(threads=threads), p.everything(threads=1), 5 if dtype == np.float32 else 13)


@BOTH
def test_threads_that_share_the_units_give_the_same_bits(module, dtype):
    p = Given(module, dtype, batch=1)
    same(p.everything(threads=2), p.everything(threads=1))


@BOTH
@pytest.mark.parametrize("options", [{}, {"threads": 2}, {"tape": 2}, {"tape": "recompute"}], ids=str)
def test_sequences_of_different_length_are_as_each_alone(module, dtype, options):
    p = Given(module, dtype)
    lengths = np.array([2, 6, 1, 4])
    whole = p.everything(lengths=lengths, **options)
    sums = {f"{d} {n}": 0 for d in ("d", "dL") for n in module.PARAMS}
    digits = 5 if dtype == np.float32 else 12
    for row, length in enumerate(lengths):
        one = Given(module, dtype, batch=None)
        one.params = p.params
        one.x, one.y, one.d_out = (np.ascontiguousarray(a[:length, row]) for a in (p.x, p.y, p.d_out))
        one.more = {n: np.ascontiguousarray(a[:length, row]) for n, a in p.more.items()}
        one.state, one.d_state = (tuple(a[row] for a in s) for s in (p.state, p.d_state))
        for name, value in one.everything().items():
            if name in sums:
                sums[name] = sums[name] + value
            elif name.split()[-1] in NAMES or name.startswith("out"):
                np.testing.assert_allclose(
                    whole[name][:length, row], value, rtol=10.0 ** (1 - digits), atol=10.0**-digits
                )
                rest = whole[name][length:, row]
                assert (rest == (whole[name][length - 1, row] if name.startswith("out") else 0)).all(), name
            elif name != "loss":
                np.testing.assert_allclose(whole[name][row], value, rtol=10.0 ** (1 - digits), atol=10.0**-digits)
    near({n: whole[n] for n in sums}, sums, digits)


def test_after_its_end_no_input_of_a_sequence_is_read(module):
    p = Given(module)
    lengths = np.array([2, 6, 1, 4])
    before = p.everything(lengths=lengths)
    for array in (p.x, *p.more.values()):
        for row, length in enumerate(lengths):
            array[length:, row] = np.nan
    same(p.everything(lengths=lengths), before)


@BOTH
@pytest.mark.parametrize("batch", [B, None, 0])
def test_a_plan_gives_the_same_bits(module, dtype, batch):
    p = Given(module, dtype, batch=batch)
    plan = module.plan(p.params, T, batch)
    out, final = module.infer(p.x, p.params, p.state, **p.more)
    loss, grads = module.loss_and_grad(p.x, p.y, p.params, p.state, **p.more)
    for _ in range(3):
        out2, final2 = plan.infer(p.x, p.state, **p.more)
        same({"out": out2, "h": final2[0], "s": final2[1]}, {"out": out, "h": final[0], "s": final[1]})
        loss2, grads2 = plan.loss_and_grad(p.x, p.y, p.state, **p.more)
        assert loss2 == loss
        same(grads2, grads)
    if batch:
        lengths = [1, 6, 3, 2]
        same(
            {"out": plan.infer(p.x, p.state, lengths=lengths, **p.more)[0]},
            {"out": module.infer(p.x, p.params, p.state, lengths=lengths, **p.more)[0]},
        )
        same(
            plan.loss_and_grad(p.x, p.y, p.state, lengths=lengths, **p.more)[1],
            module.loss_and_grad(p.x, p.y, p.params, p.state, lengths=lengths, **p.more)[1],
        )


def test_a_stream_of_single_steps_gives_what_the_whole_sequence_gives(module):
    p = Given(module)
    out, final = module.infer(p.x, p.params, p.state, **p.more)
    plan, state = module.plan(p.params, 1, B), p.state
    for t in range(T):
        step, state = plan.infer(p.x[t : t + 1], state, **{n: a[t : t + 1] for n, a in p.more.items()})
        np.testing.assert_allclose(step[0], out[t], rtol=1e-12)
    np.testing.assert_allclose(state[0], final[0], rtol=1e-12)


def test_a_result_of_a_plan_may_be_its_next_input(module):
    p = Given(module)
    plan = module.plan(p.params, T, B)
    out = plan.infer(p.x, p.state, **p.more)[0]
    expected = module.infer(p.x, p.params, p.state, u=p.more["u"], m=out.copy())[0]
    np.testing.assert_array_equal(plan.infer(p.x, p.state, u=p.more["u"], m=out)[0], expected)
    with pytest.raises(ValueError, match="out overlaps m"):
        plan.infer(p.x, p.state, out=p.more["m"], **p.more)
    with pytest.raises(ValueError, match="out overlaps m"):
        module.infer(p.x, p.params, p.state, out=p.more["m"], **p.more)


def test_inputs_may_lie_in_memory_as_they_like(module):
    p = Given(module)
    expected = p.everything()
    p.x, p.more["u"] = np.asfortranarray(p.x), p.more["u"][:, ::-1][:, ::-1]
    big = np.zeros((T, B, 2 * SIZES["H"]))
    big[:, :, ::2] = p.more["m"]
    p.more["m"] = big[:, :, ::2]
    same(p.everything(), expected)


def test_without_sequences_results_are_empty(module):
    p = Given(module, batch=0)
    loss, grads = module.loss_and_grad(p.x, p.y, p.params, **p.more)
    assert loss == 0 and all(grads[n].shape == (T, 0, SIZES[d]) for n, d in (("x", "I"), ("u", "P2"), ("m", "H")))
    assert not any(grads[n].any() for n in module.PARAMS)


def test_memory_counts_the_gradients_of_all_inputs(module):
    p = Given(module, np.float32)
    sizes = {keyword: SIZES[d] for d, keyword in module.SPEC["dims"].items()}
    _, grads = module.loss_and_grad(p.x, p.y, p.params, p.state, **p.more)
    assert module.memory(**sizes, steps=T, batch=B).out == sum(a.nbytes for a in grads.values())


def test_functions_are_pickled_by_reference():
    from derive.generated import lstm

    assert pickle.loads(pickle.dumps(lstm.infer)) == lstm.infer


def wrong(name, change):
    """The arguments with one of the further inputs changed."""
    return lambda p: {**p.more, name: change(p.more[name])}


MISTAKES = {
    "a missing input": (lambda p: {"u": p.more["u"]}, TypeError, "missing m; several reads 3 inputs, x as its first"),
    "all further inputs missing": (lambda p: {}, TypeError, r"missing u, m; .*\(\.\.\., u=u, m=m\)"),
    "an unknown keyword": (
        lambda p: {**p.more, "length": [1] * B},
        TypeError,
        r"unexpected keyword argument 'length' \(did you mean 'lengths'\?\); several reads the inputs x first, then by "
        "keyword u, m",
    ),
    "another letter": (lambda p: {"U": p.more["u"], "m": p.more["m"]}, TypeError, "unexpected keyword argument 'U'"),
    "no array": (wrong("u", list), TypeError, r"u must be a NumPy array of float64, found list"),
    "another dtype": (wrong("m", lambda a: a.astype(np.float32)), DtypeError, "m is float32, but x is float64"),
    "another number of steps": (
        wrong("u", lambda a: a[1:]),
        ShapeError,
        r"u must have shape \(T, B, P2\) with \(T, B\) = \(6, 4\) as x has, found \(5, 4, 4\)",
    ),
    "another batch": (
        wrong("m", lambda a: a[:, 1:]),
        ShapeError,
        r"m must have shape \(T, B, H\) with \(T, B\) = \(6, 4\) as x has, found \(6, 3, 5\)",
    ),
    "no batch axis": (wrong("u", lambda a: a[:, 0]), ShapeError, r"u must have shape \(T, B, P2\).* found \(6, 4\)"),
    "another size": (
        wrong("u", lambda a: a[..., 1:].copy()),
        ShapeError,
        r"u.shape\[-1\] must be equal to p2_size. Expected 4 \(from params\['R'\]\), got 3",
    ),
    "another size, of the units": (
        wrong("m", lambda a: a[..., 1:].copy()),
        ShapeError,
        r"m.shape\[-1\] must be equal to hidden_size. Expected 5",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_in_an_input_is_told_by_its_name(module, case):
    more, error, words = MISTAKES[case]
    p = Given(module)
    more = more(p)
    for op, call in {
        "infer": lambda: module.infer(p.x, p.params, p.state, **more),
        "forward": lambda: module.forward(p.x, p.params, p.state, **more),
        "loss_and_grad": lambda: module.loss_and_grad(p.x, p.y, p.params, p.state, **more),
    }.items():
        with pytest.raises(error, match=rf"several\.{op}: {words}"):
            call()
    plan = module.plan(p.params, T, B)
    for call in (lambda: plan.infer(p.x, p.state, **more), lambda: plan.loss_and_grad(p.x, p.y, p.state, **more)):
        with pytest.raises(error, match=r"several\.plan\.\w+: "):
            call()
    p.everything()  # a call that raised has changed nothing


def test_the_first_input_has_no_keyword_of_its_own_and_others_of_one_input_have_none(module):
    p = Given(module)
    with pytest.raises(ValueError, match=r"wrt has 'v'; the gradients of several are x, u, m, params"):
        module.loss_and_grad(p.x, p.y, p.params, wrt="v", **p.more)
    from derive.generated import lstm

    params = lstm.init_params(3, 4)
    x = np.zeros((2, 1, 3), np.float32)
    with pytest.raises(
        TypeError, match=r"lstm\.infer: unexpected keyword argument 'thread' \(did you mean 'threads'\?\)"
    ):
        lstm.infer(x, params, thread=1)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'u'; lstm reads the inputs x alone"):
        lstm.plan(params, 2, 1).infer(x, u=x)


def test_sizes_that_are_known_at_compile_time(tmp_path, monkeypatch):
    """The sizes of further inputs too; calls of any other size are refused."""
    import derive
    from derive.runtime import KernelError
    from derive.toolchain import compiler

    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path))
    monkeypatch.setattr(compiler, "FLAGS", ("-O0", *(f for f in compiler.FLAGS if f != "-O3")))
    fixed = derive.build(several, sizes={"P2": 4, "H": 5})  # examined before it comes here
    p = Given(fixed)
    p.everything()
    p.params = fixed.init_params(*({**SIZES, "P2": 6}[d] for d in fixed.SPEC["dims"]), dtype=np.float64)
    p.more["u"] = np.zeros((T, B, 6))
    with pytest.raises((KernelError, MemoryError), match="other sizes"):
        fixed.infer(p.x, p.params, **p.more)
