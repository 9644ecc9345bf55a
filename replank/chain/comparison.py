"""The comparison at the end of a chain: quality and speed of its models side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.table import Table

from replank.benchmarking.config import BenchmarkConfig
from replank.benchmarking.run import benchmark
from replank.benchmarking.summary import Summary, SummaryModel
from replank.benchmarking.times import busy, time_name, time_unit
from replank.chain.places import place_of
from replank.data.examples import Dataset
from replank.models.quality import Quality
from replank.models.source import Source
from replank.runtime.evaluate import evaluate
from replank.runtime.load import load_model
from replank.runtime.provider_measurement import REFERENCE
from replank.system.environment import machine, versions
from replank.system.progress import progress

_AGAIN = "Run the same command again for true latencies."
_NO_LABELS = "which have no labels (answers are compared with those of {}), "


def compare(sources: Sequence[Source], names: Sequence[str], data: Dataset) -> Summary:
    """Compare models: quality on the same rows, and speed, measured now in turn.

    :param sources: the first is the baseline.
    :param names: shown to people, with the provider where it is not the CPU.
    """
    examples = data.split(data.held_out)
    tokens = sources[0].text_encoder(data.task).tokenize(examples.first, examples.second)
    length = int(np.median([len(item) for item in tokens]))
    places = [place_of(source) for source in sources]
    config = BenchmarkConfig(
        models=tuple(str(source.folder) for source in sources),
        batch_sizes=(1,),
        lengths=(length,),
        devices=tuple(dict.fromkeys((REFERENCE, *places))),
        rounds=10,
        min_seconds=2.0,
        max_seconds=0.0,
    )
    with progress("compare", config.units) as advance:
        speed = benchmark(config, advance)
    if speed.stopped:
        raise speed.stopped.again()
    measured = {cell.model: cell for cell in speed.cells}
    variants = {(variant.model, variant.device): variant.name for variant in config.variants}
    cells = [measured[variants[str(source.folder), place]] for source, place in zip(sources, places, strict=True)]
    first = cells[0].p50_ms
    qualities = [_quality(source, data) for source in sources]
    return Summary(
        task=data.task,
        split=data.held_out,
        rows=len(examples),
        chosen_on_it=any(source.manifest and source.manifest.chose_on(examples.digest) for source in sources),
        length=length,
        is_disturbed=speed.is_disturbed,
        clock=speed.clock,
        machine=machine(),
        versions=versions(),
        models=tuple(
            SummaryModel(
                name=name if place == REFERENCE else f"{name} on {place}",
                folder=source.folder.name,
                metrics=quality.metrics,
                bytes=source.weights.bytes,
                p50_ms=cell.p50_ms,
                speed_up=first / cell.p50_ms,
            )
            for name, source, quality, place, cell in zip(names, sources, qualities, places, cells, strict=True)
        ),
        baselines=qualities[0].baselines,
        compared_with=examples.judge,
    )


def comparison_table(summary: Summary) -> Table:
    """The summary as a table."""
    table = Table(
        title=f"{summary.task.name}: quality on {summary.rows} rows of {summary.split}"
        f"{', which also chose the models (expect less on new data)' if summary.chosen_on_it else ''}, "
        f"{'' if summary.compared_with is None else _NO_LABELS.format(summary.compared_with)}"
        f"{time_name(summary.clock)} of one text of {summary.length} tokens",
        title_justify="left",
        caption=f"{busy(clock=summary.clock)} {_AGAIN}" if summary.is_disturbed else None,
        caption_justify="left",
    )
    table.add_column("model")
    for name in (*summary.task.metrics, "kept", "MB", f"p50 {time_unit(summary.clock)}", "speed-up"):
        table.add_column(name, justify="right")
    for name, metrics in (summary.baselines or {}).items():
        table.add_row(name, *(f"{metrics[metric]:.4f}" if metric in metrics else "" for metric in summary.task.metrics))
    for model in summary.models:
        kept = summary.retention(model)
        table.add_row(
            model.name,
            *(f"{value:.4f}" for value in model.metrics.values()),
            "" if kept is None else f"{kept:.1%}",
            f"{model.bytes / 1e6:.1f}",
            f"{model.p50_ms:.2f}",
            f"{model.speed_up:.1f}x",
        )
    return table


def _quality(source: Source, data: Dataset) -> Quality:
    """From the manifest if they were computed on these rows; those of a model from elsewhere are computed now."""
    split = data.held_out
    quality = source.quality
    examples = data.split(split)
    if quality is None or (quality.data, quality.compared_with) != (examples.digest, examples.judge):
        with progress(f"evaluate {source.name}", len(examples)) as advance:
            quality = evaluate(load_model(source, task=data.task), data, split, progress=advance)
    return quality
