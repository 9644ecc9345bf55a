"""The one door for models: an artifact, a local Hugging Face folder, or a hub name."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from replank.models.artifact import Artifact
from replank.models.encoders import Encoder, encoder_of, position_limit
from replank.models.facts import Quality
from replank.models.hub import fetch_model
from replank.models.manifest import MANIFEST, MODEL_FILES, ArtifactKind, Manifest, Parent
from replank.models.onnx_checks import require_sound_file
from replank.models.weights import Weights
from replank.system.errors import ModelError
from replank.system.json_files import read_json
from replank.tasks.kinds import KINDS, head_of, kind_of
from replank.tasks.task import Task
from replank.text.tokenization import TextEncoder

_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)


@dataclass(frozen=True)
class Source:
    """A model that can be loaded.

    :param name: as the user gave it.
    :param folder: where its files lie.
    :param kind: ``torch`` or ``onnx``.
    :param config: its ``config.json``.
    :param artifact: set if the folder is an artifact of replank.
    """

    name: str
    folder: Path
    kind: ArtifactKind
    config: dict[str, Any]
    artifact: Artifact | None

    @property
    def manifest(self) -> Manifest | None:
        """The manifest, of an artifact."""
        return self.artifact.manifest if self.artifact else None

    @property
    def quality(self) -> Quality | None:
        """The quality that the manifest holds, if any."""
        return self.manifest.quality if self.manifest else None

    @property
    def precision(self) -> str:
        """Precision of the weights, as far as it is known: Optimum says in ``ort_config.json`` what it quantized."""
        if self.artifact:
            return self.artifact.manifest.precision
        return "int8" if read_json(self.folder / "ort_config.json", optional=True).get("quantization") else "fp32"

    @property
    def model_file(self) -> Path:
        """The weights, or the graph to run."""
        return self.folder / MODEL_FILES[self.kind]

    @property
    def encoder(self) -> Encoder:
        """Its architecture."""
        return encoder_of(self.config, self.name)

    @property
    def layers(self) -> int:
        """Number of Transformer layers."""
        return self.encoder.layers(self.config)

    @property
    def task(self) -> Task:
        """The task of the model: from the manifest, or as far as ``config.json`` tells."""
        return self.artifact.manifest.task if self.artifact else _task_of(self.config, self.name)

    @property
    def encoder_task(self) -> Task:
        """The task of the model without its head: a vector for each token."""
        return replace(self.task, kind=KINDS["feature-extraction"], labels=(), columns=(), metrics=())

    @property
    def head(self) -> str | None:
        """The name of its head, such as ``SequenceClassification``; ``None`` for a bare encoder or another head."""
        return head_of(self.config)

    @property
    def is_fine_tuned(self) -> bool:
        """Whether the model has a head that answers a task; guessing masked tokens is none."""
        return any(kind.head == self.head and kind.has_labels for kind in KINDS.values())

    def text_encoder(self, task: Task) -> TextEncoder:
        """The tokenizer, truncating to the task's length or to the model's limit, whichever is less."""
        limit = position_limit(self.config, self.name)
        return TextEncoder.from_folder(self.folder, min(task.max_length, limit))

    @property
    def weights(self) -> Weights:
        """The files that hold its weights."""
        return Weights.of(self.folder, self.kind)

    @property
    def digest(self) -> str:
        """Its identity: that of the manifest or, where there is none, that of the weights."""
        return self.artifact.manifest.digest if self.artifact else self.weights.digest

    @property
    def short_name(self) -> str:
        """The name without folders: a path of the machine that a model lies on means nothing elsewhere."""
        return Path(self.name).resolve().name if Path(self.name).exists() else self.name

    def as_parent(self) -> Parent:
        """This source as the parent in a manifest."""
        return self.artifact.as_parent(self.short_name) if self.artifact else Parent(self.short_name, self.digest, None)


def open_source(name: str | Path) -> Source:
    """Find a model, and refuse early what cannot be one.

    :param name: a folder, or the name of a model on the hub.
    :raises ModelError: a folder that is no model, or a model that is no encoder.
    :raises ArtifactError: a damaged artifact.
    :raises HubError: not a local folder, and the hub cannot be reached or does not have it.
    """
    folder = Path(name)
    if not folder.is_dir():
        if folder.exists() or not _HUB_NAME.fullmatch(str(name)):
            raise ModelError(f"there is no folder {name}", hint="expected a model folder or the name of a hub model")
        folder = fetch_model(str(name))
    artifact = Artifact.open(folder) if (folder / MANIFEST).exists() else None
    kind = artifact.manifest.kind if artifact else _kind_of(folder)
    if kind == "onnx" and artifact is None:
        require_sound_file(folder / MODEL_FILES[kind])
    config = read_json(folder / "config.json")
    encoder_of(config, str(name))
    source = Source(str(name), folder, kind, config, artifact)
    _require_facts(source)
    return source


def require_kind(source: Source, kind: ArtifactKind, stage: str) -> None:
    """Refuse a model of the other kind.

    :raises ModelError: with the way from the one to the other as hint.
    """
    if source.kind != kind:
        raise ModelError(
            f"{source.name} is a model of kind {source.kind}; {stage} needs one of kind {kind}",
            hint="replank export MODEL OUT makes an ONNX model of a torch model" if kind == "onnx" else None,
        )


def _require_facts(source: Source) -> None:
    """Refuse a configuration without the few facts that everything else counts on."""
    try:
        complete = source.layers > 0 and position_limit(source.config, source.name) > 0
        complete = complete and (source.task.outputs > 0 or not source.task.kind.has_labels)
    except (AttributeError, KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise ModelError(
            f"{source.folder / 'config.json'} is damaged: no sensible {source.encoder.keys.layers}, "
            "max_position_embeddings or id2label",
            hint="copy the model again, or take config.json from where it was published",
        )


def _kind_of(folder: Path) -> ArtifactKind:
    if not (folder / "config.json").exists():
        here = ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing"
        raise ModelError(
            f"{folder} is no model folder: it has no config.json; it holds {here}",
            hint="expected config.json, tokenizer.json and model.safetensors (or model.onnx)",
        )
    for kind, file in MODEL_FILES.items():
        if (folder / file).exists():
            return "torch" if kind == "torch" else "onnx"
    if (folder / "pytorch_model.bin").exists():
        raise ModelError(
            f"{folder} holds its weights as a pickle (pytorch_model.bin), which replank does not load",
            hint="load it with transformers once and save it: model.save_pretrained(FOLDER) writes safetensors",
        )
    if graphs := sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.onnx")):
        raise ModelError(
            f"{folder} has no model.onnx; it holds {', '.join(graphs)}",
            hint=f"model.onnx is the graph to run; in a copy of the folder, rename {graphs[0]} to it",
        )
    raise ModelError(f"{folder} has no weights: expected model.safetensors or model.onnx")


def _task_of(config: dict[str, Any], name: str) -> Task:
    id2label = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    labels = tuple(str(id2label[key]) for key in sorted(id2label, key=int))
    if all(re.fullmatch(r"LABEL_\d+", label) for label in labels):
        labels = tuple(str(index) for index in range(len(labels)))
    kind = kind_of(config)
    return Task(
        name=Path(name).name,
        kind=kind,
        labels=labels if kind.has_label_names else (),
        columns=(),
        label_column="label",
        metrics=kind.default_metrics(labels),
        max_length=min(512, position_limit(config, name)),
    )
