"""From what was written to a program: roles, times and names of the tensors, and the equations at the ends of time."""

from __future__ import annotations

import inspect
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import sympy as sp

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Facts, Origin, Program, T, Tensor, t
from derive.notation import checks
from derive.notation.delays import with_delays
from derive.notation.inputs import check_inputs
from derive.notation.options import Options
from derive.notation.sizes import Sizes
from derive.notation.spelling import GREEK, name_of_cell, spelled, spellings
from derive.notation.symbols import whole
from derive.notation.writer import Name, Writer

SIZES = {"I": "input_size", "H": "hidden_size", "O": "output_size"}  # what the interfaces call them


def written(
    kind: str,
    function: Callable[..., None],
    states: list[str],
    gates: list[str],
    public: Mapping[str, str],
    inputs: Sequence[str] = (),
    options: Options | None = None,
) -> Program:
    """The program that a function writes, not yet in normal form.

    `kind` is what the function is, a cell, a head or a loss; `states`, `gates` and `inputs` are names of arguments, `public`
    maps public names of parameters and inputs to arguments.  Raises DeriveError with the cell, the equation and its line
    for what has no meaning.
    """
    options = options or Options()
    checks.check_function(kind, function)
    where = f"{kind} {function.__name__}"
    name = name_of_cell(where, function.__name__, f"the name of the {kind}")
    arguments = list(inspect.signature(function).parameters)
    states, gates, inputs = (
        [unicodedata.normalize("NFKC", name) for name in names] for names in (states, gates, inputs)
    )
    public = {given: unicodedata.normalize("NFKC", name) for given, name in public.items()}
    checks.check_names(where, arguments, [*states, *gates, *inputs, *public.values(), *options.arguments])
    checks.check_arguments(where, function, states, gates, inputs)
    constants = options.numbers(where, [*states, *gates, *inputs, *public.values(), *options.init])
    names = spellings(where, arguments)
    writer = Writer(where)
    writer.run(function, [constants.get(a, names[a]) for a in arguments])
    checks.check_written(writer, [names[a] for a in arguments if a not in constants])
    count = _counted(kind, writer)
    kept = with_delays(writer, [names[s] for s in states]) if states else []
    return _program(
        name,
        writer,
        kept,
        [names[g] for g in gates],
        [names[x] for x in inputs],
        {names[symbol]: given if given.isascii() else spelled(given) for given, symbol in _once(where, public).items()},
        options.spelled(names),
        count,
    )


def _counted(kind: str, writer: Writer) -> str:
    """The name of the number by which a mean over time divides, where a loss has one; that number is given by the caller."""
    steps = whole(t)
    if not any(rhs.has(steps) for _, rhs in writer.equations):
        return ""
    if kind != "loss":
        p = next(p for p, (_, rhs) in enumerate(writer.equations) if rhs.has(steps))
        raise writer.mistake(p, "a mean over time belongs into a loss")
    name = ir.unused_name("count", writer.names)
    number = writer.access(str(writer.argument(name)), ())
    writer.equations = [(lhs, rhs.xreplace({steps: number})) for lhs, rhs in writer.equations]
    return name


def _once(where: str, public: Mapping[str, str]) -> Mapping[str, str]:
    """The public names; DeriveError for an argument that has two."""
    for given, symbol in public.items():
        if other := [g for g, s in public.items() if s == symbol and g != given]:
            raise DeriveError(f"{where}: {symbol} has two public names, {given} and {other[0]}; one array has one name")
    return public


