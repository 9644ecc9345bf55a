"""The command `inspect`."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from replank.cli.choice_table import choice_table
from replank.cli.command import command
from replank.cli.inspect_tables import (
    flops_table,
    graph_table,
    identity_rows,
    integer_table,
    precision_table,
    speed_table,
)
from replank.cli.options import console, file_option, json_option, option, print_json, print_table
from replank.models.int8_facts import Int8Facts
from replank.models.source import Source, open_source
from replank.system.extras import installed_version, require

if TYPE_CHECKING:
    from replank_export.profile.flops import ForwardPass

_log = logging.getLogger(__name__)


@command("replank inspect int8 --measure")
@click.argument("model")
@option("--batch-size", type=click.IntRange(1), default=1, help="Texts to count FLOPs of.")
@option("--length", type=click.IntRange(1), default=128, help="Tokens of each, up to the model's limit.")
@option("--measure", is_flag=True, help="Measure the latency, and what this machine could do at best; takes seconds.")
@file_option
@json_option
def inspect(model: str, file: str | None, batch_size: int, length: int, measure: bool, as_json: bool) -> None:
    """Show what MODEL is: kind, task, lineage, quality, and what a forward pass is made of.

    Every file of an artifact is checked first. FLOPs are two for each multiply-accumulate of a MatMul.
    """
    source = open_source(model, file)
    manifest = source.artifact.manifest if source.artifact else None
    length = min(length, source.position_limit)
    if measure:
        require("onnx")
    forward_pass, graph = _examine(source, batch_size, length)
    speed = _measure(source, forward_pass) if measure and forward_pass else None
    if as_json:
        known = {"digest": manifest.digest, "manifest": manifest.to_json()} if manifest else {}
        parts = {"work": forward_pass and forward_pass.to_json(), "graph": graph, "speed": speed}
        print_json(_facts(source) | known | {name: value for name, value in parts.items() if value})
        return
    print_table(model, identity_rows(source, manifest))
    if forward_pass:
        console().print(flops_table(forward_pass.to_json()))
    if graph:
        console().print(graph_table(graph))
    if manifest and isinstance(facts := manifest.made_by.facts, Int8Facts):
        if facts.choice:
            console().print(choice_table(facts, facts.choice))
        if facts.integer:
            console().print(integer_table(facts.integer))
    if forward_pass:
        console().print(precision_table(forward_pass.by_precision()))
    if speed:
        console().print(speed_table(speed))


def _facts(source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "kind": source.kind,
        "precision": source.precision,
        "architecture": source.encoder.model_type,
        "layers": source.layers,
        "task": source.task.to_json(),
    }


def _examine(source: Source, batch_size: int, length: int) -> tuple[ForwardPass | None, dict[str, Any] | None]:
    """The forward pass of a model and, for ONNX, the contents of its graph; nothing if onnx is not installed."""
    if source.kind == "torch":
        from replank_export.profile.torch_flops import torch_flops

        return torch_flops(source, batch_size, length), None
    if installed_version("onnx") is None:
        # The image that serves has no other use for it, and checks its artifact with this command.
        _log.warning("not installed: onnx; what the graph is made of is left out")
        return None, None
    from replank_export.profile.graph_report import graph_report

    report = graph_report(source, batch_size, length)
    return report.forward_pass, {
        "operators": report.operators,
        "fused": {name: {"fused": fused, "of": most} for name, (fused, most) in report.fused.items()},
        "not_int8": report.not_int8,
    }


def _measure(source: Source, forward_pass: ForwardPass) -> dict[str, Any]:
    from replank.runtime.load import load_model
    from replank_export.profile.roofline import measure_latency, measure_machine, roofline

    measured_ms, fastest_ms = measure_latency(load_model(source), forward_pass.batch_size, forward_pass.length)
    machine = measure_machine(forward_pass)
    least = roofline(forward_pass, machine)
    return {
        **asdict(machine),
        "matrix_bytes": forward_pass.matrix_bytes,
        **asdict(least),
        "roofline_ms": least.ms,
        "measured_ms": measured_ms,
        "fastest_ms": fastest_ms,
        "distance": measured_ms / least.ms,
    }
