"""What a benchmark measures: models, in their ways to run, at shapes or on real texts, and for how long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from replank.models.artifact import MODEL_FILES
from replank.runtime.provider_choice import Auto
from replank.runtime.providers import PROVIDERS, Device
from replank.runtime.torch_modes import DEFAULT_MODE, TorchMode
from replank.system.errors import UsageError

# A batch size, and the tokens of each text or ``None``: the lengths that real texts have.
Cell = tuple[int, int | None]


@dataclass(frozen=True)
class Variant:
    """One model in one way to run it: a process of its own, a line of the tables.

    :param name: what it is shown as, which tells it from the others.
    :param model: a folder, or a name on the hub.
    """

    name: str
    model: str
    device: Device
    mode: TorchMode


@dataclass(frozen=True)
class BenchmarkConfig:
    """What is measured.

    A cell is one batch size with one length, or with the lengths of real texts. In each round each variant measures
    each cell, one right after the other, so that a machine that slows down slows all of them.

    :param models: folders, or names on the hub.
    :param batch_sizes: texts that run together.
    :param lengths: tokens of each text, special tokens included; there is no padding.
    :param texts: real texts, each one or a pair, measured instead of ``lengths``, padded as in
        use; of a batch size the first 16 batches.
    :param rounds: turns that each variant has at each cell, at least.
    :param max_seconds: until then, counted from the first turn, cells go on whose ratios are not known to ±5 % yet.
    :param min_seconds: least time measured for each variant and cell, over all ``rounds``.
    :param min_iterations: least samples of each variant and cell in each round.
    :param warmup: runs before the samples of the first turn; before later ones at most one, of a long run none.
    :param threads: threads of one operator, held to as many cores; the cores that this process may use where ``None``.
    :param devices: each model runs on each; one that cannot run there is an error. ``auto`` alone: wherever it can.
    :param torch_modes: each torch model runs in each.
    :param baseline: the variant, by its name, that the others' ratios are to; the first where ``None``.
    :param seed: of the token ids.
    :raises UsageError: a value out of range.
    """

    models: tuple[str, ...]
    batch_sizes: tuple[int, ...] = (1, 8)
    lengths: tuple[int, ...] = (16, 128)
    texts: tuple[tuple[str, ...], ...] = ()
    rounds: int = 5
    max_seconds: float = 0.0
    min_seconds: float = 0.5
    min_iterations: int = 1
    warmup: int = 2
    threads: int | None = None
    devices: tuple[Device | Auto, ...] = ("cpu",)
    torch_modes: tuple[TorchMode, ...] = (DEFAULT_MODE,)
    baseline: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("no model to measure; expected at least one")
        for name in ("batch_sizes", "lengths"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise UsageError(f"{name}: {', '.join(map(str, values)) or 'none'}; expected some, each once")
        least = {"rounds": 1, "min_iterations": 1, "warmup": 0}
        numbers = [(name, getattr(self, name), bound) for name, bound in least.items()]
        numbers += [("batch-size", value, 1) for value in self.batch_sizes]
        numbers += [("length", value, 1) for value in self.lengths]
        numbers += [("threads", self.threads, 1)] if self.threads is not None else []
        for name, value, bound in numbers:
            if value < bound:
                raise UsageError(f"--{name.replace('_', '-')} {value}: expected at least {bound}")
        for name in ("min_seconds", "max_seconds"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected 0 or more")
        if self.texts and len(self.texts) < max(self.batch_sizes):
            raise UsageError(f"{len(self.texts)} texts; expected at least --batch-size {max(self.batch_sizes)}")
        self._require_choices()

    def _require_choices(self) -> None:
        if not self.devices or len(set(self.devices)) != len(self.devices) or (self.is_auto and len(self.devices) > 1):
            raise UsageError(
                f"--device {', '.join(self.devices) or 'none'}: expected some, each once, or auto alone",
            )
        known = set(self.torch_modes) <= set(get_args(TorchMode))
        if not self.torch_modes or len(set(self.torch_modes)) != len(self.torch_modes) or not known:
            allowed = ", ".join(get_args(TorchMode))
            raise UsageError(f"--torch {', '.join(self.torch_modes) or 'none'}: expected some of {allowed}, each once")
        names = [variant.name for variant in self.variants]
        if self.baseline is not None and self.baseline not in names:
            raise UsageError(f"--baseline {self.baseline}: expected one of {', '.join(names)}")

    @property
    def is_auto(self) -> bool:
        """Whether models run wherever they can."""
        return "auto" in self.devices

    @property
    def variants(self) -> list[Variant]:
        """All that is measured side by side."""
        devices = list(PROVIDERS) if self.is_auto else [device for device in self.devices if device != "auto"]
        found = []
        for short, model in zip(short_names(self.models), self.models, strict=True):
            is_onnx = (Path(model) / MODEL_FILES["onnx"]).exists()
            modes: tuple[TorchMode, ...] = (DEFAULT_MODE,) if is_onnx else self.torch_modes
            for device in devices:
                place = f" on {device}" if len(self.devices) > 1 or self.is_auto else ""
                for mode in modes:
                    way = f" ({mode})" if len(modes) > 1 or mode != DEFAULT_MODE else ""
                    found.append(Variant(f"{short}{place}{way}", model, device, mode))
        return found

    @property
    def cells(self) -> list[Cell]:
        """All pairs of batch size and length."""
        lengths: tuple[int | None, ...] = (None,) if self.texts else self.lengths
        return [(batch_size, length) for length in lengths for batch_size in self.batch_sizes]

    @property
    def units(self) -> int:
        """What the amounts that :func:`benchmark` gives to its ``progress`` add up to."""
        return self.rounds * len(self.cells) * len(self.variants)


def short_names(models: tuple[str, ...]) -> list[str]:
    """The folders' own names where they tell the models apart: paths mean nothing on another machine.

    A model that is listed twice, to see how far equal things measure apart, is numbered.
    """
    short = [Path(model).resolve().name if Path(model).exists() else model for model in models]
    names = short if len(set(short)) == len(set(models)) else list(models)
    seen = [names[: index + 1].count(name) for index, name in enumerate(names)]
    return [name if number == 1 else f"{name} ({number})" for name, number in zip(names, seen, strict=True)]
