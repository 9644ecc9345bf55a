"""The kernels of :mod:`replank.integer` as nodes, each with the same constants and the same results."""

from __future__ import annotations

import numpy as np

from replank.integer.dyadic import half
from replank.integer.exponential import CONSTANT, LINEAR, LN2_BITS
from replank.integer.gelu import Gelu
from replank.integer.integers import Integers
from replank.integer.layer_norm import OUTPUT_BITS, RECIPROCAL_BITS, LayerNorm
from replank.integer.requantizer import Requantizer
from replank.integer.softmax import CAP_BITS, MASKED, TERM_SHIFT, Softmax
from replank.integer.square_root import UPDATES, first_guesses
from replank_export.integer.nodes import Nodes

# More than any mean, and than any normalized value: what is added to make them positive.
_MEAN_MARGIN = 2**23
_NORM_MARGIN = 2 ** (OUTPUT_BITS + 1)


def requantize(
    nodes: Nodes,
    value: str,
    requantizer: Requantizer,
    kind: str,
    *,
    bias: Integers | int = 0,
    zero_point: int = 0,
    name: str = "",
) -> str:
    """A requantization.

    ``floor(x / 2**shift)`` of any sign is ``floor((x + margin * 2**shift) / 2**shift) - margin`` of none.

    :param kind: of the result; ``zero_point`` is added to it.
    :param bias: added to the value before, at its own scale.
    """
    margin = 1 << requantizer.bound.bit_length()
    offset = requantizer.offset + bias * requantizer.multiplier + (np.int64(margin) << np.int64(requantizer.shift))
    product = nodes.add("Mul", nodes.cast(value, "int64"), nodes.constant(requantizer.multiplier, "int64"))
    positive = nodes.add("Add", product, nodes.constant(offset, "int64"))
    shifted = nodes.cast(nodes.shift(positive, requantizer.shift, "int64"), "int32")
    clipped = nodes.clip(shifted, requantizer.low + margin, requantizer.high + margin)
    result = nodes.add(
        "Sub", clipped, nodes.constant(margin - zero_point, "int32"), name=name if kind == "int32" else ""
    )
    return result if kind == "int32" else nodes.cast(result, kind, name)


def gelu(nodes: Nodes, values: str, kernel: Gelu) -> str:
    """GELU of int32, in int32."""
    size = nodes.add("Abs", values)
    edge = nodes.constant(kernel.edge, "int32")
    distance = nodes.add("Sub", edge, nodes.add("Min", size, edge))
    below = nodes.add("Sub", nodes.constant(kernel.one, "int32"), nodes.add("Mul", distance, distance))
    erf = nodes.shift(nodes.add("Max", below, nodes.constant(0, "int32")), kernel.shift, "int32")
    straight = nodes.add("Mul", values, nodes.constant(kernel.one >> kernel.shift, "int32"))
    return nodes.add("Add", straight, nodes.add("Mul", size, erf))


def softmax(nodes: Nodes, scores: str, is_token: str, mask: str, kernel: Softmax) -> str:
    """Probabilities of int32 scores, in int32.

    :param is_token: whether each key is one, of type bool; ``mask``: the same as int32.
    """
    masked = nodes.add("Where", is_token, scores, nodes.constant(MASKED, "int32"))
    highest = nodes.add("ReduceMax", masked, nodes.constant([-1], "int64"), keepdims=1)
    most = nodes.constant(kernel.most, "int32")
    distance = nodes.add("Min", nodes.add("Sub", highest, masked), most)
    product = nodes.add("Mul", distance, nodes.constant(kernel.rescale.multiplier, "int32"))
    rounded = nodes.add("Add", product, nodes.constant(half(kernel.rescale.shift), "int32"))
    steps = nodes.shift(rounded, kernel.rescale.shift, "int32")
    terms = _exponential(nodes, nodes.add("Min", steps, nodes.constant(2**CAP_BITS, "int32")))
    terms = nodes.add("Mul", terms, mask)
    total = nodes.add("ReduceSum", terms, nodes.constant([-1], "int64"), keepdims=1)
    total = nodes.add("Max", total, nodes.constant(1, "int32"))
    wide = nodes.add("Mul", terms, nodes.constant(256, "int32"))
    rounded = nodes.add("Add", wide, nodes.add("Div", total, nodes.constant(2, "int32")))
    return nodes.add("Min", nodes.add("Div", rounded, total), nodes.constant(255, "int32"))


