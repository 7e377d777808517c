"""What only the whole of a cell shows, heads included: that sizes can be told, and that no two things share a name."""

from __future__ import annotations

from derive.errors import DeriveError
from derive.ir import Program, Tensor
from derive.notation.public import check_public_names


def check_whole(where: str, program: Program) -> None:
    """Raise for a public name that is taken, and for a size that stands on no array that a caller gives."""
    check_public_names(where, program)
    known = {str(d) for x in program.of_role("param", "input") for d in x.dims}
    for size in program.meta["sizes"]:
        if size not in known:
            holder = next(x for x in program.tensors.values() if size in map(str, x.dims))
            raise DeriveError(
                f"{where}: {holder.name} has the size {size}, which stands on no parameter and not on the input, so that no "
                f"call can tell it; give it a parameter of that size, such as a bias, {holder.at()} = ... + b[{holder.indices[-1]}]"
            )


def check_derived_names(where: str, program: Program) -> None:
    """Raise for an argument that is called as the gradient of another tensor will be."""
    for tensor in program.tensors.values():
        seeds = (f"seed_{tensor.name}",) if tensor.name in program.outputs else ()
        for name in (f"d_{tensor.name}", *seeds):
            if (other := program.tensors.get(name)) is None:
                continue
            which = f" (of {other.family}[{other.member}])" if other.family else ""
            raise DeriveError(
                f"{where}: the name {name}{which} is taken, by the gradient of {tensor.name}; rename the argument "
                f"{other.family or name}"
            )


def check_loss(where: str, program: Program, prediction: Tensor) -> None:
    """Raise for what a loss may not have yet: parameters of its own, and a target of another size than the prediction."""
    if params := program.of_role("param"):
        raise DeriveError(
            f"{where}: {params[0].name} is neither the prediction nor the target nor assigned; a loss has no parameters "
            f"yet, and reads neither those of a cell nor its states. A number is set above the function"
        )
    for target in program.of_role("target"):
        if target.dims != prediction.dims:
            raise DeriveError(
                f"{where}: the target {target.at()} has the size {', '.join(map(str, target.dims)) or '1'}, and the "
                f"prediction {', '.join(map(str, prediction.dims))}; they have to agree: {target.name}[t, n] and "
                f"{program.meta['inputs'][0]}[t, n] under one index"
            )
