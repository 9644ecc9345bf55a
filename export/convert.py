"""The stage `export`: a torch model to a fused ONNX graph that gives the same answers."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.optimize import fuse
from export.trace import trace
from export.verify import Verification, verify
from replank.artifact import Artifact, Manifest, new_artifact, require_free, seal
from replank.data import DataConfig, Dataset
from replank.errors import UsageError
from replank.evaluate import evaluate, require_same_task
from replank.extras import require
from replank.progress import progress
from replank.provenance import Stopwatch, made_by
from replank.runtime import Model, load_model, require_whole_texts
from replank.source import Source, open_source, require_kind
from replank.text import INPUT_NAMES, save_tokenizer
from replank.torch_model import require_head

_CASES = 8


@dataclass(frozen=True)
class ExportConfig:
    """How a graph is made.

    :param opset: version of ONNX's operators, 17 to 20: what the TorchScript exporter writes and the fusions know.
    """

    opset: int = 18

    def __post_init__(self) -> None:
        if not 17 <= self.opset <= 20:
            raise UsageError(f"--opset is {self.opset}; expected 17 to 20")


def export(
    source: Source,
    out: Path,
    config: ExportConfig,
    data_config: DataConfig | None = None,
    *,
    force: bool = False,
) -> Artifact:
    """Trace, fuse, and compare with torch under every kind of padding before the artifact exists.

    :param data_config: the task's data: real texts to compare on, and the split to measure quality on.
    :raises ModelError: the model cannot be exported, or its attention cannot be fused.
    :raises QualityGateError: the graph gives other numbers than torch.
    """
    stopwatch = Stopwatch()
    require_kind(source, "torch", "export")
    require_whole_texts(source, "export")
    require_head(source)
    require("onnx", "sympy")
    require_free(out, force=force, source=source.folder)
    data = load_data(source, data_config)
    task = data.task if data else source.task
    with new_artifact(out, force=force) as folder:
        segments = source.text_encoder(task).input_names == INPUT_NAMES
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            raw = Path(scratch) / "raw.onnx"
            traced = trace(source, raw, segments=segments, opset=config.opset)
            fused = fuse(raw, folder / "model.onnx", traced, source.layers)
        copy_model_files(source, folder)
        (folder / "ort_config.json").write_text(ort_config(config.opset), encoding="utf-8")
        reference, candidate = load_model(source, task=task), load_model(open_source(folder), task=task)
        verification = compare(reference, candidate, data, "fp32")
        verification.require()
        seal(
            folder,
            Manifest(
                kind="onnx",
                precision="fp32",
                task=task,
                made_by=made_by(
                    "export",
                    config,
                    stopwatch,
                    data=data.digests if data else None,
                    exporter="torchscript",
                    fused=fused,
                ),
                parent=source.as_parent(),
                quality=measure(candidate, data) if data else None,
                verification=verification.to_json(),
            ),
        )
    return Artifact.open(out)


def load_data(source: Source, data_config: DataConfig | None) -> Dataset | None:
    """The data with the model's own labels, or ``None`` where none is given."""
    if data_config is None:
        return None
    data = data_config.load(source.task)
    require_same_task(source.name, source.task, data)
    return data


def compare(reference: Model, candidate: Model, data: Dataset | None, precision: str) -> Verification:
    """Verify with progress, on the dev split's texts where there are any."""
    texts = None if data is None else data.split("dev" if "dev" in data.splits else data.held_out)
    with progress("verify", _CASES if data else _CASES - 1) as advance:
        return verify(reference, candidate, precision=precision, examples=texts, progress=advance)


def measure(model: Model, data: Dataset) -> dict[str, Any]:
    """Quality on the held-out split, with progress."""
    split = data.held_out
    with progress(f"evaluate on {split}", len(data.split(split))) as advance:
        return evaluate(model, data, split, progress=advance)


def copy_model_files(source: Source, folder: Path) -> None:
    """Configuration and tokenizer of the source."""
    shutil.copyfile(source.folder / "config.json", folder / "config.json")
    save_tokenizer(source.folder, folder)


def ort_config(opset: int, quantization: dict[str, Any] | None = None) -> str:
    """``ort_config.json`` in Optimum's keys, which Optimum reads beside the graph."""
    values = {
        "one_external_file": True,
        "opset": opset,
        "optimization": {},
        "quantization": quantization or {},
        "use_external_data_format": False,
    }
    return json.dumps(values, indent=2)
