"""INT8 quantization of graphs.

A scheme is a file here that holds its configuration, an :class:`Int8Config`, and a line in :data:`SCHEMES`.
"""

from __future__ import annotations

from collections.abc import Mapping

from replank_export.int8.config import Int8Config
from replank_export.int8.dynamic import DynamicInt8
from replank_export.int8.static import StaticInt8

_CONFIGS: tuple[type[Int8Config], ...] = (
    DynamicInt8,
    StaticInt8,
)

SCHEMES: Mapping[str, type[Int8Config]] = {config.name: config for config in _CONFIGS}
"""The configuration of each scheme, by the scheme's name; the first is the default."""

__all__ = ["SCHEMES", "DynamicInt8", "Int8Config", "StaticInt8"]
