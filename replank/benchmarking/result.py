"""The result of a benchmark: models, cells and ratios, as they are written to and read from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from replank.benchmarking.times import disturbance
from replank.models.quality import Quality
from replank.runtime.clock import Clock
from replank.system.environment import Machine
from replank.system.errors import DataError, ReplankError
from replank.system.typed_json import added, dataclass_from_json, object_values
from replank.tasks.task import headline

RESULT_SCHEMA = 2
# The error of a result that Ctrl-C ended early.
INTERRUPTED = "interrupted"

Interval = tuple[float, float]


class Shape(NamedTuple):
    """The shape of a batch.

    :param length: tokens of each text; ``None`` for real texts, which have lengths of their own.
    """

    batch_size: int
    length: int | None

    def __str__(self) -> str:
        if self.length is None:
            return f"{self.batch_size} text{'s' * (self.batch_size > 1)}"
        return f"{self.batch_size} x {self.length} tokens"


@dataclass(frozen=True)
class ModelFacts:
    """A model as a benchmark's process loaded it.

    :param kind: ``torch`` or ``onnx``.
    :param precision: of the weights.
    :param mode: the torch mode; ``None`` for an ONNX model.
    :param provider: ONNX Runtime's name of the execution provider; ``None`` for a torch model.
    :param arithmetic: the precision in which it computes.
    :param model_bytes: bytes of the weights or the graph, with external data.
    :param task: the task's name; ``None`` without a manifest, as are ``digest`` and ``quality``.
    :param quality: the manifest's quality.
    :param length_limit: the most tokens of one text.
    :param threads: threads of one operator.
    """

    kind: str
    precision: str
    mode: str | None
    layers: int
    device: str
    provider: str | None
    arithmetic: str
    model_bytes: int
    task: str | None
    digest: str | None
    quality: Quality | None
    load_seconds: float
    length_limit: int
    threads: int

    @property
    def headline(self) -> tuple[str, float] | None:
        """The name and value of the task's headline metric; ``None`` if it was not measured."""
        return headline(self.quality.metrics) if self.quality else None


@dataclass(frozen=True)
class BenchmarkModel(ModelFacts):
    """One of the models measured side by side.

    :param name: the name by which cells refer to it.
    :param peak_memory_bytes: peak resident memory of its process.
    """

    name: str
    peak_memory_bytes: int


@dataclass(frozen=True)
class Ratio:
    """The speed of a model as a multiple of the baseline's.

    :param estimate: the trimmed geometric mean of the rounds' ratios.
    :param interval: of the estimate, 95 % for all ratios of the result together.
    :param rounds: the ratio of the medians in each round; ``median``, ``min`` and ``max`` are of these.
    """

    estimate: float
    interval: Interval
    median: float
    min: float
    max: float
    rounds: tuple[float, ...]

    @property
    def half_width(self) -> float:
        """The distance from the estimate to the farther end of its interval, relative to the estimate."""
        low, high = self.interval
        return max(high - self.estimate, self.estimate - low) / self.estimate

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.estimate:.2f} ({low:.2f}-{high:.2f})"


@dataclass(frozen=True)
class Latency:
    """Percentiles of the time of one batch, by the clock of the result.

    :param intervals_ms: the 95 % interval of each percentile, by ``p50``, ``p90``, ``p95`` and ``p99``.
    :param texts_per_second: the throughput, from the mean.
    """

    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    intervals_ms: dict[str, Interval]
    texts_per_second: float


@dataclass(frozen=True)
class Cell(Latency):
    """One model at one shape.

    :param model: the model's name.
    :param length: tokens of each text; ``None`` for real texts.
    :param joules_per_text: energy of the whole machine; ``None`` if it cannot be read.
    :param samples_ms: milliseconds of each run, a list for each round.
    :param waited: of each round, the part of the time for which a thread waited for a core; see
        :meth:`replank.benchmarking.waits.CoreWaits.share`. ``None`` in results of older releases.
    """

    model: str
    batch_size: int
    length: int | None
    joules_per_text: float | None
    ratio: Ratio
    samples_ms: tuple[tuple[float, ...], ...]
    waited: tuple[float | None, ...] | None = added("0.6.0")

    @property
    def shape(self) -> Shape:
        """The shape of its batches."""
        return Shape(self.batch_size, self.length)


