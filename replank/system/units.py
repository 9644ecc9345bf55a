"""Amounts that people type with their unit: a time, a size, a rate. A number without a unit is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from replank.system.errors import FieldError

_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_PER_SECOND = {"/s": 1.0, "/min": 1 / 60}
_AMOUNT = re.compile(r"([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*(\D*)", re.ASCII)


def milliseconds(text: str, field: str) -> float:
    """A time in milliseconds, from ``5ms``, ``0.2s`` or ``800us``.

    :param field: the setting's name, for the message.
    :raises FieldError: not a number above 0 with such a unit.
    """
    return _amount(text, field, _MILLISECONDS, "5ms")


def size_in_bytes(text: str, field: str) -> int:
    """A size in bytes, from ``50MB`` (millions of bytes) or ``64MiB``; see :func:`milliseconds`."""
    return int(_amount(text, field, _BYTES, "50MB"))


def per_second(text: str, field: str) -> float:
    """A rate per second, from ``200/s`` or ``9000/min``; see :func:`milliseconds`."""
    return _amount(text, field, _PER_SECOND, "200/s")


def _amount(text: str, field: str, units: Mapping[str, float], example: str) -> float:
    match = _AMOUNT.fullmatch(text.strip())
    by_folded = {name.casefold(): factor for name, factor in units.items()}
    factor = by_folded.get(match[2].strip().casefold()) if match else None
    value = float(match[1]) * factor if match and factor else 0.0
    if value > 0 and math.isfinite(value):
        return value
    unit = f"a number above 0 with one of the units {', '.join(units)}"
    raise FieldError(field, text, unit, hint=f"such as `{field}={example}`")
