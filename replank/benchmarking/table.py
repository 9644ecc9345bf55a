"""The tables of a benchmark: one of models, one of speed."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table

from replank.benchmarking.result import Benchmark, BenchmarkModel, Cell
from replank.benchmarking.times import time_name, time_unit

OTHER_TASKS = "The models are of different tasks, or were scored on different rows: only their speed is compared."


def render(result: Benchmark) -> Group:
    """Two tables of at most 80 columns, and remarks below them."""
    return Group(_models(result), _speed(result), *remarks(result))


def _models(result: Benchmark) -> Table:
    """A line for each model."""
    devices = dict.fromkeys(model.device for model in result.models)
    title = f"{result.machine}; on {', '.join(devices)}"
    quality = ["quality"] if result.is_same_task else []
    table = _table(title, ["model", "kind", "layers", "MB", "load s", "peak MB", *quality])
    for model in result.models:
        table.add_row(
            model.name,
            f"{model.kind} {model.precision}",
            str(model.layers),
            f"{model.model_bytes / 1e6:.1f}",
            f"{model.load_seconds:.1f}",
            f"{model.peak_memory_bytes / 1e6:.0f}",
            *([_headline(model)] if quality else []),
        )
    return table


def _headline(model: BenchmarkModel) -> str:
    return "not measured" if model.headline is None else "{} {:.4f}".format(*model.headline)


def _speed(result: Benchmark) -> Table:
    """A line for each model and shape; a title where the times are not latencies."""
    title, ms = "", time_unit(result.clock)
    if result.clock == "processor":
        title = f"{time_name(result.clock).capitalize()}, texts a second of it and ratios of it"
    has_energy = any(cell.joules_per_text is not None for cell in result.cells)
    energy = ["J/text"] if has_energy else []
    columns = ["batch x tokens", f"p50 {ms}", f"p90 {ms}", f"p99 {ms}", "texts/s", *energy, "ratio (95 %)"]
    table = _table(title, columns)
    for shape in result.shapes:
        table.add_row(f"{shape.batch_size} x {shape.length or 'texts'}")
        for cell in result.at(shape):
            ratio = "baseline" if cell.model == result.baseline else str(cell.ratio)
            table.add_row(*_speed_row(cell, has_energy), ratio)
    return table


def _speed_row(cell: Cell, has_energy: bool) -> list[str]:
    joules = cell.joules_per_text
    return [
        f"  {cell.model}",
        f"{cell.p50_ms:.2f}",
        f"{cell.p90_ms:.2f}",
        f"{cell.p99_ms:.2f}",
        f"{cell.texts_per_second:.1f}",
        *([f"{joules:.3g}" if joules is not None else ""] if has_energy else []),
    ]


def remarks(result: Benchmark) -> list[str]:
    """Limits of the numbers, a sentence each."""
    lines = [f"{name} is left out: {reason}" for name, reason in result.left_out.items()]
    if not result.is_same_task:
        lines.append(OTHER_TASKS)
    return [*lines, result.disturbance] if result.disturbance else lines


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title or None, title_justify="left", box=SIMPLE)
    for name in columns:
        is_text = name in ("model", "kind", "quality", "batch x tokens")
        # A number is never cut: the model's name wraps instead.
        table.add_column(name, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
    return table
