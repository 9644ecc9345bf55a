"""All schemes of the stage `quantize`: those that quantize a graph, and those that have stages of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import singledispatch
from pathlib import Path
from typing import Any

from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import Source
from replank_export.automatic.config import AutoInt8 as AutoInt8
from replank_export.int8 import SCHEMES as GRAPH_SCHEMES
from replank_export.int8.config import Int8Config
from replank_export.integer.config import IntegerInt8 as IntegerInt8

Scheme = Int8Config | IntegerInt8 | AutoInt8

SCHEMES: Mapping[str, type[Scheme]] = {
    **GRAPH_SCHEMES,
    IntegerInt8.name: IntegerInt8,
    AutoInt8.name: AutoInt8,
}
"""The configuration of each scheme, by the scheme's name; the first is the default."""


def untimed(name: str, max_drop: float | None = None) -> Scheme:
    """The configuration of a scheme whose graph may be slower than its source here.

    :param max_drop: the allowed loss of the headline metric; the scheme's own if not given.
    """
    scheme = SCHEMES[name]
    # Integers are for machines that have nothing else, and never timed.
    is_timed = any(entry.name == "allow_slower" for entry in fields(scheme))
    settings: dict[str, Any] = {"allow_slower": True} if is_timed else {}
    if max_drop is not None:
        settings["max_drop"] = max_drop
    return scheme(**settings)


def quantize(
    source: Source, out: Path, config: Scheme, data_config: DataConfig | None = None, *, force: bool = False
) -> Artifact:
    """Run the stage for the type of a configuration; see :func:`replank_export.quantize.quantize`,
    :func:`replank_export.quantize_integer.quantize_integer` and :func:`replank_export.quantize_auto.quantize_auto`.
    """
    return _stage(config)(source, out, config, data_config, force=force)


@singledispatch
def _stage(config: Scheme) -> Callable[..., Artifact]:
    """The stage for a type of configuration, imported when it is wanted: some need torch."""
    raise TypeError(f"{type(config).__name__} is no scheme")


@_stage.register
def _(config: Int8Config) -> Callable[..., Artifact]:
    from replank_export.quantize import quantize as stage

    return stage


@_stage.register
def _(config: IntegerInt8) -> Callable[..., Artifact]:
    from replank_export.quantize_integer import quantize_integer

    return quantize_integer


@_stage.register
def _(config: AutoInt8) -> Callable[..., Artifact]:
    from replank_export.quantize_auto import quantize_auto

    return quantize_auto
