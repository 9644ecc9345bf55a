"""The configuration of a benchmark: models and their variants, shapes or real texts, and how long to measure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from replank.benchmarking.result import Shape
from replank.models.weights import kind_of_weights
from replank.runtime.clock import Clock
from replank.runtime.providers import PROVIDERS, Device, provider_of
from replank.runtime.torch_modes import DEFAULT_MODE, TorchMode
from replank.system.errors import FieldError
from replank.system.settings import setting


@dataclass(frozen=True)
class Variant:
    """One model on one device in one mode: a process of its own, a line of the tables.

    :param name: its unique name in the result.
    :param model: a folder, or a name on the hub.
    """

    name: str
    model: str
    device: Device
    mode: TorchMode


@dataclass(frozen=True)
class BenchmarkConfig:
    """The configuration of a benchmark.

    In each round each variant measures each shape, one right after the other, so that a machine that slows down slows
    all of them.

    :param models: folders, or names on the hub.
    :param batch_sizes: texts that run together.
    :param lengths: tokens of each text, special tokens included; there is no padding.
    :param texts: real texts, each one or a pair, measured instead of ``lengths``, padded as in use; the first 16
        batches of each batch size.
    :param rounds: the least number of interleaved rounds.
    :param max_seconds: the time, from the first turn, for more rounds of shapes whose ratios are not known to ±5 % yet.
    :param min_seconds: the least time measured for each variant and shape, over all ``rounds``.
    :param min_iterations: the least number of samples of each variant and shape in each round.
    :param warmup: runs before the samples of the first round; in later rounds at most one, and none if a run is long.
    :param threads: threads of one operator, pinned to as many cores; ``None`` for all cores that this process may use.
    :param devices: each model runs on each of those that can run it; it is an error if this machine lacks one.
        ``auto``, alone: on each that this machine has.
    :param torch_modes: each torch model runs in each.
    :param clock: what is measured. ``wall``: latency. ``processor``: processor time of one thread, which on a busy
        machine leaves out what threads wait; of several it would count how they spin for each other. ``auto``: latency,
        unless threads wait for cores that others use; then everything is measured again by processor time.
    :param baseline: the name of the variant that ratios refer to; ``None`` for the first.
    :param seed: of the token ids.
    :raises FieldError: a value out of range.
    """

    models: tuple[str, ...]
    batch_sizes: tuple[int, ...] = setting((1, 8), "Texts that run together.", flag="batch-size")
    lengths: tuple[int, ...] = setting((16, 128), "Tokens of each text.", flag="length")
    texts: tuple[tuple[str, ...], ...] = ()
    rounds: int = setting(5, "Interleaved rounds over all models, at least.")
    max_seconds: float = setting(150.0, "For more rounds where a ratio is not known to 5 % yet.")
    min_seconds: float = 0.5
    min_iterations: int = 1
    warmup: int = 2
    threads: int | None = setting(None, "Threads of one operator; by default all available cores.")
    devices: tuple[Device, ...] = setting(
        ("cpu",),
        "Execution providers; each model runs on each that can run it. auto: all of this machine.",
        flag="device",
        choices=(*PROVIDERS, "auto"),
    )
    torch_modes: tuple[TorchMode, ...] = setting(
        (DEFAULT_MODE,), "Modes of torch models; compiled is torch.compile, compiled-int8 torchao's INT8.", flag="torch"
    )
    clock: Clock | Literal["auto"] = setting(
        "auto", "Latency, processor time of one thread, or auto: the latter where others keep the cores busy."
    )
    baseline: str | None = setting(None, "The variant that ratios refer to; by default the first.")
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.models:
            raise FieldError("models", self.models, "at least one model")
        for name in ("batch_sizes", "lengths"):
            values = getattr(self, name)
            if not _are_distinct(values) or min(values) < 1:
                raise FieldError(name, values, "numbers of 1 or more, each once")
        least = {"rounds": 1, "min_iterations": 1, "warmup": 0, "threads": 1}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise FieldError(name, value, f"at least {bound}")
        for name in ("min_seconds", "max_seconds"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise FieldError(name, value, "0 or more seconds")
        if self.texts and len(self.texts) < (size := max(self.batch_sizes)):
            raise FieldError("batch_sizes", size, f"at most {len(self.texts)}, the number of texts")
        self._require_choices()

    def _require_choices(self) -> None:
        if not _are_distinct(self.devices) or (self.is_auto and len(self.devices) > 1):
            raise FieldError("devices", self.devices, "devices, each once, or auto alone")
        for device in self.devices:
            if device != "auto":
                provider_of(device)
        modes = get_args(TorchMode)
        if not _are_distinct(self.torch_modes) or not set(self.torch_modes) <= set(modes):
            raise FieldError("torch_modes", self.torch_modes, f"some of {', '.join(modes)}, each once")
        if self.clock not in (*get_args(Clock), "auto"):
            raise FieldError("clock", self.clock, f"one of {', '.join(get_args(Clock))}, auto")
        if self.clock == "processor" and self.has_gpu:
            raise FieldError("clock", self.clock, "wall or auto, as a GPU's time is not the processor's")
        names = [variant.name for variant in self.variants]
        if self.baseline is not None and self.baseline not in names:
            raise FieldError("baseline", self.baseline, f"one of {', '.join(names)}")

    @property
    def is_auto(self) -> bool:
        """Whether models run wherever they can."""
        return "auto" in self.devices

    @property
    def has_gpu(self) -> bool:
        """Whether a model may run on a GPU."""
        return any(provider_of(device).is_gpu for device in (PROVIDERS if self.is_auto else self.devices))

    @property
    def variants(self) -> list[Variant]:
        """All variants, in the order of the models."""
        devices = list(PROVIDERS) if self.is_auto else self.devices
        found = []
        for short, model in zip(short_names(self.models), self.models, strict=True):
            is_onnx = kind_of_weights(Path(model)) == "onnx"
            modes: tuple[TorchMode, ...] = (DEFAULT_MODE,) if is_onnx else self.torch_modes
            for device in devices:
                place = f" on {device}" if len(self.devices) > 1 or self.is_auto else ""
                for mode in modes:
                    way = f" ({mode})" if len(modes) > 1 or mode != DEFAULT_MODE else ""
                    found.append(Variant(f"{short}{place}{way}", model, device, mode))
        return found

    @property
    def shapes(self) -> list[Shape]:
        """All combinations of batch size and length."""
        lengths: tuple[int | None, ...] = (None,) if self.texts else self.lengths
        return [Shape(batch_size, length) for length in lengths for batch_size in self.batch_sizes]

    @property
    def units(self) -> int:
        """The sum of the amounts that :func:`benchmark` reports to its ``progress``."""
        return self.rounds * len(self.shapes) * len(self.variants)


def short_names(models: tuple[str, ...]) -> list[str]:
    """The folders' own names if they tell the models apart, since paths mean nothing on another machine.

    A model that is listed more than once, to see how far apart equal models measure, is numbered.
    """
    short = [Path(model).resolve().name if Path(model).exists() else model for model in models]
    names = short if len(set(short)) == len(set(models)) else list(models)
    seen = [names[: index + 1].count(name) for index, name in enumerate(names)]
    return [name if number == 1 else f"{name} ({number})" for name, number in zip(names, seen, strict=True)]


def _are_distinct(values: Sequence[object]) -> bool:
    """Whether there are values, all different."""
    return bool(values) and len(set(values)) == len(values)
