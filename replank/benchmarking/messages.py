"""The messages between a benchmark and the processes of its models: JSON objects, one per line."""

from __future__ import annotations

from dataclasses import dataclass

from replank.benchmarking.result import Shape
from replank.runtime.clock import Clock
from replank.runtime.torch_modes import TorchMode


@dataclass(frozen=True)
class Load:
    """The first request: load a model. The answer is :class:`~replank.benchmarking.result.ModelFacts`.

    :param log_level: from which log messages are sent, one before any answer: objects of
        :class:`~replank.system.logs.LogMessage`.
    :param texts: real texts, for turns without a length.
    :param clock: what the samples are of.
    """

    model: str
    device: str
    mode: TorchMode
    threads: int | None
    log_level: int
    texts: tuple[tuple[str, ...], ...] = ()
    clock: Clock = "wall"


@dataclass(frozen=True)
class Turn:
    """Each later request: measure one shape. The answer is :class:`Samples`.

    :param length: tokens of each text; ``None`` for real texts.
    :param seed: of the token ids.
    :param warmup: runs before the first sample.
    :param is_first: whether every batch of real texts runs once before.
    :param min_iterations: the least number of samples.
    :param min_seconds: the least time of all samples together.
    """

    batch_size: int
    length: int | None
    seed: int
    warmup: int
    is_first: bool
    min_iterations: int
    min_seconds: float

    @property
    def shape(self) -> Shape:
        """The shape to measure."""
        return Shape(self.batch_size, self.length)


@dataclass(frozen=True)
class Samples:
    """The measurement of one turn.

    :param milliseconds: of each run.
    :param joules: energy of all runs; ``None`` if the machine does not report it.
    :param waited: see :meth:`replank.benchmarking.waits.CoreWaits.share`; over all runs.
    :param peak_memory_bytes: peak resident memory of the process so far.
    """

    milliseconds: tuple[float, ...]
    joules: float | None
    waited: float | None
    peak_memory_bytes: int


@dataclass(frozen=True)
class Failure:
    """The answer in place of any other: the process ends with an error.

    :param error: the name of its class in :mod:`replank.system.errors`.
    """

    error: str
    message: str
    hint: str | None
