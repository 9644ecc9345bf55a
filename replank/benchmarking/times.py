"""What times are of, and what is said of a machine that was busy while they were measured."""

from __future__ import annotations

from collections.abc import Iterable

from replank.runtime.clock import Clock

# Other processes' share of the cores that is more than noise.
_BUSY = 0.1
# On a quiet machine fewer than one run in ten take that many times the median.
_UNEVEN = 1.5


def disturbance(
    other_load: float | None, cores: int, latencies: Iterable[tuple[float, float]], clock: Clock | None = None
) -> str | None:
    """A sentence on a machine that was busy during a measurement; ``None`` on an idle one.

    :param other_load: cores that other processes used on average; ``None`` if the kernel does not report it.
    :param cores: those of the machine.
    :param latencies: the median and the 90th percentile of each model at each shape.
    :param clock: what they are of.
    """
    load = other_load or 0.0
    if load > _BUSY * cores:
        return busy(f"other processes used {load:.1f} of {cores} cores", clock)
    if any(p90 > _UNEVEN * p50 for p50, p90 in latencies):
        return busy(f"{'times' if clock == 'processor' else 'latencies'} varied by more than half", clock)
    return None


def busy(why: str | None = None, clock: Clock | None = None) -> str:
    """The sentence below every table of times that were measured on a busy machine.

    :param why: how it was noticed.
    :param clock: what they are of.
    """
    reason = f" ({why})" if why else ""
    effect = (
        "processor time leaves out what threads waited; ratios hold within their intervals."
        if clock == "processor"
        else "latencies are longer than on an idle machine, those of several threads most."
    )
    return f"The machine was busy during the measurement{reason}: {effect}"


def time_name(clock: Clock | None) -> str:
    """What times are of, for titles of tables and charts."""
    return "processor time (one thread)" if clock == "processor" else "latency"


def time_unit(clock: Clock | None) -> str:
    """Their unit, for heads of columns."""
    return "cpu ms" if clock == "processor" else "ms"
