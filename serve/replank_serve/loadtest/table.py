"""A load test's result for a person: a table of its runs, and latency against rate as a chart."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table

from replank.charts.lines import Line, Panel, line_chart

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

    The axis ends at three times the limit.
    """
    limit = result["limit_ms"]
    runs = sorted((run for run in result["runs"] if run["scenario"] == "Server"), key=lambda run: run["rate"])
    lines = [
        Line(name.partition("_")[0], [(run["rate"], run[name]) for run in runs], colour=number, is_marked=True)
        for number, name in enumerate(_PERCENTILES)
    ]
    last = runs[-1]["rate"] if runs else 1.0
    bound = Line(f"limit {limit:g} ms", [(0.0, limit), (last, limit)], is_limit=True)
    panel = Panel("latency, ms", [*lines, bound], bottom=0.0, top=_TOP * limit, height=1.5)
    return line_chart(f"{_title(result)}: latency", "arrivals, requests/s", [panel])


def _title(result: dict[str, Any]) -> str:
    target = result["target"]
    return f"{target['model']} ({target['precision']}) " + ("over HTTP" if target["kind"] == "url" else "in process")
