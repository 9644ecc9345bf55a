"""How much load a model or a server takes: MLPerf's scenarios, and the highest rate that holds a limit of latency.

Latencies are MLPerf-style: counted from the time at which a query was due, so that a slow answer cannot hide the ones
that wait behind it. No result of these is an MLPerf result, which asks for ten minutes a run and a review.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from typing import Any

from replank.system.environment import machine, versions
from replank.system.errors import QualityGateError, ReplankError, UsageError
from replank.system.progress import Advance
from replank_serve.loadtest.config import LoadtestConfig
from replank_serve.loadtest.mlperf import Run, Scenario
from replank_serve.loadtest.process import LoadProcess
from replank_serve.loadtest.target import Texts

RESULT_SCHEMA = 1
# A 99th percentile needs a hundred queries; more seconds give a steadier one.
_QUERIES = 100
# The bisection ends where the rates that hold and do not hold are this near to each other.
_PRECISION = 1.05
_LOWEST_SHARE = 0.1
_LONGEST = 3.0
# The Offline rate is itself measured on a machine that may have been busy.
_CEILING = 1.5
# Short, middling and long, as requests are; a server is no faster than on the lengths that it gets.
_WORD_COUNTS = (5, 18, 50)
_WORDS = ("the", "film", "that", "we", "saw", "was", "long", "and", "warm", "but", "its", "plot", "had", "little")


def loadtest(
    config: LoadtestConfig, keep: Callable[[dict[str, Any]], None], progress: Advance | None = None
) -> dict[str, Any]:
    """SingleStream, Offline, and as many Server runs as the search for the highest rate takes.

    :param keep: called with the result so far after each run, and at the end, also at a bad one.
    :returns: JSON values: ``target``, ``machine``, ``versions``, ``load_average``; ``runs``, see
        :func:`drive`; ``server``, the run at the highest rate that held the limit, twice where it
        was met on the way, or ``None``; ``nearest``, the Server run with the least 99th percentile where none held it;
        ``failure``, what ended it early.
    :raises QualityGateError: no rate holds the limit.
    :raises ReplankError: the target cannot be reached, or died.
    """
    result: dict[str, Any] = {
        "schema": RESULT_SCHEMA,
        "limit_ms": config.limit_ms,
        "machine": machine(),
        "versions": versions(),
        "load_average": {"before": list(os.getloadavg())},
        "runs": [],
        "server": None,
        "nearest": None,
        "failure": None,
    }
    with LoadProcess(config.target, config.device, config.threads) as process:
        result["target"] = process.facts
        process.take_texts(_texts(config, process.width))
        try:
            _Test(config, process, result, keep, progress).measure()
        except ReplankError as error:
            result["failure"] = error.message
            raise
        finally:
            result["load_average"]["after"] = list(os.getloadavg())
            keep(result)
    return result


def units() -> int:
    """About how many runs there are, for a progress bar."""
    return 4 + math.ceil(math.log2(math.log(_CEILING / _LOWEST_SHARE) / math.log(_PRECISION)))


def highest_rate(holds: Callable[[float], bool], floor: float, ceiling: float) -> float | None:
    """The highest rate that holds, to 5 %, by bisection; it has to hold twice, or a lower one does.

    :param ceiling: a rate that is taken not to hold.
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
    """The runs of one test, one after another."""

    def __init__(
        self,
        config: LoadtestConfig,
        process: LoadProcess,
        result: dict[str, Any],
        keep: Callable[[dict[str, Any]], None],
        progress: Advance | None,
    ) -> None:
        self._config, self._process, self._result = config, process, result
        self._keep, self._progress = keep, progress

    def measure(self) -> None:
        """All of them."""
        single = self._run("SingleStream", 0.0)
        # Its throughput is that of one text after another; batches are faster, and the generator wants to know before.
        offline = self._run("Offline", 2 * single["per_second"])
        if refused := single["refused"] | offline["refused"]:
            raise ReplankError(
                f"requests were refused before there was any load: {', '.join(refused)}",
                hint="does the server have other clients, or are texts empty? its log may say more",
            )
        # A rate so low that a run of enough queries takes long tells nothing that is wanted.
        floor = max(_LOWEST_SHARE * offline["per_second"], _QUERIES / (_LONGEST * self._config.seconds))
        highest = highest_rate(self._holds, min(floor, offline["per_second"] / 2), _CEILING * offline["per_second"])
        runs = [run for run in self._result["runs"] if run["scenario"] == "Server"]
        if highest is None:
            nearest = self._result["nearest"] = min(runs, key=lambda run: (len(run["refused"]), run["p99_ms"]))
            refused = ", ".join(nearest["refused"])
            found = f"requests were refused ({refused})" if refused else f"{nearest['p99_ms']:.3g} ms"
            raise QualityGateError(
                f"no rate holds p99 at {self._config.limit_ms:g} ms; the nearest: {found} at "
                f"{nearest['rate']:.3g} requests/s",
                hint=f"one request after another takes {single['p99_ms']:.3g} ms at p99; a faster model, or a higher "
                "--limit",
            )
        self._result["server"] = [run for run in runs if run["rate"] == highest and self._is_good(run)][-1]

    def _holds(self, rate: float) -> bool:
        return self._is_good(self._run("Server", rate))

    def _is_good(self, run: dict[str, Any]) -> bool:
        return not run["refused"] and bool(run["p99_ms"] <= self._config.limit_ms)

    def _run(self, scenario: Scenario, rate: float) -> dict[str, Any]:
        seed = self._config.seed + len(self._result["runs"])
        run = self._process.run(Run(scenario, self._config.seconds, _QUERIES, rate, self._config.limit_ms, seed))
        self._result["runs"].append(run)
        self._keep(self._result)
        if self._progress:
            asked = f" at {rate:.3g}/s" if scenario == "Server" else ""
            self._progress(1, f"{scenario}{asked}: p99 {run['p99_ms']:.3g} ms")
        return run


def _texts(config: LoadtestConfig, width: int) -> Texts:
    if config.texts is None:
        generator = random.Random(config.seed)  # noqa: S311 - no secret
        return [
            tuple(" ".join(generator.choices(_WORDS, k=count)) for _ in range(width))
            for _ in range(64)
            for count in _WORD_COUNTS
        ]
    if wrong := next((row for row in config.texts if len(row) != width), None):
        raise UsageError(
            f"the model takes {'pairs of texts' if width == 2 else 'single texts'}, and {wrong!r} is none",
            hint='a line of a pair: ["first", "second"], or a tab between the two' if width == 2 else None,
        )
    return config.texts
