"""The part of a report on size and speed: from a benchmark's result if there is one, else from the chain's summary."""

from __future__ import annotations

from replank.benchmarking.result import Benchmark, Cell
from replank.benchmarking.summary import Summary
from replank.benchmarking.table import OTHER_TASKS
from replank.benchmarking.times import busy, time_name, time_unit
from replank.charts.scatter import Point, front_of, scatter_chart
from replank.models.facts import ExportFacts
from replank.models.int8_facts import Int8Choice, Int8Facts
from replank.reporting.document import Block, Figure, Grid, Heading, Paragraph
from replank.reporting.facts import Facts, Stage
from replank.runtime.clock import Clock


def speed_section(facts: Facts) -> list[Block]:
    """Sizes and latencies, and quality against speed."""
    blocks: list[Block] = [Heading("Size and speed")]
    if facts.benchmark:
        blocks += [_benchmark_models(facts.benchmark), *_benchmark_cells(facts.benchmark)]
    elif facts.summary:
        blocks.append(_summary(facts.summary))
    else:
        sizes = [(stage.name, f"{stage.model_bytes / 1e6:.1f}") for stage in facts.stages]
        blocks.append(Grid(("model", "MB"), sizes, note="No latency was measured: replank benchmark does it."))
    return blocks + _trade_off(facts)


def _summary(summary: Summary) -> Grid:
    rows = [
        (model.name, f"{model.bytes / 1e6:.1f}", f"{model.p50_ms:.2f}", f"{1e3 / model.p50_ms:.1f}",
         f"{model.speed_up:.1f}x")
        for model in summary.models
    ]  # fmt: skip
    note = f"{_what(summary.clock)}One text of {summary.length} tokens at a time, models in turn."
    if summary.is_disturbed:
        note += f" {busy(clock=summary.clock)}"
    return Grid(("model", "MB", f"p50 {time_unit(summary.clock)}", "texts/s", "speed-up"), rows, note=note)


def _what(clock: Clock | None) -> str:
    """A sentence on times that are not latencies."""
    return f"Times are {time_name(clock)}, texts/s and ratios are of it. " if clock == "processor" else ""


def _benchmark_models(result: Benchmark) -> Grid:
    rows = [
        (
            model.name,
            f"{model.kind} {model.precision}",
            model.provider or f"torch, {model.device}",
            str(model.layers),
            f"{model.model_bytes / 1e6:.1f}",
            f"{model.load_seconds:.1f}",
            f"{model.peak_memory_bytes / 1e6:.0f}",
            str(model.threads),
        )
        for model in result.models
    ]
    left_out = " ".join(f"{name} is left out: {reason}." for name, reason in result.left_out.items())
    columns = ("model", "kind", "runs on", "layers", "MB", "load s", "peak MB", "threads")
    return Grid(columns, rows, names=3, note=left_out)


def _benchmark_cells(result: Benchmark) -> list[Block]:
    """A table for each batch size and length, all with the same columns."""
    has_energy = any(cell.joules_per_text is not None for cell in result.cells)
    ms = time_unit(result.clock)
    columns = ["model", f"p50 {ms}", "p50, 95 %", f"p90 {ms}", f"p95 {ms}", f"p99 {ms}", "texts/s"]
    columns += ["J/text"] * has_energy + [f"times as fast as {result.baseline}, 95 %"]
    blocks: list[Block] = [Paragraph(what.strip())] if (what := _what(result.clock)) else []
    for shape in result.shapes:
        size = f"{shape.batch_size} text{'s' * (shape.batch_size > 1)} at a time"
        lengths = f"of {shape.length} tokens each:" if shape.length else "real texts, padded:"
        blocks.append(Paragraph(f"{size}, {lengths}"))
        blocks.append(Grid(columns, [_cell_row(cell, result.baseline, has_energy) for cell in result.at(shape)]))
    if result.disturbance:
        blocks.append(Paragraph(result.disturbance))
    return blocks


def _cell_row(cell: Cell, baseline: str, has_energy: bool) -> list[str]:
    low, high = cell.intervals_ms["p50"]
    joules = cell.joules_per_text
    return [
        cell.model,
        f"{cell.p50_ms:.2f}",
        f"{low:.2f}-{high:.2f}",
        *(f"{value:.2f}" for value in (cell.p90_ms, cell.p95_ms, cell.p99_ms)),
        f"{cell.texts_per_second:.1f}",
        *([f"{joules:.3g}" if joules is not None else ""] if has_energy else []),
        "baseline" if cell.model == baseline else str(cell.ratio),
    ]


