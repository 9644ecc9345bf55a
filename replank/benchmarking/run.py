"""Benchmarks: latency and throughput side by side, a fresh process per model, measured in turn, all samples kept."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

from replank.benchmarking.config import BenchmarkConfig as BenchmarkConfig
from replank.benchmarking.config import Variant, short_names
from replank.benchmarking.load import OtherLoad
from replank.benchmarking.process import WorkerProcess
from replank.benchmarking.result import INTERRUPTED, Benchmark, BenchmarkModel, LoadAverage, Shape, Stopped
from replank.benchmarking.rounds import KNOWN, Rounds
from replank.benchmarking.waits import is_busy
from replank.models.provenance import config_json
from replank.runtime.clock import Clock
from replank.runtime.providers import provider_of
from replank.runtime.torch_modes import DEFAULT_MODE
from replank.system.environment import machine, versions
from replank.system.errors import FieldError, IncompatibleModelError, MissingExtraError, ProviderError, ReplankError

_log = logging.getLogger(__name__)


class Progress(Protocol):
    """Called after each turn, and once for all turns of variants that are left out.

    The amount is below 0 when all turns are taken again, by processor time.
    """

    def __call__(self, amount: int = 1, note: str = "") -> None:
        """Report finished turns, and which they are."""
        ...


def benchmark(config: BenchmarkConfig, progress: Progress | None = None) -> Benchmark:
    """Measure all variants.

    An error, or Ctrl-C, after at least one complete round ends it early: the result is of the complete rounds, and its
    ``stopped`` says why.

    Where others keep the cores busy, all is measured again by processor time, if the configuration leaves the clock
    open.

    A model is left out where a device cannot run models of its kind, and a mode of torch where this machine lacks what
    it needs; the result says so.

    :raises FieldError: a length above a model's limit.
    :raises ProviderError: this machine lacks a device, or none of the devices can run any of the models.
    :raises ReplankError: a model that cannot be loaded or run, or whose process died, before a round was complete.
    :raises KeyboardInterrupt: before a round was complete.
    """
    if config.clock != "auto":
        return _measure(config, config.clock, progress)
    try:
        return _measure(config, "wall", progress)
    except _CoresAreTakenError as error:
        _log.warning("threads wait for cores that others use: processor time of one thread is measured instead")
        if progress:
            progress(-error.units, "processor time of one thread")
        return _measure(config, "processor", progress)


class _CoresAreTakenError(Exception):
    """Threads wait so often for cores that wall time would say nothing of the models.

    :param units: what was reported to ``progress`` so far.
    """

    def __init__(self, units: int) -> None:
        super().__init__(units)
        self.units = units


def _measure(config: BenchmarkConfig, clock: Clock, progress: Progress | None) -> Benchmark:
    """Measure all variants by one clock.

    :raises _CoresAreTakenError: the configuration leaves the clock open, and wall time says nothing.
    """
    load_before, stopped = os.getloadavg(), None
    with ExitStack() as stack:
        workers, left_out = _start(config, clock, stack)
        units_left_out = config.rounds * len(config.shapes) * len(left_out)
        if progress and left_out:
            progress(units_left_out, f"{len(left_out)} left out")
        _require_lengths(config, workers)
        meter = OtherLoad(worker.process_id for worker in workers.values())
        variants = list(workers)
        baseline = next(n for n, variant in enumerate(variants) if config.baseline in (None, variant.name))
        rounds = Rounds(config, list(workers.values()), baseline)
        # A GPU's time passes while the threads that wait for it have no core.
        may_change = config.clock == "auto" and clock == "wall" and not any(map(_is_on_gpu, variants))
        try:
            for _ in _take_turns(rounds, config, variants, progress):
                if may_change and rounds.complete and is_busy(rounds.waited, meter.cores()):
                    raise _CoresAreTakenError(min(config.units, units_left_out + len(rounds.waited)))
        except (ReplankError, KeyboardInterrupt) as error:
            if not rounds.complete:
                raise
            stopped = _stopped(error)
        other_load = None if stopped else meter.cores()
        models = tuple(_model(variant.name, worker) for variant, worker in workers.items())
    return Benchmark(
        config=config_json(config) | {"models": short_names(config.models), "texts": _texts_json(config)},
        machine=machine(),
        versions=versions(),
        load_average=LoadAverage(load_before, os.getloadavg()),
        other_load=other_load,
        models=models,
        left_out=left_out,
        baseline=variants[baseline].name,
        cells=rounds.cells([variant.name for variant in variants]),
        stopped=stopped,
        clock=clock,
    )


def _start(
    config: BenchmarkConfig, clock: Clock, stack: ExitStack
) -> tuple[dict[Variant, WorkerProcess], dict[str, str]]:
    """A process for each variant, and the reasons for those that are left out.

    :raises ReplankError: what a variant lacks, unless it may be left out; or nothing is left.
    """
    short = dict(zip(config.models, short_names(config.models), strict=True))
    # Of several threads, processor time would count how they spin for each other.
    threads = 1 if clock == "processor" else config.threads
    workers, left_out = {}, {}
    for variant in config.variants:
        try:
            workers[variant] = stack.enter_context(WorkerProcess(variant, threads, config.texts, clock))
        except (ProviderError, MissingExtraError) as error:
            if not _may_be_left_out(variant, error, config):
                raise
            # As everywhere in the result: no folders of this machine.
            left_out[variant.name] = error.message.replace(variant.model, short[variant.model])
    if not workers:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise IncompatibleModelError(f"nothing can be measured: {reasons}", hint="`device='cpu'` runs every model")
    return workers, left_out


def _may_be_left_out(variant: Variant, error: ReplankError, config: BenchmarkConfig) -> bool:
    """Whether the others are measured without it: a device that was asked for by name must be there."""
    if variant.name == config.baseline:
        return False  # without it there is no ratio
    if isinstance(error, IncompatibleModelError):
        return True
    if len(config.torch_modes) > 1 and variant.mode != DEFAULT_MODE:
        return True  # of the modes that were asked for, what this machine lacks for one says nothing of the others
    # If not even the CPU can run it, nothing can.
    return config.is_auto and variant.device != "cpu"


def _require_lengths(config: BenchmarkConfig, workers: dict[Variant, WorkerProcess]) -> None:
    """Refuse lengths above a model's limit before anything is measured, not minutes later."""
    for variant, worker in workers.items():
        limit = worker.facts.length_limit
        if not config.texts and max(config.lengths) > limit:
            raise FieldError("lengths", max(config.lengths), f"at most {limit} tokens for {variant.name}")


