"""Words that a name of a cell file may not become: what C, its headers, the templates and the interface use themselves."""

from __future__ import annotations

import re

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
    size_t real ireal ureal vec ivec uvec sums mode args team rank tile_function strip_function
    at acc row rows row0 unit lanes full block tile pitch T B S V H I O
    load store splat sum positions larger largest
    first_lanes acc_init acc_store multiply reduce least most store_tile get add_rows gemm barrier
    idle transpose restore
    flush_denormals slot_pitch exp tanh log sin cos sqrt sqrtf
    REAL REAL2 TYPED LIBM EXPORTED NEON
    OK NULL_POINTER EMPTY OVERFLOW WORKSPACE ROWS_GROW OTHER_SIZES PARTS EVERYTHING STATES SEGMENTS
    PACK PACKED PACK_AND_KEEP NOT_PACKED SETTLE
    plus times settle settle_all settle_last settle_one settle_part accumulate add_total tag_of is_tagged put_tag row_blocks is_long
    ALIGNED DEPTH FUSED GROUP INLINE JOIN KEEP LANE MAX CLAMP MASK MASKED NOINLINE PANEL SPIN_LIMIT PAUSE PUBLIC ROWS SHUFFLE
    CELL_SPLITS EXP_HIGH EXP_LOW EXP_NORMAL LN2_HIGH LN2_LOW LOG2E MANTISSA MMASK REAL_BYTES ROUNDER SATURATED VECTOR_BYTES
    FLOATING HALF_PI HALF_PI_LOW HIGH_HALF LARGEST NORMALISER QUARTER_PI QUARTER_PI_LOW SMALLEST TAIL_END
    CLOCKS_PER_SEC SIGN MIN SELECT SPLITS TILE_ARGS UNROLL X86 YIELD
    """.split()
)

# Macros of the headers that the kernels include and of compilers; the partial sums of a row.
SYSTEM = re.compile(
    r"_\w*|DERIVE_\w+|SIZE_[A-Z]\w*|SCHED_\w+|sched_\w+|CPU_\w+|CLONE_\w+|\w+_(MAX|MIN|WIDTH)|(EXIT|FP|MATH|M)_[A-Z0-9_]+|(FLT|DBL|LDBL)_[A-Z0-9_]+|DECIMAL_DIG|HUGE_VAL\w*|INFINITY|NAN|NULL"
    r"|math_errhandling|errno|unix|linux|i386|sum_\d+|vec_\w+|scalar_\w+"
)

# Members of the struct of arguments that are no tensors: a parameter has to have another name.
CONTROLS = ("tape_every", "rows", "packed", "accumulate", "batch", "workspace_size", "part", "parts", "meeting", "isa")


def is_reserved(name: str) -> bool:
    """Whether a name means something else in C, in the headers that the kernels include, or in the kernels."""
    return name in RESERVED or SYSTEM.fullmatch(name) is not None
