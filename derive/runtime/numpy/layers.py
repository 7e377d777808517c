"""Layers: a cell above a cell, and a cell beside one that reads from the end, with the names and shapes of PyTorch.

    layer 0     x (T, B, I)      -> h (T, B, H), or both directions side by side, (T, B, 2H)
    layer 1     what layer 0 gives, times a mask if one is given -> ...

Each layer is a call of the compiled cell over all steps, so that its input meets its weights in one product over time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ..core.errors import ArgumentError, ArgumentTypeError, ShapeError
from ..core.spec import show
from .arrays import Array
from .cell import Cell
from .inputs import check_lengths
from .layers_plan import LayersPlan
from .tape import Tape
from .turn import Turn

State = tuple[Array, ...]


@dataclass(frozen=True)
class Pass:
    """One direction of one layer.  `mark` stands behind the names of its parameters: _l0, _l0_reverse."""

    layer: int
    reverse: bool

    @property
    def mark(self) -> str:
        """What stands behind the names of its parameters."""
        return f"_l{self.layer}{'_reverse' if self.reverse else ''}"


class LayersTape:
    """What `Layers.forward` keeps for `Layers.backward`; it may be used as often as needed, and with its Layers only."""

    def __init__(
        self, owner: Layers, tapes: list[Tape], top: Tape | None, masks: list[Array], turn: Turn | None
    ) -> None:
        self._owner, self._tapes, self._top, self._masks, self._turn = owner, tapes, top, masks, turn

    def __repr__(self) -> str:
        return f"<LayersTape of {self._owner!r}>"


class Layers:
    """Some layers of one cell, in one direction or in both.  `derive.layers` and `derive.build(cell, layers=...)` make it.

    The functions are those of a module: `infer`, `forward`, `backward`, `loss_and_grad`, `init_params`.  Parameters, states and
    outputs have the names and shapes of PyTorch's nn.LSTM: `weight_ih_l0`, `weight_ih_l0_reverse`; each state is
    (layers * directions, B, H), both directions of a layer one after the other; the output is (T, B, H), or (T, B, 2H) of both
    directions, forwards first.  `batch_first` exchanges the first two axes of x, y, the output and their gradients.
    """

    def __init__(
        self,
        module: ModuleType | Cell,
        layers: int = 1,
        bidirectional: bool = False,
        *,
        batch_first: bool = False,
        top: ModuleType | Cell | None = None,
    ) -> None:
        """`top`: the module of the last layer, with a head or a loss; of both directions, one that reads them as its input."""
        self._cell = cell_of(module)
        spec = self._cell._spec
        self._where = f"{spec.name}.layers"
        if isinstance(layers, bool) or not isinstance(layers, (int, np.integer)) or layers < 1:
            raise ArgumentError(f"{self._where}: layers must be an integer of at least 1, found {layers!r}")
        if len(spec.inputs) != 1:
            raise ArgumentError(
                f"{self._where}: {spec.name} reads the inputs {', '.join(spec.inputs)}; layers are of cells with one input"
            )
        (row,), out = spec.inputs.values(), spec.arguments[spec.output].row
        if len(row) != 1 or len(out) != 1:
            raise ArgumentError(
                f"{self._where}: the input of {spec.name} has the axes {show(row)} and its output {show(out)}; a layer reads and "
                f"gives one number for each unit"
            )
        self.layers, self.bidirectional, self.batch_first = int(layers), bool(bidirectional), bool(batch_first)
        self._input, self._output = row[0], out[0]
        self._top = None if top is None else cell_of(top)
        self._square = self._input.dim == self._output.dim  # as many inputs as units
        self._check(bidirectional)
        self.directions = 2 if self.bidirectional else 1
        self._passes = [Pass(n, bool(d)) for n in range(self.layers) for d in range(self.directions)]
        # In one direction the last layer has the loss; both are joined first.
        self._joined = self._top if self.bidirectional else None
        self._cells = [self._cell] * len(self._passes)
        if self._top is not None and not self.bidirectional:
            self._cells[-1] = self._top
        self.STATES = self._cell.STATES
        self.GATES = self._cell.GATES
        self.PARAMS = self._symbolic()

    def __repr__(self) -> str:
        both = ", both directions" if self.bidirectional else ""
        return f"<Layers of {self._cell._spec.name}: {self.layers}{both}>"

    def _check(self, bidirectional: bool) -> None:
        """Raise for layers that do not fit on each other."""
        name, top = self._cell._spec.name, self._top
        if self._square and bidirectional:
            raise ArgumentError(
                f"{self._where}: {name} reads as many numbers as it has units, and both directions give twice as many"
            )
        if top is not None and not bidirectional and top.STATES != self._cell.STATES:
            raise ArgumentError(
                f"{self._where}: top is the last layer, {name} with a head or a loss; it has the states {top.STATES}, and not "
                f"{self._cell.STATES}"
            )
        if top is not None and bidirectional and len(top._spec.inputs) != 1:
            raise ArgumentError(
                f"{self._where}: top reads both directions side by side as its one input; {top._spec.name} reads "
                f"{', '.join(top._spec.inputs)}"
            )

    @property
    def last(self) -> Cell:
        """The compiled cell that has the loss."""
        return self._joined or self._cells[-1]

    # -- parameters ----------------------------------------------------------------------------------------------------

    def _symbolic(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for one, cell in zip(self._passes, self._cells, strict=True):
            for name, shape in cell.PARAMS.items():
                width = f"{self.directions}*{self._output}" if self.directions > 1 else str(self._output)
                own = (width if one.layer and axis == str(self._input) else axis for axis in shape)
                found[self._name(one, name)] = tuple(own)
        for name, shape in (self._joined.PARAMS if self._joined else {}).items():
            wide = (f"2*{self._output}" if axis == str(self._joined_input) else axis for axis in shape)
            found[name] = tuple(wide)
        return found

    @property
    def _joined_input(self) -> Any:
        assert self._joined is not None
        ((width,),) = self._joined._spec.inputs.values()
        return width

    def _name(self, one: Pass, name: str) -> str:
        """The name of a parameter of a pass; those of a head have no layer."""
        return f"{name}{one.mark}" if name in self._cell.PARAMS else name

    def init_params(
        self, input_size: int, hidden_size: int, *, dtype: Any = np.float32, seed: int = 0, **sizes: int
    ) -> dict[str, Array]:
        """First values of all parameters, each layer drawn by the rules of the cell from a seed of its own.

        `sizes` are further sizes of the cell or of a head, such as output_size.
        """
        found: dict[str, Array] = {}
        if self._square and input_size != hidden_size:
            raise ArgumentError(
                f"{self._where}.init_params: {self._cell._spec.name} reads as many numbers as it has units; input_size is "
                f"{input_size} and hidden_size {hidden_size}"
            )
        for number, (one, cell) in enumerate(zip(self._passes, self._cells, strict=True)):
            spec = cell._spec
            known = {**sizes, "hidden_size": hidden_size}
            keywords = {spec.dims[d]: known[spec.dims[d]] for d in spec.dims if spec.dims[d] in known}
            below = input_size if not one.layer else self._width_of(hidden_size, sizes) * self.directions
            keywords[spec.dims[str(self._input.dim)]] = below
            drawn = cell.init_params(**keywords, dtype=dtype, seed=[seed, number] if number else seed)
            found |= {self._name(one, name): array for name, array in drawn.items()}
        if self._joined is not None and self._joined.PARAMS:
            spec = self._joined._spec
            keywords = {keyword: sizes[keyword] for keyword in spec.dims.values() if keyword in sizes}
            keywords[spec.dims[str(self._joined_input.dim)]] = 2 * self._width_of(hidden_size, sizes)
            found |= self._joined.init_params(**keywords, dtype=dtype, seed=[seed, len(self._passes)])
        return found

    def _width_of(self, hidden_size: int, sizes: Mapping[str, int]) -> int:
        known = {"hidden_size": hidden_size, **sizes}
        keyword = self._cell._spec.dims[self._output.dim]
        if keyword not in known:
            raise ArgumentTypeError(f"{self._where}.init_params: missing {keyword}, the size of what a layer gives")
        return known[keyword] * self._output.factor

    def params_of_passes(self, op: str, params: Any) -> list[dict[str, Array]]:
        """The parameters of each pass by the names of the cell; those of the joined head last."""
        if not isinstance(params, Mapping):
            raise ArgumentTypeError(
                f"{self._where}.{op}: params must be a dict of arrays, found {type(params).__name__}"
            )
        if missing := [name for name in self.PARAMS if name not in params]:
            raise ArgumentError(f"{self._where}.{op}: params lacks {', '.join(missing)}")
        if extra := [name for name in params if name not in self.PARAMS]:
            raise ArgumentError(
                f"{self._where}.{op}: params has {', '.join(extra)}, which is no parameter of these layers"
            )
        found = [
            {name: params[self._name(one, name)] for name in cell.PARAMS}
            for one, cell in zip(self._passes, self._cells, strict=True)
        ]
        return [*found, {name: params[name] for name in self._joined.PARAMS}] if self._joined else found

    # -- states --------------------------------------------------------------------------------------------------------

    def states_of_passes(self, op: str, argument: str, state: Any) -> list[tuple[Array | None, ...] | None]:
        """The states of each pass, of arrays (layers * directions, ...)."""
        if state is None:
            return [None] * len(self._passes)
        if isinstance(state, np.ndarray) and len(self.STATES) == 1:
            state = (state,)
        if not isinstance(state, (tuple, list)) or len(state) != len(self.STATES):
            raise ArgumentTypeError(
                f"{self._where}.{op}: {argument} must be None or a tuple ({', '.join(self.STATES)}) of arrays with the layers and "
                f"directions first, found {type(state).__name__}"
            )
        for name, array in zip(self.STATES, state, strict=True):
            if array is not None and (not isinstance(array, np.ndarray) or array.shape[:1] != (len(self._passes),)):
                raise ShapeError(
                    f"{self._where}.{op}: {argument} ({name}) must have the first axis {len(self._passes)}, layers times "
                    f"directions, found {show(np.shape(array))}"
                )
        return [tuple(None if a is None else a[p] for a in state) for p in range(len(self._passes))]

    # -- calls -----------------------------------------------------------------------------------------------------------

    def infer(
        self,
        x: Array,
        params: Mapping[str, Array],
        state: Sequence[Array | None] | Array | None = None,
        *,
        threads: int | None = None,
        lengths: Any = None,
        masks: Sequence[Array] | None = None,
    ) -> tuple[Array, State]:
        """Run the layers over a sequence, keeping nothing for gradients.

        x: (T, B, I), or (T, I) of one sequence; with batch_first (B, T, I).  state: a tuple in the order of STATES, each
        (layers * directions, B, H); None means zeros.  lengths: (B,), as for a module: the second direction begins at the last
        step that counts.  masks: an array for each layer but the last, (T, B, H * directions), by which its output is multiplied
        before the next layer reads it: dropout between layers.  threads: as for a module.

        Returns (out, state).  Raises as a module does.
        """
        out, finals, _ = self._run("infer", x, params, state, threads, lengths, masks, {})
        return self.results(out, finals)

    def forward(
        self,
        x: Array,
        params: Mapping[str, Array],
        state: Sequence[Array | None] | Array | None = None,
        *,
        threads: int | None = None,
        lengths: Any = None,
        masks: Sequence[Array] | None = None,
        tape: str | int | None = None,
    ) -> tuple[Array, State, LayersTape]:
        """Run the layers over a sequence and keep what `backward` needs; the arguments are those of `infer`, tape of a module."""
        out, finals, kept = self._run("forward", x, params, state, threads, lengths, masks, {"tape": tape})
        assert kept is not None
        return (*self.results(out, finals), kept)

    def backward(
        self,
        tape: LayersTape,
        d_out: Array | None,
        d_state: Sequence[Array | None] | Array | None = None,
    ) -> dict[str, Array]:
        """Gradients from derivatives by what `forward` returned: dL/dx as "x", every parameter, every state as "h0"."""
        if not isinstance(tape, LayersTape) or tape._owner is not self:
            raise ArgumentTypeError(f"{self._where}.backward: tape must be the third result of this object's forward")
        if d_out is None and d_state is None:
            raise ArgumentError(f"{self._where}.backward: d_out and d_state are both None; give at least one")
        seeds = self.states_of_passes("backward", "d_state", d_state)
        d = None if d_out is None else self._turned(_array(f"{self._where}.backward", "d_out", d_out))
        grads: dict[str, Array] = {}
        if tape._top is not None:
            if d is None:
                raise ArgumentError(f"{self._where}.backward: there is a head on both directions; d_out is missing")
            own = self._joined_cell.backward(tape._top, d)
            d = own["x"]
            grads |= {name: own[name] for name in self._joined_cell.PARAMS}
        return self._down(tape, d, seeds, grads, None)

    def loss_and_grad(
        self,
        x: Array,
        y: Array,
        params: Mapping[str, Array],
        state: Sequence[Array | None] | Array | None = None,
        *,
        threads: int | None = None,
        lengths: Any = None,
        masks: Sequence[Array] | None = None,
        tape: str | int | None = None,
        **targets: Array,
    ) -> tuple[float, dict[str, Array]]:
        """The loss of the last layer's output against y, and its gradients; the arguments are those of `infer` and of a module."""
        op = "loss_and_grad"
        if self.bidirectional and self._joined is None:
            raise ArgumentError(
                f"{self._where}.{op}: a loss of both directions reads them side by side; build the layers with "
                f"derive.build(cell, layers=..., bidirectional=True), which compiles one, or call forward and backward"
            )
        last = self.last
        known = last._spec.targets[1:]
        if unknown := [name for name in targets if name not in known]:
            beside = f"the loss reads y, {', '.join(known)}" if known else "the loss reads y alone"
            raise ArgumentTypeError(f"{self._where}.{op}: unexpected keyword argument {unknown[0]!r}; {beside}")
        y = self._turned(_array(f"{self._where}.{op}", "y", y))
        given: dict[str, Any] = {n: self._turned(a) if self._is_timed(last, n) else a for n, a in targets.items()}
        keywords: dict[str, Any] = {"threads": threads, **({} if lengths is None else {"lengths": lengths}), **given}
        if self._joined is not None:
            below, _, kept = self._run(op, x, params, state, threads, lengths, masks, {"tape": tape}, joined=False)
            assert kept is not None
            loss, own = last.loss_and_grad(below, y, self.params_of_passes(op, params)[-1], **keywords)
            grads = {name: own[name] for name in self._joined.PARAMS}
            return loss, self._down(kept, own["x"], [None] * len(self._passes), grads, None)
        every, states = self.params_of_passes(op, params), self.states_of_passes(op, "state", state)
        below, _, kept = self._run(op, x, params, state, threads, lengths, masks, {"tape": tape}, last=False)
        assert kept is not None
        loss, own = last.loss_and_grad(below, y, every[-1], states[-1], tape=tape, **keywords)
        return loss, self._down(kept, None, [None] * len(self._passes), {}, own)

    def plan(
        self, params: Mapping[str, Array], steps: int, batch: int | None = None, *, threads: int | None = None
    ) -> LayersPlan:
        """Prepare repeated calls of `infer` of one size, see LayersPlan; the arguments are those of a module's plan."""
        return LayersPlan(self, params, steps, batch, threads)

    @property
    def cells(self) -> list[Cell]:
        """The compiled cells in the order of their calls, that on both directions last."""
        return [*self._cells, *([self._joined] if self._joined else [])]

    @staticmethod
    def _is_timed(cell: Cell, name: str) -> bool:
        argument = cell._spec.arguments.get(name)
        return argument is not None and any(axis.dim == "T" for axis in argument.shape)

    @property
    def _joined_cell(self) -> Cell:
        assert self._joined is not None
        return self._joined

    def _turned(self, array: Array) -> Array:
        """An array over time as the kernels have it, or the other way round: with batch_first B and T change places."""
        return array.swapaxes(0, 1) if self.batch_first and array.ndim > 1 else array

    def _run(
        self,
        op: str,
        x: Array,
        params: Any,
        state: Any,
        threads: int | None,
        lengths: Any,
        masks: Sequence[Array] | None,
        more: dict[str, Any],
        joined: bool = True,
        last: bool = True,
    ) -> tuple[Array, list[State], LayersTape | None]:
        """All passes, or all but the last; with the head on both directions where there is one and it is wanted."""
        where = f"{self._where}.{op}"
        below, factors = self.given(op, x, masks)
        every, states = self.params_of_passes(op, params), self.states_of_passes(op, "state", state)
        ends = {} if lengths is None else {"lengths": lengths}
        turn = None
        if self.bidirectional:
            batch = below.shape[1] if below.ndim == 3 else 1
            known = None if lengths is None else check_lengths(where, lengths, len(below), batch, below.ndim == 2)
            turn = Turn(len(below), None if known is None or (known == len(below)).all() else known)
            if below.ndim == 2 and turn.lengths is not None:
                raise ArgumentError(f"{where}: lengths of one sequence without a batch axis: cut the sequence instead")
        keeps = op != "infer"
        tapes: list[Tape] = []

        def call(number: int, read: Array) -> tuple[Array, State]:
            cell = self._cells[number]
            if not keeps:
                return cell.infer(read, every[number], states[number], threads=threads, **ends)
            out, final, tape = cell.forward(read, every[number], states[number], threads=threads, **ends, **more)
            tapes.append(tape)
            return out, final

        out, finals = self.through(op, below, turn, factors, call, len(self._passes) - (not last))
        top = None
        if self._joined is not None and joined:
            if keeps:
                out, _, top = self._joined.forward(out, every[-1], threads=threads, **ends)
            else:
                out, _ = self._joined.infer(out, every[-1], threads=threads, **ends)
        return out, finals, LayersTape(self, tapes, top, factors, turn) if keeps else None

    def given(self, op: str, x: Array, masks: Sequence[Array] | None) -> tuple[Array, list[Array]]:
        """x and the masks with time first.  Raises for what has other axes."""
        where = f"{self._where}.{op}"
        below = self._turned(_array(where, "x", x))
        if self.batch_first and below.ndim != 3:
            raise ShapeError(f"{where}: with batch_first x is (B, T, I), found {show(np.shape(x))}")
        if below.ndim not in (2, 3):
            raise ShapeError(f"{where}: x must be (T, B, I) or (T, I), found {show(np.shape(x))}")
        return below, self._masks(where, masks)

    def through(
        self,
        op: str,
        below: Array,
        turn: Turn | None,
        masks: list[Array],
        call: Callable[[int, Array], tuple[Array, State]],
        count: int | None = None,
    ) -> tuple[Array, list[State]]:
        """The passes one after the other, or the first `count`: call(number, what it reads) gives output and final states."""
        where, finals, out = f"{self._where}.{op}", [], below
        for number, one in enumerate(self._passes[:count]):
            found, final = call(number, turn.values(below) if turn is not None and one.reverse else below)
            finals.append(final)
            out = np.concatenate([out, turn.values(found)], axis=-1) if turn is not None and one.reverse else found
            if turn is None or one.reverse:
                below = out = self._masked(where, out, masks, one.layer)
        return out, finals

    def results(self, out: Array, finals: Sequence[State]) -> tuple[Array, State]:
        """Output and states as callers get them."""
        return self._turned(out), tuple(np.stack(arrays) for arrays in zip(*finals, strict=True))

    def _masks(self, where: str, masks: Sequence[Array] | None) -> list[Array]:
        if masks is None:
            return []
        if not isinstance(masks, (list, tuple)) or len(masks) != self.layers - 1:
            raise ArgumentTypeError(
                f"{where}: masks must be a list of {self.layers - 1} arrays, one for what each layer but the last gives, found "
                f"{len(masks) if isinstance(masks, (list, tuple)) else type(masks).__name__}"
            )
        return [self._turned(_array(where, f"masks[{n}]", mask)) for n, mask in enumerate(masks)]

    def _masked(self, where: str, out: Array, masks: list[Array], layer: int) -> Array:
        if layer >= len(masks):
            return out
        mask = masks[layer]
        if mask.shape != out.shape or mask.dtype != out.dtype:
            raise ShapeError(
                f"{where}: masks[{layer}] must be like what the layer gives, {show(out.shape)} of {out.dtype}, found "
                f"{show(mask.shape)} of {mask.dtype}"
            )
        return out * mask

    def _down(
        self,
        tape: LayersTape,
        d: Array | None,
        seeds: Sequence[tuple[Array | None, ...] | None],
        grads: dict[str, Array],
        own: dict[str, Array] | None,
    ) -> dict[str, Array]:
        """Gradients from the last layer down; `own` are those of a last pass that has been taken back already."""
        parts: list[dict[str, Array]] = [{}] * len(self._passes)
        turn = tape._turn
        for layer in reversed(range(self.layers)):
            here = [p for p, one in enumerate(self._passes) if one.layer == layer]
            d_below: Array | None = None
            for p in here:
                one = self._passes[p]
                if own is not None and p == len(self._passes) - 1:
                    parts[p] = own
                else:
                    width = None if d is None else d.shape[-1] // self.directions
                    mine = (
                        d
                        if d is None or not self.bidirectional
                        else d[..., :width]
                        if not one.reverse
                        else d[..., width:]
                    )
                    if turn is not None and mine is not None:
                        mine = turn.gradients(mine) if one.reverse else mine
                    parts[p] = self._cells[p].backward(tape._tapes[p], mine, seeds[p])
                reads = parts[p]["x"]
                reads = turn.gradients(reads) if turn is not None and one.reverse else reads
                d_below = reads if d_below is None else d_below + reads
            d = d_below if not layer or layer > len(tape._masks) else d_below * tape._masks[layer - 1]  # type: ignore[operator]
        assert d is not None
        found = {"x": self._turned(d)}
        for p, one in enumerate(self._passes):
            found |= {self._name(one, name): parts[p][name] for name in self._cells[p].PARAMS}
        found |= grads
        found |= {f"{s}0": np.stack([part[f"{s}0"] for part in parts]) for s in self.STATES}
        return found


def _array(where: str, name: str, array: Any) -> Array:
    if not isinstance(array, np.ndarray):
        raise ArgumentTypeError(f"{where}: {name} must be a NumPy array, found {type(array).__name__}")
    return array


def cell_of(module: Any) -> Cell:
    """The cell of a module that was generated or built."""
    found = module if isinstance(module, Cell) else getattr(module, "_cell", None)
    if not isinstance(found, Cell):
        raise ArgumentTypeError(
            f"derive.layers takes a compiled module, such as derive.generated.lstm or what derive.build gives, found "
            f"{type(module).__name__}"
        )
    return found