def _trade_off(facts: Facts) -> list[Block]:
    """Quality against latency, if both are known of two models or more, on the same rows."""
    if facts.benchmark and not facts.benchmark.is_same_task:
        return [Paragraph(OTHER_TASKS)]
    points, metric, shape = _points(facts)
    clock = facts.benchmark.clock if facts.benchmark else facts.summary.clock if facts.summary else None
    if len(points) < 2:
        return []
    front = front_of(points)
    names = " → ".join(point.name for point in front)
    title = f"{metric} against the {time_name(clock)} of {shape}"
    text = f"On the Pareto front, from the fastest to the best: {names}. No other model is both faster and better."
    chart = scatter_chart(title, f"p50 {time_name(clock)}, ms (log scale)", metric, points)
    return [Heading("Quality against speed"), Figure(chart, f"{title}."), Paragraph(text)]


def _points(facts: Facts) -> tuple[list[Point], str, str]:
    if facts.benchmark:
        shape = facts.benchmark.shapes[0]
        p50 = {cell.model: cell.p50_ms for cell in facts.benchmark.at(shape)}
        scored = [(model.name, *model.headline) for model in facts.benchmark.models if model.headline]
        points = [Point(name, p50[name], value) for name, _, value in scored]
        metric = scored[0][1] if scored else ""
        return points, metric, f"{shape.batch_size} x " + (f"{shape.length} tokens" if shape.length else "real texts")
    if facts.summary:
        points = [Point(model.name, model.p50_ms, model.headline) for model in facts.summary.models]
        return points, facts.summary.task.headline, f"one text of {facts.summary.length} tokens"
    return [], "", ""


def int8_section(stages: list[Stage]) -> list[Block]:
    """The target, gain and remaining floating-point operators of each quantized model."""
    blocks: list[Block] = []
    for stage in stages:
        match stage.manifest.made_by.facts:
            case Int8Facts() as facts:
                blocks += [Heading(f"INT8: {stage.name}"), *_int8(facts)]
            case ExportFacts(kept_in_fp32=kept) if kept:
                blocks += [Heading(f"fp16: {stage.name}"), Paragraph(f"Kept in fp32: {', '.join(kept)}.")]
    return blocks


def _int8(facts: Int8Facts) -> list[Block]:
    words = [f"{facts.scheme} quantization"]
    if facts.target:
        words.append(f"made for {facts.target}")
    if speed := facts.speed:
        words.append(f"{speed.ms:.2f} ms for {speed.length} tokens, {speed.ratio:.2f} times as fast as its source")
    blocks: list[Block] = [Paragraph("; ".join(words).capitalize() + ".")]
    if integer := facts.integer:
        fullest = max(integer.tensors, key=lambda tensor: (tensor.bits == 32) * tensor.largest)
        blocks.append(
            Paragraph(
                f"Between the look-up of embeddings and the head all of its tensors are integers; {integer.compared} "
                f"of its hidden states' integers are equal to the definition's. The largest 32-bit value on the "
                f"calibration texts is {fullest.largest}, in {fullest.name}. The head is in floating point."
            )
        )
    if facts.choice:
        blocks.append(_choice(facts.choice))
    if facts.sizes:
        rows = [(name, f"{before / 1e6:.2f}", f"{after / 1e6:.2f}") for name, before, after in facts.sizes.parts]
        blocks.append(Grid(("weights", "source, MB", "INT8, MB"), rows))
    if kept := facts.kept_in_float:
        rows = [(entry.node, entry.operator, " x ".join(map(str, entry.shape))) for entry in kept]
        blocks.append(Grid(("kept in floating point", "operator", "weights"), rows, names=2))
    else:
        blocks.append(Paragraph("No weight matrix was kept in floating point."))
    return blocks


def _choice(choice: Int8Choice) -> Grid:
    """What the scheme `auto` chose from."""
    shapes = [f"{batch} x {length}, {time_unit(choice.clock)}" for batch, length in choice.shapes]
    rows = [
        (
            trial.scheme,
            trial.device,
            *([f"{value:.2f}" for value in trial.milliseconds or ()] or [""] * len(shapes)),
            "" if trial.ratio is None else f"{trial.ratio:.2f}x",
            "" if trial.metric is None else f"{trial.metric:.4f}",
            trial.why or "",
        )
        for trial in choice.trials
    ]
    metric = f"{choice.metric} on {choice.split}" if choice.metric else "quality"
    absent = " ".join(f"{device} is left out: {reason}." for device, reason in choice.absent.items())
    note = f"Chosen for {choice.device}. {absent} {choice.disturbance or ''}"
    return Grid(("scheme", "provider", *shapes, "speed", metric, "left out"), rows, names=2, note=note.strip())
