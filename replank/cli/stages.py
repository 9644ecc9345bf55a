"""The commands that make artifacts, one a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from replank.cli.options import (
    FOLDER,
    data_options,
    example,
    option,
    out_options,
    print_json,
    print_table,
    training_options,
)
from replank.cli.rendering import Command
from replank.data.examples import DataConfig
from replank.models.artifact import Artifact, require_free
from replank.models.source import Source, open_source
from replank.system.errors import UsageError


@click.command(
    cls=Command,
    short_help="Encoder to predecessor.",
    epilog=example("replank finetune bert-base-uncased predecessor --task sst2"),
)
@click.argument("encoder")
@click.argument("out", type=FOLDER)
@data_options
@training_options(epochs=3.0, learning_rate=5e-5)
@out_options
def finetune(encoder: str, out: Path, data: DataConfig | None, force: bool, as_json: bool, **training: Any) -> None:
    """Make a predecessor: fine-tune ENCODER (hub name or folder) on a task, into the folder OUT.

    Interrupted, the same command resumes from the last checkpoint, kept in OUT.work.
    """
    source, known_data = source_for(out, encoder, force), required_data(data)
    from replank_compress.finetune import finetune as stage
    from replank_compress.training.config import FinetuneConfig

    show(stage(source, out, FinetuneConfig(**training), known_data, force=force), as_json)


@click.command(
    cls=Command,
    short_help="Torch model to fused ONNX model.",
    epilog=example("replank export successor onnx --task sst2"),
)
@click.argument("model")
@click.argument("out", type=FOLDER)
@option(
    "--exporter",
    type=click.Choice(["auto", "torchscript", "dynamo"]),
    default="auto",
    help="auto: the first whose graph is fused completely.",
)
@option("--precision", type=click.Choice(["fp32", "fp16"]), default="fp32", help="fp16 is for CUDA.")
@option("--opset", type=int, default=18, help="Version of ONNX's operators, 17 to 20 (dynamo: 18 to 20).")
@option("--features", is_flag=True, help="Leave the head out: a vector for each token.")
@option("--allow-unfused", is_flag=True, help="Write a slower graph if not everything can be fused.")
@data_options
@out_options
def export(model: str, out: Path, data: DataConfig | None, force: bool, as_json: bool, **settings: Any) -> None:
    """Make an ONNX model: trace MODEL, fuse its attention, compare with torch under every padding, into OUT.

    With the task's data, real texts are compared too and the quality is measured.
    """
    source = source_for(out, model, force)
    from replank_export.convert import ExportConfig
    from replank_export.convert import export as stage

    show(stage(source, out, ExportConfig(**settings), data, force=force), as_json)


@click.command(
    cls=Command,
    short_help="ONNX model to INT8.",
    epilog=example("replank quantize onnx int8 --task sst2"),
)
@click.argument("model")
@click.argument("out", type=FOLDER)
@option(
    "--scheme",
    type=click.Choice(["dynamic", "static"]),
    default="dynamic",
    help="dynamic: activations are scaled batch by batch. static: by texts of the task.",
)
@option("--per-channel/--per-tensor", default=True, help="Scales of the weights.")
@option("--max-drop", type=float, default=0.005, help="Loss of the headline metric allowed (0.005: half a point).")
@option(
    "--target",
    type=click.Choice(["native", "vnni", "avx2", "arm64"]),
    default="native",
    help="Instructions that it is for; avx2 weights take 7 bits.",
)
@option("--allow-slower", is_flag=True, help="Write it even if it is not faster than MODEL here.")
@option(
    "--calibration",
    type=click.Choice(["minmax", "percentile", "entropy"]),
    help="static: how ranges are chosen. [default: minmax]",
)
@option("--calibration-rows", type=int, help="static: texts to calibrate on. [default: 128]")
@data_options
@out_options
def quantize(
    model: str,
    out: Path,
    scheme: str,
    calibration: str | None,
    calibration_rows: int | None,
    data: DataConfig | None,
    force: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Make an INT8 model: quantize MODEL, an ONNX model, and measure what it costs and brings, into OUT.

    With the task's data the loss is measured; above --max-drop nothing is written and the exit code is 3.
    """
    source = source_for(out, model, force)
    from replank_export.int8 import DynamicInt8, StaticInt8
    from replank_export.quantize import quantize as stage

    given = {"calibration": calibration, "calibration_rows": calibration_rows}
    given = {name: value for name, value in given.items() if value is not None}
    if given and scheme == "dynamic":
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{flags} with --scheme dynamic, which calibrates nothing", hint="add --scheme static")
    config = StaticInt8(**settings, **given) if scheme == "static" else DynamicInt8(**settings)  # type: ignore[arg-type]
    show(stage(source, out, config, data, force=force), as_json)


def show(artifact: Artifact, as_json: bool) -> None:
    """Tell what a stage made: a few lines for a person, the manifest for a program."""
    manifest = artifact.manifest
    if as_json:
        print_json({"path": str(artifact.path), "digest": manifest.digest} | manifest.to_json())
        return
    rows = [
        ("folder", str(artifact.path)),
        ("model", f"{manifest.kind} {manifest.precision}, {artifact.model_file.stat().st_size / 1e6:.1f} MB"),
        ("digest", manifest.digest[:12]),
    ]
    if manifest.quality:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in manifest.quality["metrics"].items())
        rows.append(("quality", f"{metrics} ({manifest.quality['split']}, {manifest.quality['rows']} rows)"))
    if manifest.verification:
        against = "fp32 source" if manifest.precision == "int8" else "torch"
        rows.append(("verified", f"max difference of a logit to {against} {manifest.verification['max_abs']:.1e}"))
    if "kept_in_float" in manifest.made_by:
        kept = manifest.made_by["kept_in_float"]
        names = ", ".join(entry["node"] for entry in kept) or "no weight matrix"
        rows.append(("kept in float", names))
    if speed := manifest.made_by.get("speed"):
        ratio = speed["source_ms"] / speed["ms"]
        rows.append(("speed", f"{speed['ms']:.2f} ms for {speed['length']} tokens, {ratio:.1f}x its source"))
    if sizes := manifest.made_by.get("sizes"):
        parts = [
            f"{name} {sizes['source'][name] / 1e6:.1f} → {sizes['int8'][name] / 1e6:.1f}" for name in sizes["int8"]
        ]
        rows.append(("MB", ", ".join(parts)))
    if kept := manifest.made_by.get("kept_in_fp32"):
        rows.append(("kept in fp32", ", ".join(kept)))
    rows.append(("seconds", f"{manifest.made_by['seconds']:.0f}"))
    print_table(manifest.made_by["stage"], rows)


def source_for(out: Path, name: str, force: bool) -> Source:
    """The model to start from, when OUT can be made of it: asked before a stage is imported, which takes seconds.

    :raises ReplankError: there is no such model, or OUT cannot be written; see :func:`require_free`.
    """
    source = open_source(name)
    require_free(out, force=force, source=source.folder)
    return source


def required_data(data: DataConfig | None) -> DataConfig:
    """Training needs data.

    :raises UsageError: no data flag was given.
    """
    if data is None:
        raise UsageError(
            "no data given", hint="--task NAME (GLUE), --task NAME --data FOLDER, or --train FILE --dev FILE"
        )
    return data
