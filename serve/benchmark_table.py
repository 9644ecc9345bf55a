"""A benchmark's result for a person: what the models are, and how fast each is at each shape."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table

DISTURBED = "The machine was busy while this was measured: latencies varied by more than half. Measure again."


def render(result: dict[str, Any]) -> Group:
    """Two tables of at most 80 columns: a line for each model, a line for each model and shape."""
    title = f"{result['machine']['cpu']}, {result['machine']['cores']} cores"
    models = _table(title, ["model", "kind", "layers", "MB", "load s", "peak MB", "quality"])
    for model in result["models"]:
        models.add_row(
            model["name"],
            f"{model['kind']} {model['precision']}",
            str(model["layers"]),
            f"{model['model_bytes'] / 1e6:.1f}",
            f"{model['load_seconds']:.1f}",
            f"{model['peak_memory_bytes'] / 1e6:.0f}",
            _headline(model["quality"]),
        )
    left_out = [f"{name} is left out: {reason}" for name, reason in result["left_out"].items()]
    return Group(models, _speed(result), *left_out, *([DISTURBED] if result["disturbed"] else []))


def _speed(result: dict[str, Any]) -> Table:
    """The ratio is to the first model, of the medians of each round: their median and range."""
    table = _table("", ["batch x tokens", "p50 ms", "p90 ms", "p99 ms", "texts/s", "ratio"])
    shapes = dict.fromkeys((cell["batch_size"], cell["length"]) for cell in result["cells"])
    for batch_size, length in shapes:
        table.add_row(f"{batch_size} x {length}")
        for cell in result["cells"]:
            if (cell["batch_size"], cell["length"]) == (batch_size, length):
                ratio = cell["ratio"]
                table.add_row(
                    f"  {cell['model']}",
                    *(f"{cell[name]:.2f}" for name in ("p50_ms", "p90_ms", "p99_ms")),
                    f"{cell['texts_per_second']:.1f}",
                    f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})",
                )
    return table


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