@dataclass(frozen=True)
class LoadAverage:
    """The kernel's load averages over 1, 5 and 15 minutes, before and after a benchmark."""

    before: tuple[float, float, float]
    after: tuple[float, float, float]


@dataclass(frozen=True)
class Stopped:
    """The reason why a benchmark ended early, after at least one complete round."""

    error: str
    hint: str | None

    @property
    def is_interrupt(self) -> bool:
        """Whether it was Ctrl-C."""
        return self.error == INTERRUPTED

    def again(self) -> ReplankError | KeyboardInterrupt:
        """The reason as the exception that it was."""
        return KeyboardInterrupt() if self.is_interrupt else ReplankError(self.error, hint=self.hint)


@dataclass(frozen=True)
class Benchmark:
    """The result of a benchmark.

    :param config: the configuration, with short names of the models and a digest in place of the texts.
    :param machine: CPU, cores, memory and system.
    :param other_load: cores that other processes used on average; ``None`` if the kernel does not report it.
    :param left_out: reasons by the names of variants whose model and device do not fit, or that ``auto`` could not run.
    :param baseline: the name of the model that ratios refer to.
    :param clock: what all times and ratios are of: ``wall`` with the models' threads, or ``processor`` with one thread.
        ``None`` in results of older releases, for ``wall``.
    """

    config: dict[str, Any]
    machine: Machine
    versions: dict[str, str]
    load_average: LoadAverage
    other_load: float | None
    models: tuple[BenchmarkModel, ...]
    left_out: dict[str, str]
    baseline: str
    cells: tuple[Cell, ...]
    stopped: Stopped | None
    clock: Clock | None = added("0.6.0")

    @property
    def shapes(self) -> list[Shape]:
        """The shapes that were measured, in their order."""
        return list(dict.fromkeys(cell.shape for cell in self.cells))

    def at(self, shape: Shape) -> list[Cell]:
        """The cells of one shape, in the order of the models."""
        return [cell for cell in self.cells if cell.shape == shape]

    @property
    def is_same_task(self) -> bool:
        """Whether the models' qualities can be compared: one task, and the same rows.

        A model without a manifest has neither task nor quality, and does not matter.
        """
        tasks = {model.task for model in self.models if model.task}
        rows = {model.quality.data for model in self.models if model.quality}
        return len(tasks) <= 1 and len(rows) <= 1

    @property
    def is_disturbed(self) -> bool:
        """Whether the machine was busy: other processes used many cores, or latencies vary as they then do."""
        return self.disturbance is not None

    @property
    def disturbance(self) -> str | None:
        """A sentence on a busy machine; ``None`` on an idle one."""
        # Real texts are left out, as their lengths differ.
        latencies = [(cell.p50_ms, cell.p90_ms) for cell in self.cells if cell.length is not None]
        return disturbance(self.other_load, self.machine.cores, latencies, self.clock)

    def to_json(self) -> dict[str, Any]:
        """JSON values, with what follows from the others for readers that do not compute it."""
        values = {"schema": RESULT_SCHEMA} | object_values(self)
        return values | {"same_task": self.is_same_task, "disturbed": self.is_disturbed}

    @classmethod
    def from_json(cls, values: Any) -> Benchmark:
        """Read a result.

        :raises DataError: it is of another schema, or a value is missing or of another type.
        """
        hint = "replank benchmark writes one as JSON"
        if not isinstance(values, Mapping) or "cells" not in values:
            raise DataError("not the result of a benchmark", hint=hint)
        if values.get("schema") != RESULT_SCHEMA:
            raise DataError(f"schema {values.get('schema')} of a benchmark; expected {RESULT_SCHEMA}", hint=hint)
        try:
            result = dataclass_from_json(cls, values)
        except ValueError as error:
            raise DataError(f"not the result of a benchmark: {error}", hint=hint) from None
        if not result.cells:
            raise DataError("the result of a benchmark without cells", hint=hint)
        return result
