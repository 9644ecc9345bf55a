"""Amounts that people type with their unit: a time, a size, a rate. A bare number is refused, not guessed at."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from replank.system.errors import UsageError

_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_PER_SECOND = {"/s": 1.0, "/min": 1 / 60}
_AMOUNT = re.compile(r"([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*(\D*)", re.ASCII)


def milliseconds(text: str, flag: str) -> float:
    """A time: ``5ms``, ``0.2s``, ``800us``.

    :param flag: the option's name, for the message.
    :raises UsageError: no number above 0 with such a unit.
    """
    return _amount(text, flag, _MILLISECONDS, "5ms")


def size_in_bytes(text: str, flag: str) -> int:
    """A size: ``50MB`` (millions of bytes), ``64MiB``."""
    return int(_amount(text, flag, _BYTES, "50MB"))


def per_second(text: str, flag: str) -> float:
    """A rate: ``200/s``, ``9000/min``."""
    return _amount(text, flag, _PER_SECOND, "200/s")


def _amount(text: str, flag: str, units: Mapping[str, float], example: str) -> float:
    match = _AMOUNT.fullmatch(text.strip())
    by_folded = {name.casefold(): factor for name, factor in units.items()}
    factor = by_folded.get(match[2].strip().casefold()) if match else None
    value = float(match[1]) * factor if match and factor else 0.0
    if value > 0 and math.isfinite(value):
        return value
    if match and not match[2].strip():
        problem = f"{flag} {text} has no unit"
    elif match and factor is None:
        problem = f"{flag} {text}: unknown unit {match[2].strip()!r}"
    else:
        problem = f"{flag} {text}: no amount above 0"
    raise UsageError(f"{problem}; expected a number and one of {', '.join(units)}", hint=f"such as {flag} {example}")
