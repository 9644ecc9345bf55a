"""One run of MLPerf's load generator against a target, in a process of its own."""

from __future__ import annotations

import json
import logging
import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

import mlperf_loadgen as loadgen

from replank.system.errors import ReplankError
from replank_serve.loadtest.target import RefusedError, Target, Texts, open_target

Scenario = Literal["SingleStream", "Server", "Offline"]
_PERCENTILES = {"p50_ms": "50.00", "p90_ms": "90.00", "p95_ms": "95.00", "p99_ms": "99.00"}
_PREFIX = "result_"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What the load generator does.

    :param seconds: least time that it takes.
    :param queries: least number of queries.
    :param rate: Server: queries a second, arriving as a Poisson process. Offline: samples a second that are expected.
    :param limit_ms: Server: what the 99th percentile must not exceed.
    :param seed: of arrivals and of the choice of texts.
    """

    scenario: Scenario
    seconds: float
    queries: int
    rate: float
    limit_ms: float
    seed: int


def answer_runs(pipe: Connection, name: str, device: Any, threads: int | None) -> None:
    """Open a target, say what it is, and do the runs that come; errors of replank's are sent back.

    The load generator cannot be stopped from Python: the process ends with it, whatever it is doing.
    """
    # Ctrl-C reaches the whole group; the parent decides what becomes of this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # what a library prints is no data
    code = 0
    try:
        target = open_target(name, device, threads)
        pipe.send((target.facts, target.width))
        texts: Texts = pipe.recv()
        while True:
            pipe.send(drive(target, texts, pipe.recv()))
    except ReplankError as error:
        pipe.send(error)
    except (EOFError, BrokenPipeError):
        pass  # the parent is done, or gone
    except Exception:
        _log.exception("the load test failed")
        code = 1
    finally:
        pipe.close()
        os._exit(code)


def drive(target: Target, texts: Texts, run: Run) -> dict[str, Any]:
    """Do one run.

    Latencies count from the time at which a query was due, also where the generator came late with it.

    :returns: JSON values: what was asked for; ``samples``, ``per_second`` that were completed, ``p50_ms`` to
        ``p99_ms``, ``mean_ms`` and ``max_ms``; ``refused``, the number of samples by reason; ``valid``, whether the
        generator's own rules for the length of a run and its confidence are met.
    :raises ReplankError: the target is gone.
    """
    asked = _Asked(target, texts)
    with tempfile.TemporaryDirectory(prefix="replank-") as logs:
        # Off this thread, so that the end of the target is known at once and not after the run.
        threading.Thread(target=_start, args=(asked, len(texts), run, logs), daemon=True).start()
        failure = asked.ended.get()
        if failure is not None:
            raise failure
        found = _read_log(Path(logs) / "detail.txt")
    throughput = "samples_per_second" if run.scenario == "Offline" else "completed_samples_per_sec"
    if run.scenario == "SingleStream":
        throughput = "qps_with_loadgen_overhead"
    return {
        "scenario": run.scenario,
        "rate": run.rate if run.scenario == "Server" else None,
        "seconds": run.seconds,
        "seed": run.seed,
        "samples": asked.samples,
        "per_second": found[throughput],
        **{name: found[f"{rank}_percentile_latency_ns"] / 1e6 for name, rank in _PERCENTILES.items()},
        "mean_ms": found["mean_latency_ns"] / 1e6,
        "max_ms": found["max_latency_ns"] / 1e6,
        "refused": dict(asked.refused),
        "valid": found["validity"] == "VALID" and not asked.refused,
    }


class _Asked:
    """Queries between the load generator and the target. Nothing here may raise into the generator's C++ threads.

    :param ended: gets ``None`` when the run is over, or what ended it.
    """

    def __init__(self, target: Target, texts: Texts) -> None:
        self._target, self._texts = target, texts
        self._lanes = threading.BoundedSemaphore(target.in_flight)
        self.samples = 0
        self.refused: Counter[str] = Counter()
        self.ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def one(self, samples: Any) -> None:
        """A query of one sample, answered later."""
        self._guarded(lambda: self._submit(samples, lambda: None))

    def many(self, samples: Any) -> None:
        """A query of all samples: in requests as large as may be, as many together as may wait."""

        def submit() -> None:
            for start in range(0, len(samples), self._target.request_texts):
                self._lanes.acquire()
                self._submit(samples[start : start + self._target.request_texts], self._lanes.release)

        self._guarded(submit)

    def _guarded(self, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            self.ended.put(error)

    def _submit(self, samples: Any, then: Callable[[], None]) -> None:
        self.samples += len(samples)
        future = self._target.submit([self._texts[sample.index] for sample in samples])
        future.add_done_callback(partial(self._complete, [sample.id for sample in samples], then))

    def _complete(self, ids: list[int], then: Callable[[], None], future: Future[None]) -> None:
        error = future.exception()
        if isinstance(error, RefusedError):
            self.refused[error.reason] += len(ids)
        elif error is not None:
            self.ended.put(error)
        loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(number, 0, 0) for number in ids])
        then()


def _start(asked: _Asked, texts: int, run: Run, logs: str) -> None:
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, run.scenario)
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = round(1e3 * run.seconds)
    settings.min_query_count = run.queries
    settings.server_target_qps = settings.offline_expected_qps = run.rate
    settings.server_target_latency_ns = round(1e6 * run.limit_ms)
    settings.server_target_latency_percentile = 0.99
    settings.qsl_rng_seed = settings.sample_index_rng_seed = settings.schedule_rng_seed = run.seed + 1
    output = loadgen.LogOutputSettings()
    output.outdir, output.prefix = logs + "/", ""
    output.copy_summary_to_stdout = False
    log = loadgen.LogSettings()
    log.log_output, log.enable_trace = output, False
    asking = asked.many if run.scenario == "Offline" else asked.one
    system = loadgen.ConstructSUT(asking, lambda: None)
    library = loadgen.ConstructQSL(texts, texts, lambda _: None, lambda _: None)
    try:
        loadgen.StartTestWithLogSettings(system, library, settings, log, "")
        asked.ended.put(None)
    except BaseException as error:
        asked.ended.put(error)
    finally:
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)


def _read_log(path: Path) -> dict[str, Any]:
    """The results among the lines of the generator's log, which are JSON after a mark."""
    entries = [json.loads(line.partition(":::MLLOG ")[2]) for line in path.read_text(encoding="utf-8").splitlines()]
    return {entry["key"].removeprefix(_PREFIX): entry["value"] for entry in entries if entry["key"].startswith(_PREFIX)}