def _take_turns(
    rounds: Rounds, config: BenchmarkConfig, variants: list[Variant], progress: Progress | None
) -> Iterator[None]:
    """Take all turns, one each time that the next is asked for."""
    told = False
    for round_number, shape, index in rounds.turns():
        rounds.take(round_number, shape, index)
        if progress and round_number < config.rounds:
            progress(1, _note(variants[index], round_number, shape, config))
        elif progress and not told:
            progress(0, f"more rounds where a ratio is not known to {KNOWN:.0%} yet")
            told = True
        yield


def _is_on_gpu(variant: Variant) -> bool:
    return provider_of(variant.device).is_gpu


def _note(variant: Variant, round_number: int, shape: Shape, config: BenchmarkConfig) -> str:
    return f"{variant.name}, {shape}, round {round_number + 1}/{config.rounds}"


def _stopped(error: ReplankError | KeyboardInterrupt) -> Stopped:
    if isinstance(error, ReplankError):
        return Stopped(error.message, error.hint)
    return Stopped(INTERRUPTED, "the result contains the complete rounds only")


def _model(name: str, worker: WorkerProcess) -> BenchmarkModel:
    return BenchmarkModel(**vars(worker.facts), name=name, peak_memory_bytes=worker.peak_memory_bytes)


def _texts_json(config: BenchmarkConfig) -> dict[str, Any] | None:
    """A digest in place of the texts, which are the user's data."""
    digest = hashlib.sha256(json.dumps(config.texts).encode()).hexdigest()
    return {"count": len(config.texts), "sha256": digest} if config.texts else None
