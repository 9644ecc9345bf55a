"""The range of each activation, and the file that keeps them: what calibration finds, or training with quantization.

A range is one number for a tensor, as in the paper, or one for each channel, where what reads the tensor is a linear
layer: its weights then take on the scale of each of its inputs, which costs nothing at run time. Encoders have a few
channels with values many times as large as all others, and with one range for all nothing is left of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from replank.integer.integers import Reals
from replank.system.errors import ModelError
from replank.system.json_files import read_json, write_json

RANGES_FILE = "integer_ranges.json"
_LARGEST = 1e30


class Ranges(Mapping[str, Reals]):
    """The largest absolute values of each activation, by its name: one, shape ``()``, or one for each channel.

    :raises ModelError: a range is not finite, or so large that its integers mean nothing.
    """

    def __init__(self, ends: Mapping[str, ArrayLike]) -> None:
        self._ends = {name: np.asarray(end, dtype=np.float64) for name, end in ends.items()}
        for name, end in self._ends.items():
            if not np.all((end >= 0) & (end <= _LARGEST)):
                raise ModelError(
                    f"the range of the activation {name} is {np.max(end)}; expected a number from 0 to {_LARGEST:g}",
                    hint="the model gives NaN, infinite or enormous values on these texts: does it answer in fp32?",
                )

    def __getitem__(self, name: str) -> Reals:
        """The end of an activation's range, or those of its channels.

        :raises ModelError: there is none.
        """
        if name not in self._ends:
            raise ModelError(
                f"there is no range of the activation {name}",
                hint="ranges are of a model of the same architecture and depth; quantize it anew",
            )
        return self._ends[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ends)

    def __len__(self) -> int:
        return len(self._ends)


def write_ranges(folder: Path, ranges: Ranges) -> None:
    """Write the file of ranges into a model folder."""
    write_json(folder / RANGES_FILE, {"activations": {name: end.tolist() for name, end in ranges.items()}})


def read_ranges(folder: Path) -> Ranges | None:
    """The ranges in a model folder; ``None`` where it has no file of them.

    :raises ModelError: the file is damaged.
    """
    if not (folder / RANGES_FILE).exists():
        return None
    values = read_json(folder / RANGES_FILE).get("activations")
    if not isinstance(values, dict) or not all(map(_is_range, values.values())):
        raise ModelError(
            f"{folder / RANGES_FILE} is damaged: expected `activations` with a number, or a list, for each"
        )
    return Ranges(values)


def _is_range(value: Any) -> bool:
    numbers = value if isinstance(value, list) else [value]
    return bool(numbers) and all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in numbers)
