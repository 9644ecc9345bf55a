"""The speed of every scheme's graph on every execution provider, beside the source's: one benchmark of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from replank.benchmarking.config import BenchmarkConfig
from replank.benchmarking.result import Benchmark
from replank.benchmarking.run import benchmark
from replank.models.int8_facts import Int8Trial
from replank.runtime.providers import PROVIDERS, Device
from replank.runtime.session import start
from replank.system.errors import ReplankError
from replank.system.progress import progress

_BATCH_SIZES, _SHORT, _LONG = (1, 8), 16, 128


def devices_here() -> tuple[list[Device], dict[Device, str]]:
    """The providers that run on this machine, and the reason for each that does not."""
    here, absent = [], {}
    for device, provider in PROVIDERS.items():
        try:
            start(device)
        except ReplankError as error:
            absent[device] = error.message.removeprefix(f"{provider.setting}: ")
        else:
            here.append(device)
    return here, absent


def measure_pairs(
    graphs: Mapping[str, Path], devices: Sequence[Device], longest: int
) -> tuple[list[Int8Trial], Benchmark]:
    """Time every graph on every provider that can run it, in interleaved rounds.

    :param graphs: the folder of each by its scheme's name, the source's first: it is the baseline.
    :param devices: the reference first.
    :param longest: tokens of the longest text.
    :returns: a trial of each pair, in order; of those that cannot be run it says why.
    :raises ReplankError: a process ended in the middle.
    """
    config = BenchmarkConfig(
        models=tuple(str(folder) for folder in graphs.values()),
        batch_sizes=_BATCH_SIZES,
        lengths=tuple(dict.fromkeys(min(length, longest) for length in (_SHORT, _LONG))),
        devices=tuple(devices),
        min_seconds=1.0,
        max_seconds=30.0,
    )
    with progress("measure", config.units) as advance:
        found = benchmark(config, advance)
    if found.stopped:
        raise found.stopped.again()
    schemes = {str(folder): scheme for scheme, folder in graphs.items()}
    pairs = {variant.name: (schemes[variant.model], variant.device) for variant in config.variants}
    return [_trial(found, name, *pair) for name, pair in pairs.items()], found


def _trial(found: Benchmark, name: str, scheme: str, device: Device) -> Int8Trial:
    cells = [cell for cell in found.cells if cell.model == name]
    if not cells:
        return Int8Trial(scheme=scheme, device=device, why=found.left_out[name].removeprefix(f"`device='{device}'`: "))
    return Int8Trial(
        scheme=scheme,
        device=device,
        milliseconds=tuple(round(cell.p50_ms, 3) for cell in cells),
        ratio=round(float(np.exp(np.mean([np.log(cell.ratio.estimate) for cell in cells]))), 4),
    )