def _exponential(nodes: Nodes, negated: str) -> str:
    """The exponential, less the bits that the sum of a softmax has no room for."""
    halvings = nodes.shift(negated, LN2_BITS, "int32")
    whole = nodes.add("Mul", halvings, nodes.constant(1 << LN2_BITS, "int32"))
    rest = nodes.add("Sub", negated, whole)
    root = nodes.add("Sub", nodes.constant(LINEAR, "int32"), rest)
    value = nodes.add("Add", nodes.add("Mul", root, root), nodes.constant(CONSTANT, "int32"))
    if nodes.target == "cuda":
        powers = nodes.constant([1 << (bits + TERM_SHIFT) for bits in range(CAP_BITS + 1)], "int32")
        return nodes.add("Div", value, nodes.add("Gather", powers, halvings))
    bits = nodes.cast(nodes.add("Add", halvings, nodes.constant(TERM_SHIFT, "int32")), "uint32")
    return nodes.cast(nodes.add("BitShift", nodes.cast(value, "uint32"), bits, direction="RIGHT"), "int32")


def layer_norm(nodes: Nodes, values: str, width: int, kernel: LayerNorm, name: str) -> str:
    """The norms of int32 rows, as 8-bit activations.

    :param width: of a row.
    """
    last = nodes.constant([-1], "int64")
    total = nodes.cast(nodes.add("ReduceSum", values, last, keepdims=1), "int64")
    total = nodes.add("Add", total, nodes.constant(width // 2 + width * _MEAN_MARGIN, "int64"))
    mean = nodes.add("Div", total, nodes.constant(width, "int64"))
    mean = nodes.cast(nodes.add("Sub", mean, nodes.constant(_MEAN_MARGIN, "int64")), "int32")
    centred = nodes.cast(nodes.add("Sub", values, mean), "int64")
    squares = nodes.add("ReduceSum", nodes.add("Mul", centred, centred), last, keepdims=1)
    if kernel.epsilon:
        squares = nodes.add("Add", squares, nodes.constant(kernel.epsilon, "int64"))
    else:
        is_zero = nodes.add("Equal", squares, nodes.constant(0, "int64"))
        squares = nodes.add("Where", is_zero, nodes.constant(1, "int64"), squares)
    reciprocal = nodes.add("Div", nodes.constant(1 << RECIPROCAL_BITS, "int64"), square_root(nodes, squares))
    shift = RECIPROCAL_BITS - OUTPUT_BITS
    product = nodes.add("Mul", centred, reciprocal)
    positive = nodes.add("Add", product, nodes.constant(int(half(shift)) + (_NORM_MARGIN << shift), "int64"))
    normalized = nodes.shift(positive, shift, "int64")
    return requantize(
        nodes,
        normalized,
        kernel.affine,
        nodes.activation_type,
        bias=-_NORM_MARGIN,
        zero_point=nodes.zero_point,
        name=name,
    )


def square_root(nodes: Nodes, values: str) -> str:
    """The square root of each row's one value, an int64 of at least 1."""
    powers = nodes.constant(np.int64(1) << np.arange(62, dtype=np.int64), "int64")
    reached = nodes.cast(nodes.add("GreaterOrEqual", values, powers), "int32")
    bits = nodes.add("ReduceSum", reached, nodes.constant([-1], "int64"), keepdims=1)
    root = nodes.add("Gather", nodes.constant(first_guesses(), "int64"), bits)
    for _ in range(UPDATES):
        average = nodes.add("Add", root, nodes.add("Div", values, root))
        # Of int64, Min is right below 2^31, which roots of values below 2^62 are.
        root = nodes.add("Min", root, nodes.shift(average, 1, "int64"))
    return root
