"""One way to run a model."""

from __future__ import annotations

from pathlib import Path

from replank.benchmarking.config import Variant


def variant(folder: Path) -> Variant:
    return Variant("a model", str(folder), "cpu", "fp32")
