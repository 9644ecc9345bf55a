"""The sections of a report, from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence

from replank.charts.lines import training_chart
from replank.models.card import lineage
from replank.reporting.commands import commands
from replank.reporting.document import Block, Commands, Document, Figure, Grid, Heading, Paragraph, Steps
from replank.reporting.facts import Facts, Stage
from replank.reporting.quality import quality_section
from replank.reporting.robustness import robustness_section
from replank.reporting.speed import int8_section, speed_section


def document(facts: Facts) -> Document:
    """The whole report."""
    task = facts.stages[-1].manifest.task
    blocks: list[Block] = [
        Paragraph(_task_line(facts)),
        *_result(facts),
        *quality_section(facts),
        *robustness_section(facts),
        *speed_section(facts),
        *_lineage(facts.stages),
        *_training(facts.stages),
        *_verification(facts.stages),
        *int8_section(facts.stages),
        *_providers(facts.stages),
        *_machine(facts),
        Heading("To repeat it"),
        Commands(commands(facts.stages)),
        Paragraph("DATA is the folder of the data; its splits had these digests."),
        _digests(facts.stages),
    ]
    return Document(f"{task.name}: report of {facts.name}", blocks)


def _task_line(facts: Facts) -> str:
    task = facts.stages[-1].manifest.task
    columns = f" of {' and '.join(task.columns)}" if task.columns else ""
    labels = f"; labels: {', '.join(task.labels)}" if task.labels else ""
    return f"Task: {task.kind}{columns}, at most {task.max_length} tokens{labels}."


def _result(facts: Facts) -> list[Block]:
    """The last model of the chain against the first, in a sentence."""
    if facts.summary is None or len(facts.summary.models) < 2:
        return []
    first, last = facts.summary.models[0], facts.summary.models[-1]
    kept = facts.summary.retention(last)
    quality = f" and keeps {kept:.1%} of its {facts.summary.task.headline}" if kept is not None else ""
    by = " by processor time" if facts.summary.clock == "processor" else ""
    size = f"is {last.speed_up:.1f} times as fast as {first.name}{by}, has {last.bytes / first.bytes:.0%} of its size"
    return [Paragraph(f"Result: {last.name} {size}{quality}.")]


def _lineage(stages: Sequence[Stage]) -> list[Block]:
    last = stages[-1]
    rows = [
        (
            stage.name,
            f"{stage.manifest.kind} {stage.manifest.precision}",
            stage.manifest.digest[:12],
            f"{stage.model_bytes / 1e6:.1f}",
            f"{stage.manifest.made_by.seconds:.0f}",
        )
        for stage in stages
    ]
    steps = [line.replace("`", "") for line in lineage(last.manifest)]
    grid = Grid(("artifact", "kind", "digest", "MB", "seconds"), rows, names=3)
    references = last.manifest.references
    note = [Paragraph(f"MB are with its references. {references.summary}.")] if references else []
    return [Heading("Lineage"), grid, *note, Steps(steps)]


def _training(stages: Sequence[Stage]) -> list[Block]:
    trained = [stage for stage in stages if stage.curve]
    blocks: list[Block] = []
    for stage in trained:
        headline = stage.manifest.task.headline
        title = f"{stage.name}: {stage.manifest.made_by.stage}"
        dev = [entry["eval_headline"] for entry in stage.curve if "eval_headline" in entry]
        text = f"{stage.name}: dev {headline} {', '.join(f'{value:.4f}' for value in dev)} in turn." if dev else ""
        blocks.append(Figure(training_chart(title, stage.curve, headline), text))
    return [Heading("Training"), *blocks] if blocks else []


def _verification(stages: Sequence[Stage]) -> list[Block]:
    """The largest differences of each case: an ONNX model from torch, INT8 from its fp32 source."""
    blocks: list[Block] = []
    for stage in stages:
        verification = stage.manifest.verification
        if not verification:
            continue
        bound = verification.tolerance
        judged = f"at most {bound:g} allowed" if bound is not None else "judged by the task's metric"
        blocks.append(Paragraph(f"{stage.name}: largest difference of a logit {verification.max_abs:.1e}; {judged}."))
        rows = [
            (
                case.case,
                str(case.rows),
                f"{case.max_abs:.1e}",
                "equal" if case.sqnr_db is None else f"{case.sqnr_db:.1f}",
                "" if case.label_agreement is None else f"{case.label_agreement:.1%}",
            )
            for case in verification.cases
        ]
        blocks.append(Grid(("case", "rows", "max |difference|", "SQNR dB", "same label"), rows))
    return [Heading("Verification"), *blocks] if blocks else []


def _providers(stages: Sequence[Stage]) -> list[Block]:
    """The latencies by which ``device="auto"`` chose a provider, for each model that keeps them."""
    blocks: list[Block] = []
    for stage in stages:
        if not (kept := stage.manifest.providers):
            continue
        columns = ["provider", *(f"{batch} x {length}, ms" for batch, length in kept.shapes)]
        rows = [[name, *(f"{value:.2f}" for value in values)] for name, values in kept.milliseconds.items()]
        left_out = " ".join(f"{name} is left out: {reason}." for name, reason in kept.left_out.items())
        note = f"Chosen on {kept.machine.cpu} with {kept.threads} threads: {kept.choice}. {left_out}"
        blocks += [Heading(f"Providers: {stage.name}"), Grid(columns, rows, note=note.strip())]
    return blocks


def _machine(facts: Facts) -> list[Block]:
    """The machine that measured the speed, or else made the last artifact."""
    measured = facts.benchmark or facts.summary or facts.stages[-1].manifest.made_by
    machine, versions = measured.machine, measured.versions
    rows = [
        ("CPU", f"{machine}, {machine.architecture}"),
        ("instruction sets", ", ".join(machine.instruction_sets)),
        ("memory", f"{machine.memory_gib} GiB"),
        ("system", machine.system),
        *versions.items(),
    ]
    return [Heading("Machine"), Grid(("", ""), rows, names=2)]


def _digests(stages: Sequence[Stage]) -> Grid:
    """The digests of the splits of the last artifact that was made with data."""
    known = [data for stage in stages if (data := stage.manifest.made_by.data)]
    return Grid(("split", "sha256"), list(known[-1].items()) if known else [], names=2)
