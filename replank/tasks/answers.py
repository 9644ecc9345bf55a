"""Answers: the score of a label, and answers as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Score:
    """A label with its probability, 0 to 1; of regression the number itself, under the label ``value``."""

    label: str
    score: float


@dataclass(frozen=True)
class Tensor:
    """An output of an inference protocol that speaks in tensors.

    :param width: values of each text; ``None``: one.
    """

    name: str
    datatype: Literal["BYTES", "FP32"]
    width: int | None = None

    @property
    def shape(self) -> list[int]:
        """The shape, -1 for any number of texts."""
        return [-1] if self.width is None else [-1, self.width]
