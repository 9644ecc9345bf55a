"""Which execution provider was the fastest, and where that was measured."""

from __future__ import annotations

from dataclasses import dataclass

from replank.system.environment import Processor


@dataclass(frozen=True)
class ProviderTable:
    """The measurement by which ``device="auto"`` chose, and the conditions under which it holds.

    :param versions: of replank and the runtimes.
    :param threads: threads of one operator.
    :param shapes: batch size and length of each timed batch.
    :param milliseconds: the median at each shape, for each provider that gives the reference's answers.
    :param left_out: the reason for each provider that does not.
    :param choice: the fastest.
    """

    machine: Processor
    versions: dict[str, str]
    threads: int
    shapes: tuple[tuple[int, int], ...]
    milliseconds: dict[str, tuple[float, ...]]
    left_out: dict[str, str]
    choice: str
