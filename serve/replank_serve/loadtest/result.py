"""The result of a load test: its runs, and the highest rate within the limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from replank.system.environment import Machine

Scenario = Literal["SingleStream", "Server", "Offline"]
_SCHEMA = 1


@dataclass(frozen=True)
class RunSettings:
    """The settings of one run of the load generator.

    :param seconds: minimum duration.
    :param queries: minimum number of queries.
    :param rate: Server: arrival rate of a Poisson process, in queries/s. Offline: expected throughput, in samples/s.
    :param limit_ms: Server: limit on the 99th percentile of latency.
    :param seed: seed of arrival times and of the choice of samples.
    """

    scenario: Scenario
    seconds: float
    queries: int
    rate: float
    limit_ms: float
    seed: int


@dataclass(frozen=True)
class RunResult:
    """The measurements of one run.

    Latencies count from the scheduled time of a query, even if the generator issued it late.

    :param rate: Server: arrival rate, in queries/s; ``None`` for other scenarios.
    :param samples: samples that were sent, each a text or a pair.
    :param per_second: throughput, in samples/s.
    :param refused: number of refused samples by reason.
    :param valid: whether the run met the generator's own rules on duration and confidence.
    """

    scenario: Scenario
    rate: float | None
    seconds: float
    seed: int
    samples: int
    per_second: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    max_ms: float
    refused: dict[str, int]
    valid: bool

    def holds(self, limit_ms: float) -> bool:
        """Whether the 99th percentile is within a limit and nothing was refused."""
        return not self.refused and self.p99_ms <= limit_ms


@dataclass
class LoadtestResult:
    """The result of a load test, which grows run by run.

    :param limit_ms: limit on the 99th percentile of latency.
    :param target: description of the model or the server.
    :param load_average: of the machine, ``before`` and ``after`` the test.
    :param server: the Server run with the highest rate within the limit; ``None`` if there is none.
    :param nearest: the Server run closest to the limit, if none is within it.
    :param failure: the error that ended the test early.
    """

    limit_ms: float
    target: dict[str, Any]
    machine: Machine
    versions: dict[str, str]
    load_average: dict[str, list[float]]
    runs: list[RunResult] = field(default_factory=list)
    server: RunResult | None = None
    nearest: RunResult | None = None
    failure: str | None = None

    @property
    def server_runs(self) -> list[RunResult]:
        """The runs of the Server scenario, in order of time."""
        return [run for run in self.runs if run.scenario == "Server"]

    def to_json(self) -> dict[str, Any]:
        """The content of ``loadtest.json``."""
        return {"schema": _SCHEMA} | asdict(self)
