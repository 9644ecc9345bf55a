"""Tables of `replank inspect` for a person; at most a hundred columns wide, but for names."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from replank.models.card import lineage
from replank.models.int8_facts import IntegerFacts
from replank.models.manifest import Manifest
from replank.models.source import Source
from replank.tasks.kinds.cells import shown_names

_NAMES, _VALUES = 10, 84
_FUSED = {
    "attention": "layers' attention fused",
    "layer norms": "layer norms fused with the sum before them",
    "gelu": "layers' GELU fused",
    "embeddings": "embeddings fused",
}


def identity_rows(source: Source, manifest: Manifest | None) -> list[tuple[str, str]]:
    """Kind, task, lineage and quality."""
    task = source.task
    rows = [
        ("model", f"{source.kind} {source.precision}, {source.encoder.model_type}, {source.layers} layers"),
        ("task", f"{task.name}: {task.kind}" + (f" into {shown_names(task.labels)}" if task.labels else "")),
        ("max length", f"{task.max_length} tokens"),
    ]
    if limits := task.thresholds_by_label:
        rows.append(("thresholds", ", ".join(f"{label} {limit:g}" for label, limit in limits.items())))
    if source.artifact is None or manifest is None:
        return [*rows, ("manifest", "none: a plain model folder")]
    rows += [
        ("digest", manifest.digest),
        ("files", f"{len(manifest.files)} checked, {source.artifact.bytes / 1e6:.1f} MB"),
    ]
    if manifest.references:
        rows.append(("references", manifest.references.summary))
    rows += [("lineage" if number == 0 else "", step) for number, step in enumerate(lineage(manifest))]
    if kept := manifest.providers:
        rows.append(("auto device", f"{kept.choice}, as measured on {kept.machine}, with {kept.threads} threads"))
    if quality := manifest.quality:
        rows += [(name, f"{value:.4f} on {quality.split}") for name, value in quality.metrics.items()]
        rows += [("", caution) for caution in quality.cautions]
    return rows


def flops_table(forward_pass: dict[str, Any]) -> Table:
    """Parameters, bytes and FLOPs.

    :param forward_pass: the result of ``replank_export.profile.flops.ForwardPass.to_json``.
    """
    parameters, size = forward_pass["parameters"], forward_pass["bytes"]
    table = _rows(f"one pass of {forward_pass['batch_size']} x {forward_pass['length']} tokens")
    table.add_row("parameters", f"{_short(parameters['all'])}, {_short(parameters['embeddings'])} of them embeddings")
    sizes = f"{size['embeddings'] / 1e6:.1f} embeddings, {size['rest'] / 1e6:.1f} the rest"
    table.add_row("file", f"{size['file'] / 1e6:.1f} MB: {sizes}")
    share = f"{forward_pass['attention_share']:.1%} of them attention's, which grow with the square of the length"
    table.add_row(
        "FLOPs", f"{_short(forward_pass['flops_per_token'])} a token, {_short(forward_pass['flops'])} in all; {share}"
    )
    if forward_pass["uncounted"]:
        table.add_row("uncounted", _counts(forward_pass["uncounted"]))
    return table


def graph_table(graph: dict[str, Any]) -> Table:
    """Operators, what of them is fused, and what of a graph in INT8 is not."""
    table = _rows("the graph")
    table.add_row("operators", _counts(graph["operators"]))
    fused = [f"{entry['fused']} of {entry['of']} {_FUSED[name]}" for name, entry in graph["fused"].items()]
    kept = [f"{' x '.join(map(str, entry['shape']))}  {entry['name']}" for entry in graph["not_int8"]]
    for name, lines in (("fused", fused), ("not int8", kept)):
        for number, line in enumerate(lines):
            table.add_row(name if number == 0 else "", line)
    return table


def integer_table(facts: IntegerFacts) -> Table:
    """The bits of each integer tensor, and its largest value on the calibration texts against what they hold."""
    types = ", ".join(f"{count} {kind}" for kind, count in facts.types.items())
    table = Table(box=SIMPLE, title=f"integers for {facts.target}: tensors of {types}", title_justify="left")
    for column in ("tensor", "bits", "largest", "of its limit"):
        table.add_column(column, justify="left" if column == "tensor" else "right")
    for tensor in facts.tensors:
        limit = 2 ** (tensor.bits - 1) - 1
        table.add_row(tensor.name, str(tensor.bits), str(tensor.largest), f"{tensor.largest / limit:.1%}")
    return table


def precision_table(precisions: list[dict[str, Any]]) -> Table:
    """Bytes stored and FLOPs computed in each precision.

    :param precisions: the result of ``replank_export.profile.flops.ForwardPass.by_precision``.
    """
    table = Table(box=SIMPLE)
    for heading in ("precision", "weight matrices", "MB", "of all FLOPs"):
        table.add_column(heading, justify="left" if heading == "precision" else "right")
    for entry in precisions:
        size, share = f"{entry['bytes'] / 1e6:.1f}", f"{entry['mac_share']:.1%}"
        table.add_row(entry["precision"], str(entry["matrices"]), size, share)
    return table


def speed_table(speed: dict[str, Any]) -> Table:
    """The latency beside what the machine could do at best."""
    table = _rows(f"this machine, {speed['threads']} threads")
    rates = ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in speed["flops_per_second"].items())
    table.add_row("MatMuls", f"{rates}, at best, of this model's shapes")
    cache = f"a cache of {speed['cache_bytes'] / 2**20:.0f} MiB" if speed["cache_bytes"] else "caches of unknown size"
    weights = f"{speed['matrix_bytes'] / 1e6:.1f} MB of weights to multiply with"
    table.add_row("memory", f"{speed['bytes_per_second'] / 1e9:.1f} GB/s; {cache}, {weights}")
    table.add_row(
        "at best",
        f"{speed['compute_ms']:.2f} ms for all MatMuls, {speed['memory_ms']:.2f} ms to read what no cache holds",
    )
    latency = f"measured {speed['measured_ms']:.2f} ms (fastest {speed['fastest_ms']:.2f})"
    table.add_row("latency", f"{latency}; roofline {speed['roofline_ms']:.2f} ms: {speed['distance']:.1f}x away")
    return table


def _rows(title: str) -> Table:
    """Two columns, narrow enough for any terminal."""
    table = Table(title=f"\n{title}", title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(min_width=_NAMES)
    table.add_column(max_width=_VALUES)
    return table


def _counts(counts: dict[str, int]) -> str:
    """Without a space, so that a number stays on the line of its name."""
    return ", ".join(f"{name}×{count}" for name, count in counts.items())


def _short(number: float) -> str:
    """Three digits and a word."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= size:
            return f"{number / size:.3g} {word}"
    return f"{number:.0f}"
