"""What quantization remembers of its work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from replank.system.typed_json import added


@dataclass(frozen=True)
class FloatWeights:
    """A weight matrix that an INT8 graph keeps in floating point, with the node that reads it."""

    node: str
    operator: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PartBytes:
    """Bytes of a graph's weights, in two parts."""

    embeddings: int
    rest: int


@dataclass(frozen=True)
class Int8Sizes:
    """Bytes of the weights before and after."""

    source: PartBytes
    int8: PartBytes

    @property
    def parts(self) -> list[tuple[str, int, int]]:
        """Name of each part, and its bytes before and after."""
        return [(name, size, getattr(self.int8, name)) for name, size in vars(self.source).items()]


@dataclass(frozen=True)
class Int8Speed:
    """Median latencies of one text, measured in turn.

    :param length: its tokens.
    :param source_ms: of the fp32 model, in milliseconds.
    :param ms: of the INT8 model.
    """

    length: int
    source_ms: float
    ms: float

    @property
    def ratio(self) -> float:
        """The speed as a multiple of the source's."""
        return self.source_ms / self.ms


@dataclass(frozen=True)
class IntegerTensor:
    """A tensor of an encoder that computes in integers.

    :param bits: that it has room in, sign included.
    :param largest: its largest absolute value on the calibration texts; the limit is ``2**(bits - 1) - 1``.
    """

    name: str
    bits: int
    largest: int


@dataclass(frozen=True, kw_only=True)
class IntegerFacts:
    """Facts of an encoder that computes in integers.

    :param target: the kernels that its 8-bit types were chosen for, ``cpu`` or ``cuda``.
    :param compared: how many integers of hidden states were compared with the definition; all were equal.
    :param types: the number of tensors of each type between the inputs and the head.
    :param float_tensors: the tensors of floating point: all of them in the head.
    :param tensors: the integers, in the order of computation.
    """

    target: str
    compared: int
    types: dict[str, int]
    float_tensors: tuple[str, ...]
    tensors: tuple[IntegerTensor, ...]


@dataclass(frozen=True, kw_only=True)
class Int8Trial:
    """A scheme on an execution provider, as the scheme ``auto`` tried it.

    :param scheme: its name; that of the source's precision for the source itself.
    :param milliseconds: the median at each shape.
    :param ratio: the speed as a multiple of the source's on the CPU: the geometric mean over the shapes.
    :param metric: the headline metric on the split that chooses; ``None`` without data.
    :param why: the reason for which it may not be used; ``None`` if it may.
    """

    scheme: str
    device: str
    milliseconds: tuple[float, ...] | None = None
    ratio: float | None = None
    metric: float | None = None
    why: str | None = None

    @property
    def name(self) -> str:
        """Such as ``static on openvino``."""
        return f"{self.scheme} on {self.device}"


@dataclass(frozen=True, kw_only=True)
class Int8Choice:
    """What the scheme ``auto`` chose from.

    :param device: the provider that the scheme was chosen for.
    :param shapes: batch size and length of each timed batch.
    :param metric: the name of the headline metric, and
    :param split: the split that it was computed on; ``None`` without data.
    :param trials: the source first, on each provider.
    :param absent: the reason for each provider that does not run on this machine at all.
    :param disturbance: a sentence, if the machine was busy meanwhile.
    :param clock: of the times; processor time is of one thread.
    """

    device: str
    shapes: tuple[tuple[int, int], ...]
    metric: str | None = None
    split: str | None = None
    trials: tuple[Int8Trial, ...]
    absent: dict[str, str]
    disturbance: str | None = None
    clock: Literal["wall", "processor"] = "wall"


@dataclass(frozen=True, kw_only=True)
class Int8Facts:
    """Facts of `quantize`.

    :param data: digest of each split of the data; ``None`` without data.
    :param scheme: name of the scheme.
    :param quantized: number of nodes of each fused operator of the source.
    :param kept_in_float: the weights that accuracy control left as they were, largest first.
    :param instruction_sets: of the machine that it was made on.
    :param target: the instructions that it was made for.
    :param reduce_range: whether weights have 7 bits, which do not overflow where sums have 16.
    :param speed: ``None`` if the machine that it was made on is not the target.
    :param batch_difference: the largest difference of a logit of a text in a batch from that of the text alone.
    :param integer: of the scheme ``integer``.
    :param choice: what the scheme ``auto`` chose from. No part of the digest.
    """

    data: dict[str, str] | None
    scheme: str
    quantized: dict[str, int]
    kept_in_float: tuple[FloatWeights, ...]
    instruction_sets: tuple[str, ...]
    target: str | None = added("0.2.0")
    reduce_range: bool
    sizes: Int8Sizes | None = added("0.2.0")
    speed: Int8Speed | None = added("0.2.0")
    batch_difference: float | None = added("0.4.0")
    integer: IntegerFacts | None = added("0.6.0")
    choice: Int8Choice | None = added("0.7.0")

    @property
    def is_batch_invariant(self) -> bool:
        """Whether an answer is the same whatever shares its batch; dynamic scales before 0.4.0 were a batch's."""
        if self.batch_difference is None:
            return self.scheme != "dynamic"
        return self.batch_difference <= 1e-4

    @property
    def chosen_on(self) -> str | None:
        """The digest of the rows that chose what stays in floating point: of dev, else of the held-out split."""
        return None if self.data is None else self.data.get("dev", self.data.get("test"))
