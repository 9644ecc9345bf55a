"""The one door for models: an artifact, a local Hugging Face folder, or a hub name, understood whole or refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from replank.models.artifact import Artifact
from replank.models.encoder import Encoder
from replank.models.encoders import encoder_of
from replank.models.folder_task import folder_task
from replank.models.hub import HUB_NAME, fetch_model
from replank.models.manifest import MANIFEST, MODEL_FILES, ArtifactKind, Manifest, Parent
from replank.models.onnx_checks import require_sound_file
from replank.models.plain_weights import plain_kind, require_graph
from replank.models.quality import Quality
from replank.models.sizes import sizes_of
from replank.models.source_card import SourceCard
from replank.models.source_checks import (
    require_attention,
    require_numbers,
    require_references,
    require_tables,
    require_tokenizer,
)
from replank.models.weights import REFERENCES_KEY, Weights, model_file
from replank.system.errors import FieldError, ModelError
from replank.system.json_files import read_json
from replank.tasks.kinds import KINDS, head_of
from replank.tasks.task import Task
from replank.text.tokenization import TextEncoder

# Of graphs as they are named on the hub: model_fp16, model_quantized, model_qint8_avx512_vnni.
_NAMED_PRECISION = re.compile(r"_((?P<fp16>fp16)|(q?u?int8|quantized))(_|$)")


@dataclass(frozen=True, repr=False)
class Source:
    """A model that can be loaded: the one description of it, which every stage and the server read.

    :param name: as the user gave it.
    :param folder: where its files lie.
    :param kind: ``torch`` or ``onnx``.
    :param config: its ``config.json``.
    :param artifact: set if the folder is an artifact of replank.
    :param task: what it answers: from the manifest, or as the files of a plain folder tell.
    :param file: the place of the graph in the folder, where somebody chose one.
    """

    name: str
    folder: Path
    kind: ArtifactKind
    config: dict[str, Any]
    artifact: Artifact | None
    task: Task
    file: str | None = None

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {self.kind}, {self.precision}, {self.task.kind})"

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
        """Precision of the weights, as far as it is known.

        Optimum says in ``ort_config.json`` what it quantized; of several graphs, their names tell.
        """
        if self.artifact:
            return self.artifact.manifest.precision
        if self.kind == "onnx" and (named := _NAMED_PRECISION.search(self.model_file.stem)):
            return "fp16" if named["fp16"] else "int8"
        return "int8" if read_json(self.folder / "ort_config.json", optional=True).get("quantization") else "fp32"

    @property
    def model_file(self) -> Path:
        """The weights, or the graph to run."""
        if self.file:
            return self.folder / self.file
        return model_file(self.folder, "onnx") if self.kind == "onnx" else self.folder / MODEL_FILES["torch"]

    @property
    def encoder(self) -> Encoder:
        """Its architecture."""
        return encoder_of(self.config, self.name)

    @property
    def layers(self) -> int:
        """Number of Transformer layers."""
        return self.encoder.layers(self.config)

    @property
    def position_limit(self) -> int:
        """The longest input in tokens, special tokens included."""
        return self.encoder.position_limit(self.config)

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
        return TextEncoder.from_folder(self.folder, min(task.max_length, self.position_limit))

    @property
    def weights(self) -> Weights:
        """The files that hold its weights."""
        return Weights.of(self.folder, self.kind, self.file)

    @property
    def references(self) -> str | None:
        """The digest of the bank of references that it attends to; ``None`` of a model of the text alone."""
        return self.config.get(REFERENCES_KEY)

    @property
    def digest(self) -> str:
        """Its identity: that of the manifest or, where there is none, that of the weights."""
        return self.artifact.manifest.digest if self.artifact else self.weights.digest

    @property
    def short_name(self) -> str:
        """The name without folders: a path of the machine that a model lies on means nothing elsewhere."""
        return Path(self.name).resolve().name if Path(self.name).exists() else self.name

    @property
    def commit_name(self) -> str:
        """The name with the commit of the files, of a model of the hub; of a folder, its name."""
        return self.name if Path(self.name).exists() else f"{self.name.partition('@')[0]}@{self.folder.name}"

    def as_parent(self) -> Parent:
        """This source as the parent in a manifest."""
        if self.artifact:
            return self.artifact.as_parent(self.short_name)
        return Parent(self.short_name, self.digest, None, SourceCard.of(self.folder))


def open_source(name: str | Path, file: str | None = None) -> Source:
    """Find a model and understand it whole, or refuse it.

    :param name: a folder, or the name of a model on the hub, ``owner/name`` or ``owner/name@revision``.
    :param file: the ONNX graph to take, by its place there, such as ``onnx/model_int8.onnx``. Without it, the order is
        ``model.safetensors``, ``model.onnx``, ``onnx/model.onnx``.
    :raises ModelError: a folder that is no model, a model that is no encoder, or files that do not fit each other: the
        message names the setting and both numbers.
    :raises ArtifactError: a damaged artifact.
    :raises HubError: not a local folder, and the hub cannot be reached or does not have it.
    """
    folder = Path(name)
    if not folder.is_dir():
        if folder.exists() or not HUB_NAME.fullmatch(str(name)):
            raise ModelError(f"there is no folder {name}", hint="expected a model folder or the name of a hub model")
        folder = fetch_model(str(name), file)
    artifact = Artifact.open(folder) if (folder / MANIFEST).exists() else None
    if file:
        require_graph(str(name), folder, file, is_artifact=artifact is not None)
    kind = artifact.manifest.kind if artifact else "onnx" if file else plain_kind(folder)
    config = read_json(folder / "config.json")
    encoder = encoder_of(config, str(name))
    require_numbers(folder, config, encoder)
    require_attention(str(name), config, encoder)
    if kind == "onnx" and artifact is None:
        require_sound_file(folder / file if file else model_file(folder, kind))
    weights = Weights.of(folder, kind, file)
    require_references(folder, config, weights)
    sizes = sizes_of(weights, encoder)
    require_tables(str(name), config, sizes)
    if artifact:
        return Source(str(name), folder, kind, config, artifact, artifact.manifest.task)
    limit = encoder.position_limit(config)
    text_encoder = TextEncoder.from_folder(folder, limit)
    require_tokenizer(str(name), folder, text_encoder, config, sizes)
    task = folder_task(folder, str(name), config, sizes, limit, text_encoder.length_limit)
    return Source(str(name), folder, kind, config, None, task, file)


def require_length(source: Source, length: int | None) -> None:
    """Refuse a length that was asked for and that a model cannot read: it would be cut in silence.

    :param length: in tokens; ``None`` where none was asked for.
    :raises FieldError: it has fewer positions.
    """
    if length is not None and length > source.position_limit:
        raise FieldError("max_length", length, f"at most {source.position_limit}, which is what {source.name} reads")


def require_kind(source: Source, kind: ArtifactKind, stage: str) -> None:
    """Refuse a model of the other kind.

    :raises ModelError: with the way from the one to the other as hint.
    """
    if source.kind != kind:
        raise ModelError(
            f"{source.name} is a model of kind {source.kind}; {stage} needs one of kind {kind}",
            hint="replank export MODEL OUT makes an ONNX model of a torch model" if kind == "onnx" else None,
        )
