"""A load test's result for a person: a table of its runs, and latency against rate as a chart."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table

from replank.charts.svg import Line, Panel, line_charts

_PERCENTILES = ("p50_ms", "p90_ms", "p99_ms")
# Beyond saturation latencies grow without end, and would press everything else onto the axis.
_TOP = 3.0


def render(result: dict[str, Any]) -> Group:
    """A line for each run, Server's by rate, and what came out."""
    table = Table(title=_title(result), title_justify="left", box=SIMPLE)
    for name in ("scenario", "asked/s", "done/s", "p50 ms", "p90 ms", "p99 ms", "refused", "holds"):
        table.add_column(name, justify="left" if name == "scenario" else "right")
    for run in sorted(result["runs"], key=lambda run: run["rate"] or 0.0):
        is_server = run["scenario"] == "Server"
        good = not run["refused"] and run["p99_ms"] <= result["limit_ms"]
        table.add_row(
            run["scenario"],
            f"{run['rate']:.1f}" if is_server else "",
            f"{run['per_second']:.1f}",
            # A text's wait for its turn in one great query says nothing.
            *("" if run["scenario"] == "Offline" else f"{run[name]:.2f}" for name in _PERCENTILES),
            str(sum(run["refused"].values())),
            ("yes" if good else "no") if is_server else "",
        )
    best = result["server"]
    found = (
        [f"{best['rate']:.1f} requests/s hold p99 at {result['limit_ms']:g} ms (MLPerf-style, no MLPerf result)"]
        if best
        else []
    )
    return Group(table, *found)


def chart(result: dict[str, Any]) -> str:
    """Percentiles of latency against the rate of arrivals, with the limit; an SVG document.

    What lies above three times the limit is drawn at the top.
    """
    top = _TOP * result["limit_ms"]
    runs = sorted((run for run in result["runs"] if run["scenario"] == "Server"), key=lambda run: run["rate"])
    lines = [
        Line(name.partition("_")[0], [(run["rate"], min(top, run[name])) for run in runs]) for name in _PERCENTILES
    ]
    last = runs[-1]["rate"] if runs else 1.0
    limit = Line(f"limit {result['limit_ms']:g} ms", [(0.0, result["limit_ms"]), (last, result["limit_ms"])])
    return line_charts(f"{_title(result)}: latency, ms", "requests/s", [Panel([*lines, limit], top=top)])


def _title(result: dict[str, Any]) -> str:
    target = result["target"]
    return f"{target['model']} ({target['precision']}) " + ("over HTTP" if target["kind"] == "url" else "in process")
