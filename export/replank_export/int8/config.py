"""The settings that all INT8 schemes share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from replank.system.environment import Int8Target, int8_target
from replank.system.errors import FieldError
from replank.system.settings import setting
from replank.text.padding import Batch
from replank_export.int8.prepared_graph import PreparedGraph, prepared_file


@dataclass(frozen=True)
class Int8Config(ABC):
    """An INT8 scheme; each is a subclass.

    :cvar name: the scheme's name.
    :param per_channel: a scale for each column of a weight matrix, instead of one for the whole matrix.
    :param max_drop: the loss of the headline metric against the source that is allowed, as a fraction.
    :param target: the instruction set that the graph is made for.
    :param allow_slower: write a graph that is not faster than its source on this machine, too.
    """

    name: ClassVar[str]
    per_channel: bool = setting(True, "A scale for each output channel of the weights; one for all otherwise.")
    max_drop: float = setting(0.005, "Loss of the headline metric allowed: 0.005 is half a point.")
    target: Int8Target | Literal["native"] = setting(
        "native", "Instruction set that it is made for; avx2 weights take 7 bits."
    )
    allow_slower: bool = setting(False, "Write it even if it is not faster than its source here.")

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 1:
            raise FieldError("max_drop", self.max_drop, "a fraction, 0 to 1 (0.005 is half a point)")
        if self.target not in (targets := ("native", *get_args(Int8Target))):
            raise FieldError("target", self.target, f"one of {', '.join(targets)}")

    @property
    def instructions(self) -> Int8Target:
        """The instruction set that the graph is made for."""
        return int8_target() if self.target == "native" else self.target

    @property
    def reduce_range(self) -> bool:
        """Whether weights take 7 bits: without VNNI the sum of two products of 8 bits overflows 16 bits."""
        return self.instructions == "avx2"

    def texts_wanted(self) -> int:
        """The number of texts to calibrate on; 0 where the scheme needs none."""
        return 0

    @contextmanager
    def prepare(self, source: Path, texts: Sequence[Batch] = ()) -> Iterator[PreparedGraph]:
        """A graph in fp32, prepared to be quantized more than once; its files live as long as the block.

        :param texts: texts without padding, as many as :meth:`texts_wanted` or none.
        :raises ModelError: the shapes in the graph cannot be inferred.
        """
        with prepared_file(source) as path:
            yield self.graph(path, texts)

    @abstractmethod
    def graph(self, path: Path, texts: Sequence[Batch]) -> PreparedGraph:
        """The prepared graph of a prepared file."""

    @abstractmethod
    def ort_config(self) -> dict[str, Any]:
        """The scheme in the keys of Optimum's ``ort_config.json``."""
