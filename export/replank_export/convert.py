"""The stage `export`: from a torch model to a fused ONNX graph that gives the same answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.models.artifact import Artifact, new_artifact, require_free, seal
from replank.models.facts import ExportFacts
from replank.models.manifest import Manifest
from replank.models.provenance import MadeBy, Stopwatch
from replank.models.quality import Quality
from replank.models.sentence_transformers import copy_modules
from replank.models.source import Source, open_source, require_kind, require_length
from replank.resampling.answers_file import evaluate_into
from replank.runtime.evaluate import require_same_task
from replank.runtime.likeness import judged_beside
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.torch_model import require_head
from replank.system.errors import FieldError, UsageError
from replank.system.extras import require
from replank.system.progress import progress
from replank.system.settings import setting
from replank.tasks.task import Task
from replank.text.padding import INPUT_NAMES
from replank.text.tokenizer_files import save_tokenizer
from replank_export.fusion.exporters import EXPORTERS, ExporterName, write_graph
from replank_export.fusion.fp16 import to_fp16
from replank_export.verify.compare import CASES, Verification, verify
from replank_export.verify.padding_cases import padding_cases


@dataclass(frozen=True)
class ExportConfig:
    """The configuration of an export.

    :param exporter: exporter of torch; ``auto`` takes the first whose graph is fused completely.
    :param precision: precision of weights and computation; ``fp16`` is for CUDA.
    :param opset: ONNX opset of the graph, 17 to 20 (18 to 20 for ``dynamo``).
    :param features: leave out the head: the graph returns the last hidden state of each token.
    :param pooled: of an embedding model, have its pooling and normalization in the graph, which returns one vector for
        each text.
    :param allow_unfused: write the graph even if its attention, norms or GELUs are not all fused.
    :raises FieldError: a value out of range.
    """

    exporter: ExporterName = setting("auto", "Exporter of torch; auto takes the first whose graph is fused completely.")
    precision: Literal["fp32", "fp16"] = setting("fp32", "Precision of the graph; fp16 is for CUDA.")
    opset: int = setting(18, "ONNX opset of the graph, 17 to 20 (dynamo: 18 to 20).")
    features: bool = setting(False, "Leave out the head: the graph returns a vector for each token.")
    pooled: bool = setting(False, "Pool and normalize in the graph: one vector for each text, of embedding models.")
    allow_unfused: bool = setting(False, "Write a slower graph if not everything can be fused.")

    def __post_init__(self) -> None:
        if self.exporter not in get_args(ExporterName):
            raise FieldError("exporter", self.exporter, f"one of {', '.join(get_args(ExporterName))}")
        if self.precision not in ("fp32", "fp16"):
            raise FieldError("precision", self.precision, "fp32 or fp16")
        if self.features and self.pooled:
            raise UsageError("`features` is a vector for each token and `pooled` one for each text: choose one")
        oldest = EXPORTERS["torchscript" if self.exporter == "auto" else self.exporter].oldest_opset
        if not oldest <= self.opset <= 20:
            raise FieldError("opset", self.opset, f"{oldest} to 20")


def export(
    source: Source,
    out: Path,
    config: ExportConfig,
    data_config: DataConfig | None = None,
    *,
    force: bool = False,
) -> Artifact:
    """Export a torch model, and verify it against torch under every kind of padding before the artifact exists.

    :param data_config: the task's data: texts to verify on, and the held-out split to evaluate on.
    :param force: replace an artifact at ``out``.
    :raises ModelError: the model cannot be exported, or cannot be fused completely.
    :raises QualityGateError: the graph's logits differ from torch's.
    """
    stopwatch = Stopwatch()
    require_kind(source, "torch", "export")
    if not config.features:
        require_head(source)
    elif data_config is not None:
        raise UsageError(
            "`features` leaves out the head, which the data's labels need", hint="leave out the data, or `features`"
        )
    if config.pooled and not source.task.gives_vectors:
        raise UsageError(f"`pooled` is for embedding models, and {source.name} {source.task.kind.serves}")
    if source.references and (config.features or config.precision != "fp32"):
        raise UsageError(
            f"{source.name} attends to references, and is exported with its head and in fp32",
            hint="leave out `features` and `precision`; replank quantize makes it smaller",
        )
    require("onnx", "sympy")
    require_free(out, force=force, source=source.folder)
    data = load_data(source, data_config)
    task = _task(source, data, config)
    with new_artifact(out, force=force) as folder:
        graph = write_graph(
            source,
            folder / "model.onnx",
            task,
            config.exporter,
            opset=config.opset,
            token_type_ids=source.text_encoder(task).input_names == INPUT_NAMES,
            allow_unfused=config.allow_unfused,
        )
        copy_model_files(source, folder)
        (folder / "ort_config.json").write_text(ort_config(config.opset), encoding="utf-8")
        reference = load_model(source, task=task)
        data = judged_beside(data, reference) if data else None
        kept = None
        if config.precision == "fp16":
            batches = [batch for case in padding_cases(reference) for batch in case.batches]
            kept = to_fp16(folder / "model.onnx", batches)
        candidate = load_model(open_source(folder), task=task)
        verification = compare(reference, candidate, data, config.precision)
        verification.require()
        seal(
            folder,
            Manifest(
                kind="onnx",
                precision=config.precision,
                task=replace(task, metrics=data.task.metrics) if data else task,
                made_by=MadeBy.now(
                    "export",
                    config,
                    ExportFacts(
                        data=data.digests if data else None,
                        exporter=graph.exporter,
                        fused=graph.fused,
                        unfused=graph.unfused,
                        kept_in_fp32=kept,
                        local_layers=source.encoder.local_layers(source.config),
                    ),
                    stopwatch,
                ),
                parent=source.as_parent(),
                quality=evaluate_held_out(candidate, data, folder) if data else None,
                verification=verification.differences,
            ),
        )
    return Artifact.open(out)


def _task(source: Source, data: Dataset | None, config: ExportConfig) -> Task:
    """The task of the graph: the data's, but for vectors, which data only scores."""
    if config.pooled:
        return source.task.pooled
    return source.encoder_task if config.features else task_with(source, data)


