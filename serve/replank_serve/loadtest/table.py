"""The result of a load test as a table, and as a chart of latency against rate."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table

from replank.charts.lines import Line, Panel, line_chart
from replank_serve.loadtest.result import LoadtestResult, RunResult

_COLUMNS = ("scenario", "asked/s", "done/s", "p50 ms", "p90 ms", "p99 ms", "refused", "holds")
# Beyond saturation latency grows without bound; the axis ends at this multiple of the limit.
_TOP = 3.0


def render(result: LoadtestResult) -> Group:
    """A row per run, Server runs by rate, and a summary."""
    table = Table(title=_title(result), title_justify="left", box=SIMPLE)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "scenario" else "right")
    for run in sorted(result.runs, key=lambda run: run.rate or 0.0):
        table.add_row(*_cells(run, result.limit_ms))
    if not result.server:
        return Group(table)
    rate = f"{result.server.rate:.1f} requests/s hold p99 at {result.limit_ms:g} ms"
    return Group(table, f"{rate} (MLPerf-style, no MLPerf result)")


def chart(result: LoadtestResult) -> str:
    """Percentiles of latency against the arrival rate, with the limit; an SVG document.

    The axis ends at three times the limit.
    """
    limit = result.limit_ms
    runs = sorted(result.server_runs, key=lambda run: run.rate or 0.0)
    percentiles = {
        "p50": [run.p50_ms for run in runs],
        "p90": [run.p90_ms for run in runs],
        "p99": [run.p99_ms for run in runs],
    }
    rates = [run.rate or 0.0 for run in runs]
    lines = [
        Line(name, list(zip(rates, values, strict=True)), colour=number, is_marked=True)
        for number, (name, values) in enumerate(percentiles.items())
    ]
    last = rates[-1] if rates else 1.0
    bound = Line(f"limit {limit:g} ms", [(0.0, limit), (last, limit)], is_limit=True)
    panel = Panel("latency, ms", [*lines, bound], bottom=0.0, top=_TOP * limit, height=1.5)
    return line_chart(f"{_title(result)}: latency", "arrivals, requests/s", [panel])


def _cells(run: RunResult, limit_ms: float) -> tuple[str, ...]:
    is_server = run.scenario == "Server"
    latencies = (run.p50_ms, run.p90_ms, run.p99_ms)
    return (
        run.scenario,
        f"{run.rate:.1f}" if is_server else "",
        f"{run.per_second:.1f}",
        # Offline is one large query, so the latency of a sample is its place in it.
        *("" if run.scenario == "Offline" else f"{value:.2f}" for value in latencies),
        str(sum(run.refused.values())),
        ("yes" if run.holds(limit_ms) else "no") if is_server else "",
    )


def _title(result: LoadtestResult) -> str:
    target = result.target
    return f"{target['model']} ({target['precision']}) " + ("over HTTP" if target["kind"] == "url" else "in process")
