"""A benchmark's result for a person: what the models are, and how fast each is at each shape."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table

DISTURBED = "The machine was busy while this was measured: {why}. Latencies are longer than on a quiet one."
OTHER_TASKS = "The models are of different tasks, or were scored on different rows: only their speed is compared."


def render(result: dict[str, Any]) -> Group:
    """Two tables of at most 80 columns, a line for each model, a line for each model and shape; and what to mind."""
    title = f"{result['machine']['cpu']}, {result['machine']['cores']} cores"
    quality = ["quality"] if result["same_task"] else []
    models = _table(title, ["model", "kind", "layers", "MB", "load s", "peak MB", *quality])
    for model in result["models"]:
        models.add_row(
            model["name"],
            f"{model['kind']} {model['precision']}",
            str(model["layers"]),
            f"{model['model_bytes'] / 1e6:.1f}",
            f"{model['load_seconds']:.1f}",
            f"{model['peak_memory_bytes'] / 1e6:.0f}",
            *([_headline(model["quality"])] if quality else []),
        )
    return Group(models, _speed(result), *remarks(result))


def remarks(result: dict[str, Any]) -> list[str]:
    """What the numbers must be read with, a sentence each."""
    lines = [f"{name} is left out: {reason}" for name, reason in result["left_out"].items()]
    if not result["same_task"]:
        lines.append(OTHER_TASKS)
    if result["disturbed"]:
        used = result["other_load"]
        others = f"others used {used:.1f} of {result['machine']['cores']} cores" if used else None
        lines.append(DISTURBED.format(why=others or "latencies varied by more than half"))
    return lines


def _speed(result: dict[str, Any]) -> Table:
    """The ratio is to the baseline, by the medians of each round, with its interval."""
    has_energy = any(cell["joules_per_text"] is not None for cell in result["cells"])
    energy = ["J/text"] if has_energy else []
    table = _table("", ["batch x tokens", "p50 ms", "p90 ms", "p99 ms", "texts/s", *energy, "ratio (95 %)"])
    shapes = dict.fromkeys((cell["batch_size"], cell["length"]) for cell in result["cells"])
    for batch_size, length in shapes:
        table.add_row(f"{batch_size} x {length or 'texts'}")
        for cell in result["cells"]:
            if (cell["batch_size"], cell["length"]) == (batch_size, length):
                joules = cell["joules_per_text"]
                table.add_row(
                    f"  {cell['model']}",
                    *(f"{cell[name]:.2f}" for name in ("p50_ms", "p90_ms", "p99_ms")),
                    f"{cell['texts_per_second']:.1f}",
                    *([f"{joules:.3g}" if joules is not None else ""] if has_energy else []),
                    _ratio(cell, result["baseline"]),
                )
    return table


def _ratio(cell: dict[str, Any], baseline: str) -> str:
    if cell["model"] == baseline:
        return "baseline"
    low, high = cell["ratio"]["interval"]
    return f"{cell['ratio']['estimate']:.2f} ({low:.2f}-{high:.2f})"


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title or None, title_justify="left", box=SIMPLE)
    for name in columns:
        is_text = name in ("model", "kind", "quality", "batch x tokens")
        # A number is never cut: the model's name wraps instead.
        table.add_column(name, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
    return table


def _headline(quality: dict[str, Any] | None) -> str:
    """The task's first metric; metrics are stored with the headline first."""
    if not quality:
        return "not measured"
    name, value = next(iter(quality["metrics"].items()))
    return f"{name} {value:.4f}"
