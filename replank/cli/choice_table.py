"""The table of what the scheme `auto` chose from."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.table import Table

from replank.benchmarking.times import time_unit
from replank.models.int8_facts import Int8Choice, Int8Facts, Int8Trial


def choice_table(facts: Int8Facts, choice: Int8Choice) -> Table:
    """A row for each scheme on each provider; below it, why some are out."""
    notes = [f"{trial.name} is left out: {trial.why}" for trial in choice.trials if trial.why]
    notes += [f"{device} is left out: {reason}" for device, reason in choice.absent.items()]
    table = Table(
        box=SIMPLE,
        title=f"tried: {time_unit(choice.clock)} of each batch (texts x tokens), and the speed beside the source's "
        "on the cpu",
        title_justify="left",
        caption="\n".join([*notes, *filter(None, [choice.disturbance])]) or None,
        caption_justify="left",
    )
    shapes = [f"{batch} x {length}" for batch, length in choice.shapes]
    quality = [f"{choice.metric} ({choice.split})"] if choice.metric else []
    for name in ("scheme", "device", *shapes, "speed", *quality, ""):
        table.add_column(name, justify="left" if name in ("scheme", "device", "") else "right")
    for trial in choice.trials:
        is_chosen = (trial.scheme, trial.device) == (facts.scheme, choice.device)
        last = "chosen" if is_chosen else "left out" if trial.why else ""
        table.add_row(*_cells(trial, len(shapes), has_quality=bool(quality)), last)
    return table


def _cells(trial: Int8Trial, shapes: int, *, has_quality: bool) -> list[str]:
    milliseconds = [f"{value:.2f}" for value in trial.milliseconds or ()] or [""] * shapes
    speed = "" if trial.ratio is None else f"{trial.ratio:.2f}x"
    metric = "" if trial.metric is None else f"{trial.metric:.4f}"
    return [trial.scheme, trial.device, *milliseconds, speed, *([metric] if has_quality else [])]
