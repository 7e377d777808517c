"""The names and places of what the caller owns: arguments of the C functions, parameters of the Python module."""

from __future__ import annotations

from derive import ir
from derive.ir import Program, Tensor
from derive.storage import Place


def c_name(name: str, offset: int) -> str:
    """The C variable of a tensor at an offset: c, c_prev, d_z_i_next."""
    suffix = {0: "", -1: "_prev", 1: "_next"}[offset]
    base = f"{name}{suffix}".replace("'", "_")
    return f"{base}_" if base in RESERVED else base


# Words of C and C++, and what a stage function or a macro of templates/c/ has a name for.
RESERVED = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    class new delete this template typename namespace and or not xor bool true false try catch throw private public
    protected operator args real vec ivec uvec at acc row rows row0 unit lanes full block tile load store sum
    first_lanes begin finish multiply sums splat reduce least most put gemm exp tanh log sin cos sqrt size_t T B S V
    H I O ROWS PANEL DEPTH GROUP PAUSE SPLITS share meet idle FUSED SHUFFLE transpose mode restore flush_denormals
    LARGER SMALLER LIMIT SIGN MASK MASKED LANE WHERE KEEP INLINE NOINLINE ALIGNED UNROLL JOIN PUBLIC OK EMPTY
    OVERFLOW WORKSPACE X86 NULL
    """.split()
)

USUAL = {"W": "weight_ih", "U": "weight_hh", "b": "bias"}  # what the field calls them


def argument_places(program: Program) -> dict[str, Place]:
    """The tensors that the caller owns, by the names of the public interface."""
    gates = list(program.meta["gates"])
    places: dict[str, Place] = {}
    output = program.meta["output"]
    for tensor in program.tensors.values():
        name = tensor.name
        primal = program.tensors[tensor.primal] if tensor.primal in program.tensors else tensor
        dim = next((d for d in tensor.dims if d != ir.B), None)
        if primal.role == "param" and tensor.role in ("param", "gradient"):
            array, slot = parameter(program, primal)
            prefix = "d_" if tensor.role == "gradient" else ""
            places[name] = Place(
                "arg", prefix + array, slot, len(gates) if slot or _stacked(program, primal) else 1, dim
            )
        elif tensor.role in ("input", "target"):
            places[name] = Place("arg", "y" if tensor.role == "target" else _input(program, name), dim=dim, timed=True)
        elif name == output:
            places[name] = Place("arg", "out", dim=dim, timed=True, initial=initial_of(program, name))
        elif tensor.role == "gradient" and primal.role == "input":
            places[name] = Place("arg", f"d_{_input(program, primal.name)}", dim=dim, timed=True)
        elif tensor.role == "seed":
            places[name] = Place(
                "arg", "d_out" if tensor.time is not None else name, dim=dim, timed=tensor.time is not None
            )
        elif tensor.role in ("initial", "final") or (tensor.role == "gradient" and primal.role == "initial"):
            places[name] = Place("arg", name, dim=dim)
        elif tensor.role == "loss":
            places[name] = Place("arg", "loss")
    return places


def initial_of(program: Program, name: str) -> str:
    """The argument that stands for a state at t = 0; empty for what is no state."""
    return f"{name}_0" if name in program.meta["states"] else ""


def _input(program: Program, name: str) -> str:
    return "out" if name == program.meta["output"] else "x"


def public_name(program: Program, tensor: Tensor) -> str:
    """The name of a parameter in the Python and C interfaces, without the gate."""
    symbol = tensor.family or tensor.name
    given: str = {**USUAL, **program.meta["public"]}.get(symbol, symbol)
    return given


def _stacked(program: Program, tensor: Tensor) -> bool:
    """Whether the arrays of a family are stacked in one public array: it must have a member for every gate."""
    gates = list(program.meta["gates"])
    members = [x.member for x in program.tensors.values() if x.family == tensor.family and x.role == "param"]
    return bool(tensor.family) and bool(gates) and sorted(members) == sorted(gates)


def parameter(program: Program, tensor: Tensor) -> tuple[str, int]:
    """The public array of a parameter and the gate's position in it."""
    gates = list(program.meta["gates"])
    base = public_name(program, tensor)
    if _stacked(program, tensor):
        return base, gates.index(tensor.member)
    return (f"{base}_{tensor.member}" if tensor.member else base), 0
