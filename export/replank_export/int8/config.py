"""The settings that all INT8 schemes share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from replank.models.manifest import ArtifactKind
from replank.system.environment import Int8Target, int8_target
from replank.system.errors import FieldError
from replank.system.settings import setting
from replank.text.padding import Batch
from replank_export.int8.prepared_graph import PreparedGraph, prepared_file


@dataclass(frozen=True)
class Int8Config(ABC):
    """An INT8 scheme: each is a subclass, registered in :data:`replank_export.int8.SCHEMES`.

    :cvar name: the scheme's name.
    :cvar takes: the kind of model that it is made of.
    :param per_channel: one scale per column of a weight matrix, instead of one for the whole matrix.
    :param max_drop: the allowed loss of the headline metric against the source, as a fraction.
    :param target: the instruction set that the weights are quantized for.
    :param allow_slower: also accept a graph that is not faster than its source on this machine.
    """

    name: ClassVar[str]
    takes: ClassVar[ArtifactKind] = "onnx"
    per_channel: bool = setting(True, "One scale per output channel of a weight matrix, instead of one for all.")
    max_drop: float = setting(0.005, "Allowed loss of the headline metric; 0.005 is half a point.")
    target: Int8Target | Literal["native"] = setting(
        "native", "Instruction set that weights are quantized for; avx2 uses 7 bits."
    )
    allow_slower: bool = setting(False, "Write the model even if it is not faster than its source on this machine.")

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 1:
            raise FieldError("max_drop", self.max_drop, "a fraction, 0 to 1 (0.005 is half a point)")
        if self.target not in (targets := ("native", *get_args(Int8Target))):
            raise FieldError("target", self.target, f"one of {', '.join(targets)}")

    @property
    def instructions(self) -> Int8Target:
        """The instruction set that the weights are quantized for, with ``native`` resolved."""
        return int8_target() if self.target == "native" else self.target

    @property
    def reduce_range(self) -> bool:
        """Whether weights use 7 bits: without VNNI the sum of two 8-bit products overflows 16 bits."""
        return self.instructions == "avx2"

    def texts_wanted(self) -> int:
        """The number of calibration texts; 0 for a scheme without calibration."""
        return 0

    @contextmanager
    def prepare(self, source: Path, texts: Sequence[Batch] = ()) -> Iterator[PreparedGraph]:
        """An fp32 graph, ready to be quantized any number of times; its files exist until the block ends.

        :param texts: calibration texts without padding, :meth:`texts_wanted` of them.
        :raises ModelError: the shapes in the graph cannot be inferred.
        """
        with prepared_file(source) as path:
            yield self.graph(path, texts)

    @abstractmethod
    def graph(self, path: Path, texts: Sequence[Batch]) -> PreparedGraph:
        """The graph in a file of :func:`prepared_file`."""

    @abstractmethod
    def ort_config(self) -> dict[str, Any]:
        """The scheme in Optimum's keys of ``ort_config.json``."""
