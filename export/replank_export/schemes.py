"""All schemes of the stage `quantize`: those that quantize a graph, and the one that makes a graph of integers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import Source
from replank_export.int8 import SCHEMES as GRAPH_SCHEMES
from replank_export.int8.config import Int8Config
from replank_export.integer.config import IntegerInt8 as IntegerInt8

Scheme = Int8Config | IntegerInt8

SCHEMES: Mapping[str, type[Scheme]] = {**GRAPH_SCHEMES, IntegerInt8.name: IntegerInt8}
"""The configuration of each scheme, by the scheme's name; the first is the default."""


def untimed(name: str, max_drop: float | None = None) -> Scheme:
    """The configuration of a scheme whose graph may be slower than its source here.

    :param max_drop: the allowed loss of the headline metric; the scheme's own if not given.
    """
    # Integers are for machines that have nothing else, and never timed.
    settings: dict[str, Any] = {} if name == IntegerInt8.name else {"allow_slower": True}
    if max_drop is not None:
        settings["max_drop"] = max_drop
    return SCHEMES[name](**settings)


def quantize(
    source: Source, out: Path, config: Scheme, data_config: DataConfig | None = None, *, force: bool = False
) -> Artifact:
    """Run the stage for the type of a configuration; see :func:`replank_export.quantize.quantize` and
    :func:`replank_export.quantize_integer.quantize_integer`.
    """
    if isinstance(config, IntegerInt8):
        from replank_export.quantize_integer import quantize_integer

        return quantize_integer(source, out, config, data_config, force=force)
    from replank_export.quantize import quantize as quantize_graph

    return quantize_graph(source, out, config, data_config, force=force)
