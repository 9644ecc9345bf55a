"""Plots of the results, drawn from benchmarks/results when the site is built."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from replank.benchmarking.times import time_name
from replank.charts.scatter import Point, scatter_chart

_RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the plots to the folder of the pages that show them."""
    for name, draw in PLOTS.items():
        files.append(File.generated(config, f"results/{name}.svg", content=draw(_result(name))))
    return files


def chain_plot(summary: dict[str, Any]) -> str:
    """Quality against latency of the models of a chain."""
    metric = summary["task"]["metrics"][-1]
    points = [Point(model["name"], model["p50_ms"], model["metrics"][metric]) for model in summary["models"]]
    time = f"{time_name(summary.get('clock'))} of one text, p50 ms"
    return scatter_chart("The models of the quickstart", time, metric, points)


def servers_plot(result: dict[str, Any]) -> str:
    """Throughput against latency of servers, under the most clients; without the engine, which is none."""
    clients = max(row["clients"] for row in result["summary"])
    rows = [row for row in result["summary"] if row["clients"] == clients and row["server"] != "engine"]
    points = [Point(row["server"], row["p99_ms"], row["per_second"]) for row in rows]
    return scatter_chart(f"Servers under {clients} clients", "latency, p99 ms", "texts per second", points)


PLOTS: dict[str, Callable[[dict[str, Any]], str]] = {"quickstart": chain_plot, "servers_fp32_6": servers_plot}


def _result(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((_RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return values