def _program(
    name: str,
    writer: Writer,
    states: list[str],
    gates: list[str],
    declared: list[str],
    public: dict[str, str],
    options: Options,
    count: str = "",
) -> Program:
    where, sizes = writer.where, Sizes(writer.where, writer, states)
    assigned = [ir.name_of(lhs) for lhs, _ in writer.equations]
    checks.check_gates(writer, gates, sizes.timed)
    tensors = {label: _tensor(writer.names[label], sizes, label in assigned, states) for label in sizes.order}
    checks.check_states(where, states, writer, tensors)
    equations = [
        Equation(lhs, sizes.resolve(p, rhs), f"F{p + 1}", ir.STEPS if lhs.has(t) else None)
        for p, (lhs, rhs) in enumerate(writer.equations)
    ]
    checks.check_times(writer, states, tensors)
    checks.check_order(writer, states, tensors)
    check_inputs(writer, tensors, states, declared)
    equations += _boundaries(where, states, tensors, len(equations))
    inputs = [x.name for x in tensors.values() if x.role == "input"]
    last = tensors[assigned[-1]]
    output = options.output or (states[0] if states else last.name)
    options.check(writer, tensors, [str(d) for d in sizes.dims], gates)
    if count:
        tensors[count] = replace(tensors[count], role="count")
    for equation in equations if not states else ():  # a value that reads nothing of a sequence is one for all of them
        if (made := tensors[equation.target]).time is None and not equation.rhs.has(t):
            batched = any(tensors[ir.name_of(a)].batched for a in ir.accesses(equation.rhs, tensors))
            tensors[made.name] = replace(made, batched=batched)
    if last.rank == 0:
        tensors[last.name] = replace(last, role="loss", batched=False)
    facts = Facts(
        states=tuple(states),
        gates=tuple(gates),
        inputs=tuple(inputs),
        output=output,
        public=public,
        sizes={str(d): SIZES.get(str(d), f"{str(d).lower()}_size") for d in sizes.dims} | dict(options.sizes),
        init=options.init,
        keep=options.kept(where, tensors),
        classes={name: str(tensors[place].dims[0]) for name, place in writer.classes.items()},
        lines=checks.lines_of(writer),
    )
    outputs = (output, *(f"{s}_T" for s in states))
    return ir.verify(Program(name, tensors, tuple(equations), outputs, facts))


def _tensor(item: Name, sizes: Sizes, assigned: bool, states: list[str]) -> Tensor:
    """What is assigned is a value; what is not is the input if it has time, a parameter if it has none.

    A value of a cell without time is one of parameters alone.
    """
    timed, dims, indices = sizes.tensor(item.label)
    role = "value" if assigned else ("input" if timed else "param")
    return Tensor(
        item.label,
        dims,
        indices,
        role,
        ir.STEPS if timed else None,
        batched=timed or (role != "param" and not states),
        latex=_latex(item),
        family=item.family,
        member=item.member,
    )


_COMMANDS = frozenset(GREEK.values()) - frozenset(
    "omicron Alpha Beta Epsilon Zeta Eta Iota Kappa Mu Nu Omicron Rho Tau Chi".split()
)


def _latex(item: Name) -> str:
    """z_f of a family and a gate; a Greek letter by its command: gamma_x is written with the letter, mu2 as mu_2."""
    name, number = item.stem()
    head, *rest = name.strip("_").split("_")
    below = ",".join([_letter(x) for x in [*rest, number, item.member.strip("_")] if x])
    return rf"{_letter(head)}_{{{below}}}" if below else _letter(head)


def _letter(word: str) -> str:
    return rf"\{word}" if word in _COMMANDS else word


def _boundaries(where: str, states: list[str], tensors: dict[str, Tensor], count: int) -> list[Equation]:
    """h(0) = h_0 and h_T = h(T): the two ends of the chain are equations like all others, and so are their adjoints."""
    found: list[Equation] = []
    for state in states:
        for name in (f"{state}_0", f"{state}_T"):
            if name in tensors:
                raise DeriveError(
                    f"{where}: the name {name} is taken, by the state {state} at one end of time; rename the argument"
                    f"{_family_of(tensors[name])}"
                )
        body = tensors[state]
        tensors[state] = body = replace(body, time=(sp.Integer(0), T))
        base = body.latex or state
        first = replace(body, name=f"{state}_0", role="initial", time=None, latex=f"{base}_0")
        final = replace(body, name=f"{state}_T", role="final", time=None, latex=f"{base}_T")
        tensors[first.name], tensors[final.name] = first, final
        found.append(
            Equation(body.at(sp.Integer(0)), first.at(), f"F{count + len(found) + 1}", origin=Origin.INITIAL_STATE)
        )
        found.append(Equation(final.at(), body.at(T), f"F{count + len(found) + 1}", origin=Origin.FINAL_STATE))
    return found


def _family_of(tensor: Tensor) -> str:
    return f" {tensor.family}, whose member {tensor.family}[{tensor.member}] it is" if tensor.family else ""
