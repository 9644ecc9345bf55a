"""The baseline `truncate`: fine-tuning of a model of fewer layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from replank_compress.layers import assemble
from replank_compress.methods.config import Start, SuccessorConfig
from replank_compress.training.method import Method


@dataclass(frozen=True)
class TruncateConfig(SuccessorConfig):
    """Fine-tuning of the predecessor's (or the pretrained encoder's) first layers."""

    name: ClassVar[str] = "truncate"

    def method(self, start: Start) -> Method:
        """Plain fine-tuning of ``origin`` with the given layers."""
        return Method(assemble(start.origin, start.layers))