def task_with(source: Source, data: Dataset | None) -> Task:
    """The task of a model that data was given for: the data's, but for vectors, which data only scores."""
    return source.task if data is None or source.task.gives_vectors else data.task


def load_data(source: Source, data_config: DataConfig | None) -> Dataset | None:
    """The data, checked against the model's labels; ``None`` if there is none."""
    if data_config is None:
        return None
    require_length(source, data_config.max_length)
    data = data_config.load(source.task, without_labels=("train", "dev"))
    require_same_task(source.name, source.task, data)
    return data


def compare(reference: Model, candidate: Model, data: Dataset | None, precision: str) -> Verification:
    """The verification of a candidate, with progress; its real texts are those of the dev split, if there is one."""
    texts = None if data is None else data.split(data.chosen_on)
    with progress("verify: batches", CASES + (data is not None)) as advance:
        return verify(reference, candidate, precision=precision, examples=texts, progress=advance)


def evaluate_held_out(model: Model, data: Dataset, folder: Path) -> Quality:
    """The quality on the held-out split, with progress; the answers are kept in the folder of the artifact."""
    split = data.held_out
    with progress(f"evaluate on {split}", len(data.split(split))) as advance:
        return evaluate_into(folder, model, data, split, progress=advance)


def copy_model_files(source: Source, folder: Path) -> None:
    """Copy the configuration and the tokenizer of a model, how it makes vectors, and what it attends to."""
    shutil.copyfile(source.folder / "config.json", folder / "config.json")
    if references := source.weights.references:
        shutil.copyfile(references, folder / references.name)
    copy_modules(source.folder, folder)
    save_tokenizer(source.folder, folder)


def ort_config(opset: int, quantization: dict[str, Any] | None = None) -> str:
    """The content of ``ort_config.json``, which Optimum reads beside the graph.

    :param quantization: the quantization's settings in Optimum's keys.
    """
    values = {
        "one_external_file": True,
        "opset": opset,
        "optimization": {},
        "quantization": quantization or {},
        "use_external_data_format": False,
    }
    return json.dumps(values, indent=2)
