"""The commands that look at models: evaluate, verify, doctor."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from replank.cli.options import (
    console,
    data_options,
    device_options,
    example,
    json_option,
    option,
    print_json,
    print_table,
)
from replank.cli.rendering import Command
from replank.cli.stages import required_data
from replank.data.examples import SPLITS, DataConfig
from replank.models.source import open_source
from replank.system.errors import QualityGateError, UsageError

if TYPE_CHECKING:
    from replank_export.verify.compare import WorstExample

_LONGEST_TEXT, _MOST_LOGITS = 200, 8


@click.command(
    cls=Command,
    short_help="Score a model on a task's data.",
    epilog=example("replank evaluate int8 --task sst2 --split dev"),
)
@click.argument("model")
@data_options
@option("--split", type=click.Choice(SPLITS), default="dev", help="The split to score.")
@device_options
@json_option
def evaluate(model: str, data: DataConfig | None, split: str, device: Any, threads: int | None, as_json: bool) -> None:
    """Score MODEL (torch or ONNX: folder or hub name) on a task's data."""
    from replank.runtime.evaluate import evaluate as score_model
    from replank.runtime.evaluate import require_same_task
    from replank.runtime.model import load_model
    from replank.runtime.torch_model import require_head
    from replank.system.progress import progress

    source = open_source(model)
    dataset = required_data(data).load(source.task)
    require_head(source, dataset.task.kind)
    require_same_task(source.name, source.task, dataset)
    loaded = load_model(source, task=dataset.task, device=device, threads=threads)
    with progress(f"evaluate on {split}", len(dataset.split(split))) as advance:
        quality = score_model(loaded, dataset, split, progress=advance)
    if as_json:
        print_json({"model": model} | quality)
    else:
        metrics = [(name, f"{value:.4f}") for name, value in quality["metrics"].items()]
        print_table(f"{model} on {split}, {quality['rows']} rows", metrics)


@click.command(
    cls=Command, short_help="Compare two models' answers.", epilog=example("replank verify successor onnx --task sst2")
)
@click.argument("reference")
@click.argument("candidate")
@data_options
@option("--max-drop", type=float, default=0.005, help="INT8 and bf16: loss of the headline metric allowed.")
@device_options
@json_option
def verify(
    reference: str,
    candidate: str,
    data: DataConfig | None,
    max_drop: float,
    device: Any,
    threads: int | None,
    as_json: bool,
) -> None:
    """Compare CANDIDATE's answers with REFERENCE's: right, left and both-sided padding, holes, extreme lengths.

    Exit code 3 outside the tolerance: 1e-4 on logits for fp32. INT8 and bf16 are judged by the task metric, which
    takes the task's data. CANDIDATE runs on --device, REFERENCE on the CPU.
    """
    from replank.runtime.evaluate import require_same_task
    from replank.runtime.model import load_model
    from replank.system.progress import progress
    from replank_export.convert import measure
    from replank_export.verify.compare import verify as compare

    sources = [open_source(reference), open_source(candidate)]
    dataset = data.load(sources[0].task) if data else None
    task = dataset.task if dataset else sources[0].task
    kinds = [(source.task.kind, source.task.outputs) for source in sources]
    if kinds[0] != kinds[1]:
        one, other = (f"{outputs or 'any number of'} outputs ({kind})" for kind, outputs in kinds)
        raise UsageError(f"{reference} gives {one} and {candidate} {other}", hint="compare models of the same task")
    if dataset:
        require_same_task(reference, sources[0].task, dataset)
    ours = load_model(sources[0], task=task, threads=threads)
    theirs = load_model(sources[1], task=task, device=device, threads=threads)
    texts = dataset.split(dataset.held_out) if dataset else None
    with progress("verify", 7 + (texts is not None)) as advance:
        result = compare(ours, theirs, precision=theirs.arithmetic, examples=texts, progress=advance)
    report = {"reference": reference, "candidate": candidate} | result.to_json()
    if result.worst:
        report["worst"] = asdict(result.worst)
    if dataset and result.tolerance is None:
        report["metrics"] = {"reference": measure(ours, dataset), "candidate": measure(theirs, dataset)}
    if as_json:
        print_json(report)
    else:
        console().print(_difference_table(report))
        _show_worst(result.worst)
        if result.tolerance is None and dataset is None:
            click.echo(f"{theirs.arithmetic} is judged by the task metric: give --task, --data or files", err=True)
    result.require()
    if "metrics" in report and dataset:
        _require_metric(report["metrics"], dataset.task.headline, max_drop)


@click.command(
    cls=Command,
    short_help="Check this machine and its libraries.",
    epilog=example("replank doctor"),
)
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Look at everything that goes wrong in silence. Exit code 1 if something is an error."""
    from replank.runtime.doctor import doctor as examine

    found = examine()
    if as_json:
        print_json([asdict(check) for check in found])
    else:
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        for check in found:
            table.add_row(check.status, check.name, check.detail + (f"\nhint: {check.hint}" if check.hint else ""))
        console().print(table)
    context.exit(1 if any(check.status == "error" for check in found) else 0)


COMMANDS = (evaluate, verify, doctor)


def _difference_table(report: dict[str, Any]) -> Table:
    bound = report["tolerance"]
    title = f"{report['candidate']} against {report['reference']}" + (f", tolerance {bound:g}" if bound else "")
    table = Table(title=title, title_justify="left")
    for heading in ("case", "rows", "max |difference|", "mean", "cosine", "SQNR dB", "same label"):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    for case in report["cases"]:
        agreement, ratio = case["label_agreement"], case["sqnr_db"]
        table.add_row(
            case["case"],
            str(case["rows"]),
            f"{case['max_abs']:.1e}",
            f"{case['mean_abs']:.1e}",
            f"{case['cosine']:.6f}",
            "equal" if ratio is None else f"{ratio:.1f}",
            "" if agreement is None else f"{agreement:.1%}",
        )
    return table


def _show_worst(worst: WorstExample | None) -> None:
    """The text whose answers are farthest apart: what to look at first."""
    if worst is None:
        return
    rows = [("farthest apart", " | ".join(worst.texts)[:_LONGEST_TEXT])]
    for name, logits in (("reference", worst.reference), ("candidate", worst.candidate)):
        shown = ", ".join(f"{value:.4f}" for value in logits[:_MOST_LOGITS])
        rows.append((name, shown + (", …" if len(logits) > _MOST_LOGITS else "")))
    print_table("", rows)


def _require_metric(metrics: dict[str, Any], headline: str, max_drop: float) -> None:
    before, after = (metrics[side]["metrics"][headline] for side in ("reference", "candidate"))
    click.echo(f"{headline}: {before:.4f} reference, {after:.4f} candidate", err=True)
    if before - after > max_drop:
        raise QualityGateError(
            f"{headline} falls by {100 * (before - after):.2f} points; --max-drop allows {100 * max_drop:g}"
        )
