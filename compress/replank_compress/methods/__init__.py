"""Methods of compression: module replacing and its baselines.

A method is a file here that holds its configuration, a :class:`SuccessorConfig`, and a line in :data:`METHODS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from replank_compress.methods.config import SuccessorConfig
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.pkd import PkdConfig
from replank_compress.methods.refbert import RefbertConfig
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.methods.truncate import TruncateConfig

_CONFIGS: tuple[type[SuccessorConfig], ...] = (
    TheseusConfig,
    TruncateConfig,
    KdConfig,
    PkdConfig,
    RefbertConfig,
)

METHODS: Mapping[str, type[SuccessorConfig]] = {config.name: config for config in _CONFIGS}
"""The configuration of each method, by the method's name; the first is the default."""
