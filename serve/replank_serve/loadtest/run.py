"""A load test with MLPerf's scenarios: latency, throughput, and the highest arrival rate within a latency limit.

Latencies are MLPerf-style: they count from the scheduled time of a query, so that a slow answer cannot hide the queries
that wait behind it. The results are not official MLPerf results, which need ten minutes per run and a review.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable

from replank.system.environment import machine, versions
from replank.system.errors import QualityGateError, ReplankError, UsageError
from replank.system.progress import Advance
from replank_serve.loadtest.config import LoadtestConfig
from replank_serve.loadtest.process import LoadProcess
from replank_serve.loadtest.result import LoadtestResult, RunResult, RunSettings, Scenario
from replank_serve.loadtest.target import Samples

# A 99th percentile needs a hundred queries; a longer run gives a steadier one.
_QUERIES = 100
# Ratio of the lowest failing and the highest passing rate at which the bisection ends.
_PRECISION = 1.05
# The search begins at this share of the Offline throughput.
_LOWEST_SHARE = 0.1
# Longest run for _QUERIES queries, in multiples of the configured duration.
_LONGEST = 3.0
# Upper end of the search as a share of the Offline throughput, which may have been measured on a busy machine.
_CEILING = 1.5
# Short, medium and long texts; throughput depends on the lengths.
_WORD_COUNTS = (5, 18, 50)
_WORDS = ("the", "film", "that", "we", "saw", "was", "long", "and", "warm", "but", "its", "plot", "had", "little")

Keep = Callable[[LoadtestResult], None]


def loadtest(config: LoadtestConfig, keep: Keep, progress: Advance | None = None) -> LoadtestResult:
    """Run SingleStream, Offline, and as many Server runs as the search for the highest rate takes.

    The highest rate within the limit has to pass twice, unless it is the lowest rate of the search.

    :param keep: called with the result so far after each run and at the end, even if the test fails.
    :raises QualityGateError: no rate is within the limit.
    :raises ReplankError: the target cannot be reached, or died.
    """
    load_average = {"before": list(os.getloadavg())}
    with LoadProcess(config.target, config.device, config.threads) as process:
        result = LoadtestResult(config.limit_ms, process.facts, machine(), versions(), load_average)
        process.send_samples(_samples(config, process.width))
        try:
            _Test(config, process, result, keep, progress).run()
        except ReplankError as error:
            result.failure = error.message
            raise
        finally:
            load_average["after"] = list(os.getloadavg())
            keep(result)
    return result


def units() -> int:
    """The approximate number of runs, for a progress bar."""
    return 4 + math.ceil(math.log2(math.log(_CEILING / _LOWEST_SHARE) / math.log(_PRECISION)))


def highest_rate(holds: Callable[[float], bool], floor: float, ceiling: float) -> float | None:
    """The highest rate that holds, to within 5 %, by bisection. It has to hold twice; else a lower one is tried.

    :param ceiling: a rate that is assumed not to hold.
    :returns: ``None`` if not even the floor holds.
    """
    if not holds(floor):
        return None
    low, high = floor, ceiling
    while high / low > _PRECISION:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    while low > floor and not holds(low):
        low = max(floor, low / _PRECISION)
        while low > floor and not holds(low):
            low = max(floor, low / _PRECISION)
    return low


class _Test:
    """The runs of one load test."""

    def __init__(
        self,
        config: LoadtestConfig,
        process: LoadProcess,
        result: LoadtestResult,
        keep: Keep,
        progress: Advance | None,
    ) -> None:
        self._config, self._process, self._result = config, process, result
        self._keep, self._progress = keep, progress

    def run(self) -> None:
        """Do all runs.

        :raises QualityGateError: no rate is within the limit.
        """
        single = self._run("SingleStream", 0.0)
        # The generator needs an estimate of the throughput; batches are faster than one text at a time.
        offline = self._run("Offline", 2 * single.per_second)
        if refused := single.refused | offline.refused:
            raise ReplankError(
                f"requests were refused before there was any load: {', '.join(refused)}",
                hint="does the server have other clients, or are texts empty? its log may say more",
            )
        # At lower rates a run with enough queries would take too long.
        floor = max(_LOWEST_SHARE * offline.per_second, _QUERIES / (_LONGEST * self._config.seconds))
        highest = highest_rate(self._holds, min(floor, offline.per_second / 2), _CEILING * offline.per_second)
        if highest is None:
            raise self._failure(single)
        passed = [run for run in self._result.server_runs if run.rate == highest and run.holds(self._config.limit_ms)]
        self._result.server = passed[-1]

    def _holds(self, rate: float) -> bool:
        return self._run("Server", rate).holds(self._config.limit_ms)

    def _failure(self, single: RunResult) -> QualityGateError:
        """The error that no rate is within the limit, with the run that came closest."""
        nearest = min(self._result.server_runs, key=lambda run: (len(run.refused), run.p99_ms))
        self._result.nearest = nearest
        refused = ", ".join(nearest.refused)
        found = f"requests were refused ({refused})" if refused else f"{nearest.p99_ms:.3g} ms"
        return QualityGateError(
            f"no rate keeps p99 within {self._config.limit_ms:g} ms; closest: {found} at {nearest.rate:.3g} requests/s",
            hint=f"single requests take {single.p99_ms:.3g} ms at p99; try a faster model or another `limit_ms`",
        )

    def _run(self, scenario: Scenario, rate: float) -> RunResult:
        seed = self._config.seed + len(self._result.runs)
        run = self._process.run(
            RunSettings(scenario, self._config.seconds, _QUERIES, rate, self._config.limit_ms, seed)
        )
        self._result.runs.append(run)
        self._keep(self._result)
        if self._progress:
            asked = f" at {rate:.3g}/s" if scenario == "Server" else ""
            self._progress(1, f"{scenario}{asked}: p99 {run.p99_ms:.3g} ms")
        return run


def _samples(config: LoadtestConfig, width: int) -> Samples:
    """The configured texts, or generated ones.

    :param width: texts per sample: 2 for pairs.
    """
    if config.texts is None:
        generator = random.Random(config.seed)  # noqa: S311 - no secret
        return [
            tuple(" ".join(generator.choices(_WORDS, k=count)) for _ in range(width))
            for _ in range(64)
            for count in _WORD_COUNTS
        ]
    if wrong := next((row for row in config.texts if len(row) != width), None):
        raise UsageError(
            f"the model takes {'pairs of texts' if width == 2 else 'single texts'}; got {wrong!r}",
            hint='write a pair as a line ["first", "second"], or with a tab between the two' if width == 2 else None,
        )
    return config.texts
