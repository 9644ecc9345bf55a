"""The one door for models: an artifact, a local Hugging Face folder, or a hub name, understood whole or refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from replank.models.artifact import Artifact
from replank.models.encoders import Encoder, encoder_of
from replank.models.folder_task import folder_task
from replank.models.hub import HUB_NAME, fetch_model
from replank.models.manifest import MANIFEST, MODEL_FILES, ArtifactKind, Manifest, Parent
from replank.models.onnx_checks import require_sound_file
from replank.models.quality import Quality
from replank.models.sentence_transformers import embedding_folder, lowercases
from replank.models.sizes import Sizes, sizes_of
from replank.models.source_card import SourceCard
from replank.models.weights import REFERENCES, REFERENCES_KEY, Weights, kind_of_weights, model_file
from replank.system.errors import ModelError, UsageError
from replank.system.json_files import read_json
from replank.tasks.kinds import KINDS, head_of
from replank.tasks.task import Task
from replank.text.tokenization import TextEncoder

# Of graphs as they are named on the hub: model_fp16, model_quantized, model_qint8_avx512_vnni.
_NAMED_PRECISION = re.compile(r"_((?P<fp16>fp16)|(q?u?int8|quantized))(_|$)")
# Weights of other kinds than safetensors and ONNX, by the names that transformers gives them.
_UNREAD_WEIGHTS = {
    "pytorch_model*.bin": "a pickle",
    "tf_model*.h5": "TensorFlow's",
    "flax_model*.msgpack": "Flax's",
}


@dataclass(frozen=True)
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
        _require_graph(str(name), folder, file, artifact)
    kind = artifact.manifest.kind if artifact else "onnx" if file else _kind_of(folder)
    config = read_json(folder / "config.json")
    encoder = encoder_of(config, str(name))
    _require_numbers(folder, config, encoder)
    _require_attention(str(name), config, encoder)
    if kind == "onnx" and artifact is None:
        require_sound_file(folder / file if file else model_file(folder, kind))
    weights = Weights.of(folder, kind, file)
    _require_references(folder, config, weights)
    sizes = sizes_of(weights, encoder)
    _require_tables(str(name), config, sizes)
    if artifact:
        return Source(str(name), folder, kind, config, artifact, artifact.manifest.task)
    limit = encoder.position_limit(config)
    text_encoder = TextEncoder.from_folder(folder, limit)
    _require_tokenizer(str(name), text_encoder, config, sizes)
    if lowercases(folder) and text_encoder.tokenize(["Abc"]) != text_encoder.tokenize(["abc"]):
        raise ModelError(
            f"{name}: do_lower_case is true and its tokenizer keeps capital letters",
            hint="load it with sentence-transformers once and save it, or save a tokenizer that makes them small",
        )
    task = folder_task(folder, str(name), config, sizes, limit, text_encoder.length_limit)
    return Source(str(name), folder, kind, config, None, task, file)


def _require_graph(name: str, folder: Path, file: str, artifact: Artifact | None) -> None:
    """Refuse a graph that is none of the folder's.

    :raises UsageError: an artifact's graph cannot be chosen.
    :raises ModelError: there is no such file.
    """
    if artifact:
        raise UsageError(f"`file` chooses a graph of a plain folder, and {name} is an artifact", hint="leave it out")
    graphs = _graphs(folder)
    if file not in graphs:
        near = get_close_matches(file, graphs, n=1)
        raise ModelError(
            f"{name} has no graph {file}; it holds {', '.join(graphs) or 'none'}",
            hint=f"did you mean {near[0]}?" if near else None,
        )


def _graphs(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.onnx"))


def require_kind(source: Source, kind: ArtifactKind, stage: str) -> None:
    """Refuse a model of the other kind.

    :raises ModelError: with the way from the one to the other as hint.
    """
    if source.kind != kind:
        raise ModelError(
            f"{source.name} is a model of kind {source.kind}; {stage} needs one of kind {kind}",
            hint="replank export MODEL OUT makes an ONNX model of a torch model" if kind == "onnx" else None,
        )


def _require_numbers(folder: Path, config: dict[str, Any], encoder: Encoder) -> None:
    """Refuse a configuration without the few numbers that everything else counts on."""
    try:
        sensible = encoder.layers(config) > 0 and encoder.position_limit(config) > 0
    except (AttributeError, KeyError, TypeError, ValueError):
        sensible = False
    if not sensible:
        raise ModelError(
            f"{folder / 'config.json'} is damaged: no sensible {encoder.keys.layers} or max_position_embeddings",
            hint="copy the model again, or take config.json from where it was published",
        )


def _require_attention(name: str, config: dict[str, Any], encoder: Encoder) -> None:
    """Refuse kinds of attention for another number of layers, and a kernel that runs on GPUs alone."""
    kinds = config.get("layer_types")
    if encoder.mixes_attention and kinds is not None and len(kinds) != encoder.layers(config):
        raise ModelError(
            f"{name}: config.json lists layer_types of {len(kinds)} layers and says {encoder.keys.layers} "
            f"{encoder.layers(config)}",
            hint="take layer_types out where every third layer has full attention, the first among them",
        )
    for key in ("attn_implementation", "_attn_implementation"):
        if "flash" in str(config.get(key)):
            raise ModelError(
                f"{name}: config.json says {key} {config[key]!r}, which needs a GPU and a package of its own",
                hint=f"take {key} out: the numbers are the same",
            )


def _require_references(folder: Path, config: dict[str, Any], weights: Weights) -> None:
    """Refuse a model without the bank that it was trained with, and a bank that no model was trained with."""
    if config.get(REFERENCES_KEY) and weights.references is None:
        raise ModelError(
            f"{folder} has no {REFERENCES}, whose texts the model attends to beside each text",
            hint="copy the whole folder of the model, from where it was made",
        )
    if weights.references and not config.get(REFERENCES_KEY):
        raise ModelError(
            f"{weights.references} is the reference bank of another model: config.json has no {REFERENCES_KEY}",
            hint=f"take {REFERENCES} out of the folder",
        )


def _require_tables(name: str, config: dict[str, Any], sizes: Sizes) -> None:
    """Refuse a configuration that describes other embeddings than the weights have."""
    described = {
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.positions,
        "type_vocab_size": sizes.segments,
    }
    for key, rows in described.items():
        if rows is not None and config.get(key, rows) != rows:
            raise ModelError(
                f"{name}: config.json says {key} {config[key]}, the weights have {rows} rows",
                hint="config.json and the weights are not of the same model",
            )


def _require_tokenizer(name: str, text_encoder: TextEncoder, config: dict[str, Any], sizes: Sizes) -> None:
    """Refuse a tokenizer that makes ids which the embeddings have no row for, or leaves no room for a text."""
    around = len(text_encoder.tokenize([""])[0])
    if text_encoder.length_limit is not None and text_encoder.length_limit <= around:
        raise ModelError(
            f"{name}: model_max_length of tokenizer_config.json is {text_encoder.length_limit}; "
            f"expected more than the {around} special tokens of a text"
        )
    rows = sizes.vocabulary or config.get("vocab_size")
    if isinstance(rows, int) and text_encoder.vocabulary_size > rows:
        raise ModelError(
            f"{name}: the tokenizer has token ids up to {text_encoder.vocabulary_size - 1}, "
            f"the embeddings have {rows} rows",
            hint="after tokens are added, model.resize_token_embeddings(len(tokenizer)) makes room; then save both",
        )
    segments = (config.get("type_vocab_size") or 1) if sizes.segments is None else sizes.segments
    if text_encoder.segment_types > segments:
        raise ModelError(
            f"{name}: the tokenizer gives the texts of a pair {text_encoder.segment_types} segment types, "
            f"the model has {segments}",
            hint="take token_type_ids out of model_input_names in tokenizer_config.json",
        )


def _kind_of(folder: Path) -> ArtifactKind:
    """The kind of a plain folder's weights, or the reason why it has none that can be read."""
    here = ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing"
    if (folder / "adapter_config.json").exists() and kind_of_weights(folder) is None:
        raise ModelError(
            f"{folder} is an adapter (adapter_config.json) for a model, not a model",
            hint="merge the two and save the result: peft's merge_and_unload(), then save_pretrained(FOLDER)",
        )
    if not (folder / "config.json").exists():
        embedding_folder(folder)  # which knows more of a folder of sentence-transformers
        raise ModelError(
            f"{folder} is no model folder: it has no config.json; it holds {here}",
            hint="expected config.json, tokenizer.json and model.safetensors (or model.onnx)",
        )
    if kind := kind_of_weights(folder):
        return kind
    for pattern, what in _UNREAD_WEIGHTS.items():
        if found := sorted(folder.glob(pattern)):
            raise ModelError(
                f"{folder} holds its weights as {what} ({found[0].name}), which replank does not load",
                hint="load it with transformers once and save it: model.save_pretrained(FOLDER) writes safetensors",
            )
    if graphs := _graphs(folder):
        raise ModelError(
            f"{folder} has no model.onnx; it holds {', '.join(graphs)}", hint=f"choose one: `file={graphs[0]}`"
        )
    raise ModelError(f"{folder} has no weights: expected model.safetensors or model.onnx; it holds {here}")
