"""One run of MLPerf's load generator against a target, in a child process."""

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
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import mlperf_loadgen as loadgen

from replank.system.errors import ReplankError
from replank.system.logs import WHERE, configure_logging
from replank_serve.loadtest.result import RunResult, RunSettings
from replank_serve.loadtest.target import RefusedError, Samples, Target, open_target

_PERCENTILES = {"p50_ms": "50.00", "p90_ms": "90.00", "p95_ms": "95.00", "p99_ms": "99.00"}
_THROUGHPUT = {
    "SingleStream": "qps_with_loadgen_overhead",
    "Server": "completed_samples_per_sec",
    "Offline": "samples_per_second",
}
_PREFIX = "result_"
_log = logging.getLogger(__name__)


def run_child(pipe: Connection, name: str, device: Any, threads: int | None, log_level: int) -> None:
    """The child process: open a target, send its description, then do one run for each settings that arrive.

    Sends results, or an error of replank's. The load generator cannot be stopped from Python, so the process exits
    without waiting for it.

    :param log_level: the parent's, whose stderr it has.
    """
    # Ctrl-C reaches the whole process group; the parent ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)  # stdout is for data, not for what libraries print
    configure_logging(log_level)
    code = 0
    try:
        target = open_target(name, device, threads)
        pipe.send((target.facts, target.width))
        samples: Samples = pipe.recv()
        while True:
            pipe.send(drive(target, samples, pipe.recv()))
    except ReplankError as error:
        _log.debug(WHERE, exc_info=error)
        pipe.send(error)
    except (EOFError, BrokenPipeError):
        pass  # the parent is done, or gone
    except Exception:
        _log.exception("the load test failed")
        code = 1
    finally:
        pipe.close()
        os._exit(code)


def drive(target: Target, samples: Samples, run: RunSettings) -> RunResult:
    """Do one run.

    :raises ReplankError: the target is gone.
    """
    queries = _Queries(target, samples)
    with tempfile.TemporaryDirectory(prefix="replank-") as logs:
        # In a thread, so that a dead target is noticed at once and not after the run.
        threading.Thread(target=_generate, args=(queries, len(samples), run, logs), daemon=True).start()
        failure = queries.ended.get()
        if failure is not None:
            raise failure
        found = _read_log(Path(logs) / "detail.txt")
    return RunResult(
        scenario=run.scenario,
        rate=run.rate if run.scenario == "Server" else None,
        seconds=run.seconds,
        seed=run.seed,
        samples=queries.samples,
        per_second=found[_THROUGHPUT[run.scenario]],
        **{name: found[f"{rank}_percentile_latency_ns"] / 1e6 for name, rank in _PERCENTILES.items()},
        mean_ms=found["mean_latency_ns"] / 1e6,
        max_ms=found["max_latency_ns"] / 1e6,
        refused=dict(queries.refused),
        valid=found["validity"] == "VALID" and not queries.refused,
    )


class _Queries:
    """The queries of the load generator to a target. No method may raise into the generator's C++ threads.

    :param ended: receives ``None`` at the end of the run, or the error that ended it.
    """

    def __init__(self, target: Target, samples: Samples) -> None:
        self._target, self._samples = target, samples
        self._slots = threading.BoundedSemaphore(target.in_flight)
        self.samples = 0
        self.refused: Counter[str] = Counter()
        self.ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def issue_one(self, query: Any) -> None:
        """Send a query of one sample."""
        self._guarded(lambda: self._submit(query, lambda: None))

    def issue_all(self, query: Any) -> None:
        """Send a query of all samples: in requests of the maximal size, as many at once as the queue admits."""

        def submit() -> None:
            for start in range(0, len(query), self._target.request_texts):
                self._slots.acquire()
                self._submit(query[start : start + self._target.request_texts], self._slots.release)

        self._guarded(submit)

    def _guarded(self, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            self.ended.put(error)

    def _submit(self, query: Any, then: Callable[[], None]) -> None:
        self.samples += len(query)
        future = self._target.submit([self._samples[sample.index] for sample in query])
        future.add_done_callback(partial(self._complete, [sample.id for sample in query], then))

    def _complete(self, ids: list[int], then: Callable[[], None], future: Future[None]) -> None:
        error = future.exception()
        if isinstance(error, RefusedError):
            self.refused[error.reason] += len(ids)
        elif error is not None:
            self.ended.put(error)
        loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(number, 0, 0) for number in ids])
        then()


def _generate(queries: _Queries, samples: int, run: RunSettings, logs: str) -> None:
    """Run the load generator to its end.

    :param samples: number of distinct samples.
    :param logs: folder of the generator's logs.
    """
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
    issue = queries.issue_all if run.scenario == "Offline" else queries.issue_one
    system = loadgen.ConstructSUT(issue, lambda: None)
    library = loadgen.ConstructQSL(samples, samples, lambda _: None, lambda _: None)
    try:
        loadgen.StartTestWithLogSettings(system, library, settings, log, "")
        queries.ended.put(None)
    except BaseException as error:
        queries.ended.put(error)
    finally:
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)


def _read_log(path: Path) -> dict[str, Any]:
    """The results in the generator's log, whose lines are JSON after a prefix."""
    entries = [json.loads(line.partition(":::MLLOG ")[2]) for line in path.read_text(encoding="utf-8").splitlines()]
    return {entry["key"].removeprefix(_PREFIX): entry["value"] for entry in entries if entry["key"].startswith(_PREFIX)}
