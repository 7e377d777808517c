"""What is measured: shapes (T, B, I, H), where they come from, and the work, traffic and bound that belong to them."""

from __future__ import annotations

from typing import NamedTuple

ITEMSIZE = {"float32": 4, "float64": 8}
GATES = {"rnn": 1, "gru": 3, "mgu": 2}  # matrices of a cell, each (H, I) and (H, H); four where nothing is said


class Shape(NamedTuple):
    """T steps, B sequences, I inputs, H hidden units."""

    T: int
    B: int
    I: int
    H: int

    def __str__(self) -> str:
        return ", ".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> Shape:
        """`100,1,64,64`. Raises ValueError."""
        try:
            numbers = [int(word) for word in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 4 or min(numbers) < 1:
            raise ValueError(f"a shape is four positive integers T,B,I,H such as 100,1,64,64; found {text!r}")
        return cls(*numbers)


LSTM = {
    Shape(4, 1, 50, 100): "the toy problem of nicodjimenez/lstm",
    Shape(64, 1, 8, 8): "the least there is",
    Shape(63, 1, 24, 32): "oneDNN issue 837",
    Shape(100, 1, 64, 64): "one sequence, a small network",
    Shape(150, 1, 256, 256): "DeepBench",
    Shape(25, 1, 1024, 1024): "DeepBench",
    Shape(25, 4, 512, 512): "DeepBench",
    Shape(3, 20, 36, 36): "benchdnn, tails",
    Shape(1, 34, 65, 65): "benchdnn, tails",
    Shape(1024, 16, 64, 64): "FlashRNN",
    Shape(50, 32, 128, 128): "a common size",
    Shape(101, 64, 256, 256): "GNMT",
    Shape(226, 2, 512, 512): "RNN-T",
    Shape(100, 64, 512, 512): "PyTorch's fastrnns benchmark",
    Shape(25, 64, 1024, 1024): "DeepBench",
    Shape(629, 128, 128, 128): "benchdnn, training",
}
CELLS = ("lstm_peephole", "lstm_layernorm", "gru", "rnn", "mgu")  # cells beside the LSTM
CELL_SHAPES = (Shape(100, 1, 64, 64), Shape(50, 32, 128, 128))
QUICK = (Shape(4, 1, 50, 100), Shape(3, 20, 36, 36))

INFERENCE, TRAINING = "inference", "training"
OPS = (INFERENCE, TRAINING)


def flop(cell: str, shape: Shape, op: str, *, with_dx: bool = False) -> float:
    """Operations of the matrix products, two per multiply-add; 8 T B H (H + I) for an LSTM's forward pass.

    Training is three times that, less the product for the gradient of x where that is not wanted.
    """
    T, B, I, H = shape
    once = 2.0 * GATES.get(cell, 4) * T * B * H
    if op == INFERENCE:
        return once * (H + I)
    return once * (3 * (H + I) - (0 if with_dx else I))


def traffic(shape: Shape, op: str, dtype: str) -> float:
    """Bytes that an LSTM's step must move through the cache that holds the weights: the x axis of the roofline.

    The recurrent weights are read in every step (and again in every step backward); the weights of x, the gradients, x,
    the output and the target once; six values per unit and step are written for the backward pass and read by it.
    """
    T, B, I, H = shape
    recurrent, inputs, sequence = 4 * H * H, 4 * H * I, T * B
    count = T * recurrent + inputs + sequence * (I + H)
    if op == TRAINING:
        count += T * recurrent + inputs + recurrent + sequence * (I + 2 * H + 12 * H)
    return float(count * ITEMSIZE[dtype])


def level(shape: Shape, dtype: str, caches: dict[str, int], threads: int) -> str:
    """The smallest cache that holds a thread's share of the recurrent weights, or DRAM. L3 is shared."""
    weights = 4 * shape.H * shape.H * ITEMSIZE[dtype]
    for name in ("L1", "L2"):
        if weights / threads <= caches[name]:
            return name
    return "L3" if weights <= caches["L3"] else "DRAM"


def bound(shape: Shape, op: str, dtype: str, peak: float, bandwidth: float) -> float:
    """Seconds that an LSTM takes at least, at `peak` flop/s and `bandwidth` bytes/s of the cache with the weights.

    W x is taken out of the time loop, so that a step streams 4 H H weights and computes 8 B H H operations, whichever
    takes longer; training does this twice, and the weight gradients are products over all steps. Latency counts as 0.
    """
    T, B, I, H = shape
    step = max(8.0 * B * H * H / peak, 4.0 * H * H * ITEMSIZE[dtype] / bandwidth)
    if op == INFERENCE:
        return T * step + 8.0 * T * B * H * I / peak
    return 2 * T * step + 8.0 * T * B * H * (2 * I + H) / peak
