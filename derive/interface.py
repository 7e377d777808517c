"""The names and places of what the caller owns: arguments of the C functions, parameters of the Python module."""

from __future__ import annotations

import re

from derive import ir
from derive.ir import Program, Tensor
from derive.storage import Place


def c_name(name: str, offset: int) -> str:
    """The C variable of a tensor at an offset: c, c_prev, d_z_i_next. No two tensors get the same one."""
    suffix = {0: "", -1: "_prev", 1: "_next"}[offset]
    base = f"{name}{suffix}".replace("'", "_")
    return f"{base}_" if is_reserved(base) or name.endswith(("_", "_prev", "_next", "_ld")) else base


def is_reserved(name: str) -> bool:
    """Whether a name means something else in C, in the headers that the kernels include, or in the kernels."""
    return name in RESERVED or SYSTEM.fullmatch(name) is not None


# Words of C and C++; types, constants, variables and functions of templates/c/ that share a scope with tensors; macros.
RESERVED = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    alignas alignof asm bool catch char8_t char16_t char32_t class compl concept const_cast consteval constexpr
    constinit decltype delete dynamic_cast explicit export false friend mutable namespace new noexcept nullptr operator
    private protected public reinterpret_cast requires static_assert static_cast template this thread_local throw true
    try typeid typename typeof typeof_unqual using virtual wchar_t
    and and_eq bitand bitor not not_eq or or_eq xor xor_eq
    size_t real vec ivec uvec sums mode args share tile_function strip_function
    at acc row rows row0 unit lanes full block tile pitch T B S V H I O
    load store splat sum first_lanes begin finish multiply reduce least most put get gemm meet idle transpose restore
    flush_denormals slot_pitch exp tanh log sin cos sqrt sqrtf
    OK NULL_POINTER EMPTY OVERFLOW WORKSPACE ROWS_GROW OTHER_SIZES PARTS EVERYTHING STATES SEGMENTS
    PACK PACKED PACK_AND_KEEP NOT_PACKED SETTLE
    plus times settle settle_all settle_last settle_one add_total tag_of is_tagged put_tag row_blocks is_long
    ALIGNED DEPTH FUSED GROUP INLINE JOIN KEEP LANE LARGER LIMIT MASK MASKED NOINLINE PANEL PATIENCE PAUSE PUBLIC ROWS SHUFFLE
    CLOCKS_PER_SEC SIGN SMALLER SPLITS TILE_ARGS UNROLL WHERE X86 YIELD
    """.split()
)

USUAL = {"W": "weight_ih", "U": "weight_hh", "b": "bias"}  # what the field calls them

# Macros of the headers that the kernels include and of compilers; the partial sums of a row.
SYSTEM = re.compile(
    r"_\w*|DERIVE_\w+|SIZE_[A-Z]\w*|SCHED_\w+|sched_\w+|CPU_\w+|CLONE_\w+|\w+_(MAX|MIN|WIDTH)|(EXIT|FP|MATH|M)_\w+|HUGE_VAL\w*|INFINITY|NAN|NULL"
    r"|math_errhandling|errno|unix|linux|i386|sum_\d+|vec_\w+|scalar_\w+"
)


# Members of the struct of arguments that are no tensors: a parameter has to have another name.
CONTROLS = ("tape_every", "rows", "packed", "accumulate", "batch", "workspace_size", "part", "parts", "meeting", "isa")


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
