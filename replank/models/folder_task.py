"""The task of a model folder without a manifest: what its configuration, its head and its other files say of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replank.models.sentence_transformers import activation_of, embedding_folder, takes_pairs
from replank.models.sizes import Sizes
from replank.system.errors import ModelError
from replank.tasks.kinds import KINDS, Kind, head_of
from replank.tasks.task import PAIR_COLUMNS, Task

_log = logging.getLogger(__name__)
_UNNAMED = re.compile(r"LABEL_\d+")
# transformers' number of labels where a configuration says none.
_DEFAULT_LABELS = 2
# Functions on one logit, and on several, that a kind of task stands for; by torch's names.
_KNOWN_ACTIVATIONS = {1: ("Identity", "Sigmoid"), 2: ("Identity", "Softmax", "Sigmoid")}


def folder_task(
    folder: Path, name: str, config: Mapping[str, Any], sizes: Sizes, limit: int, tokenizer_limit: int | None
) -> Task:
    """The task that a folder's files describe.

    :param name: the model's, for messages.
    :param sizes: of its weights.
    :param limit: the longest input in tokens that the model takes.
    :param tokenizer_limit: that which its tokenizer names, if it does.
    :raises ModelError: settings that contradict each other or the weights, or that are not understood.
    """
    embedding = embedding_folder(folder)
    vector_kind = _vector_kind(sizes, name)
    if embedding and head_of(config) is None:
        length = min(limit, embedding.max_length or tokenizer_limit or limit)
        task = _task(name, KINDS["feature-extraction"], (), length, vectors=embedding.vectors)
        return task.pooled if vector_kind and not vector_kind.is_per_token else task
    limit = min(limit, tokenizer_limit or limit)
    if vector_kind:
        return _task(name, vector_kind, (), limit)
    labels = _labels(config, name)
    if head_of(config) is None and sizes.answers is None:
        _require_named_head(config, name, sizes)
        return _task(name, KINDS["classification"], labels, limit)  # a bare encoder, a classifier to be
    kind = _kind(folder, config, name, labels)
    _require_rank(kind, name, sizes)
    if kind.outputs(labels):
        _require_outputs(config, name, kind.outputs(labels), sizes)
    columns = PAIR_COLUMNS if kind.takes_pairs and takes_pairs(folder, config) else ()
    return _task(name, kind, labels if kind.has_label_names else (), limit, columns)


def _task(
    name: str, kind: Kind, labels: tuple[str, ...], limit: int, columns: tuple[str, ...] = (), **more: Any
) -> Task:
    return Task(
        name=Path(name).name,
        kind=kind,
        labels=labels,
        columns=columns,
        label_column="label",
        metrics=kind.default_metrics(labels),
        max_length=limit,
        **more,
    )


def _vector_kind(sizes: Sizes, name: str) -> Kind | None:
    """The kind of a graph that gives vectors, whatever class its configuration names; ``None`` of all others."""
    if sizes.answers is None or "logits" in sizes.answers:
        return None
    kinds = (KINDS["sentence-embedding"], KINDS["feature-extraction"])
    found = next((kind for kind in kinds if kind.output in sizes.answers), None)
    if found is None:
        raise ModelError(
            f"the graph of {name} gives {', '.join(sizes.answers)}; expected logits, "
            + " or ".join(kind.output for kind in kinds),
            hint="export the model with its head: optimum-cli export onnx --task text-classification …",
        )
    return found


def _labels(config: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The names of the outputs, in their order; the numbers of those that have transformers' ``LABEL_0`` for a name."""
    names = config.get("id2label")
    if names is None:
        count = config.get("num_labels", _DEFAULT_LABELS)
        if type(count) is not int or count < 1:
            raise ModelError(f"{name}: config.json says num_labels {count!r}; expected a number of labels")
        return tuple(map(str, range(count)))
    if not isinstance(names, Mapping) or not all(str(key).isdecimal() for key in names):
        raise ModelError(f"{name}: config.json says id2label {_shown(names)}; expected a name for each output's index")
    by_index = {int(key): str(label) for key, label in names.items() if label is not None}
    if sorted(by_index) != list(range(len(names))) or not names:
        indices = _shown(", ".join(map(str, sorted(by_index))) or "no output")
        raise ModelError(f"{name}: id2label of config.json names {indices}; expected each output from 0 on")
    labels = tuple(by_index[index] for index in range(len(names)))
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ModelError(f"{name}: id2label of config.json names two outputs {twice!r}")
    if config.get("num_labels") not in (None, len(labels)):
        _log.warning(
            "%s: config.json says num_labels %s and names %d; the names count, as in transformers",
            name, config["num_labels"], len(labels),
        )  # fmt: skip
    if all(map(_UNNAMED.fullmatch, labels)):
        return tuple(map(str, range(len(labels))))
    return labels


def _kind(folder: Path, config: Mapping[str, Any], name: str, labels: tuple[str, ...]) -> Kind:
    """The kind of the head; a graph with logits whose configuration names none is taken for a classifier."""
    head = head_of(config) or KINDS["classification"].head
    named = next((str(one) for one in config.get("architectures") or [] if "For" in str(one)), None)
    if named and head_of(config) is None:
        raise ModelError(f"{name} is a {named}, whose answers replank does not give")
    problem = config.get("problem_type")
    activation = activation_of(folder, config)
    known = _KNOWN_ACTIVATIONS[min(len(labels), 2)]
    if activation is not None and activation not in known:
        raise ModelError(
            f"{name} answers through the activation {activation}; expected {' or '.join(known)} "
            f"with {len(labels)} output{'s' * (len(labels) > 1)}",
        )
    if activation == "Identity" and len(labels) == 1:
        problem = "regression"
    if activation == "Sigmoid" and len(labels) > 1:
        problem = "multi_label_classification"
    kinds = [kind for kind in KINDS.values() if kind.head == head]
    found = next((kind for kind in kinds if kind.fits(len(labels), problem)), None)
    if found is None:
        unknown = "of a kind that replank does not know"
        what = f"a regression to {len(labels)} numbers" if problem == "regression" else unknown
        raise ModelError(
            f"{name} is {what}: config.json says problem_type {problem!r} with {len(labels)} outputs",
            hint="models that give labels, or one number, for a text are handled",
        )
    return found


def _require_named_head(config: Mapping[str, Any], name: str, sizes: Sizes) -> None:
    """Refuse weights with a head that the configuration does not name: it would be trained anew, or passed over."""
    if sizes.outputs is not None and not isinstance(config.get("architectures"), list):
        raise ModelError(
            f"{name}: config.json has no list of architectures, and the weights have a head of {sizes.outputs} outputs",
            hint='name its class in config.json, such as "architectures": ["BertForSequenceClassification"]',
        )


def _require_rank(kind: Kind, name: str, sizes: Sizes) -> None:
    """Refuse a graph that answers tokens where texts are to be answered, or the reverse."""
    shape = (sizes.answers or {}).get(kind.output)
    if shape and len(shape) != (3 if kind.is_per_token else 2):
        expected = "(batch, length, outputs)" if kind.is_per_token else "(batch, outputs)"
        raise ModelError(
            f"the graph of {name} gives {kind.output} with {len(shape)} dimensions; {kind} needs {expected}",
            hint="config.json and model.onnx are not of the same model",
        )


def _require_outputs(config: Mapping[str, Any], name: str, described: int, sizes: Sizes) -> None:
    """Refuse a head of another width than the configuration describes."""
    if sizes.outputs in (None, described):
        return
    said = f"names {described} labels" if config.get("id2label") is not None else f"describes {described} labels"
    holder = "weights have" if sizes.answers is None else "graph gives"
    raise ModelError(
        f"{name}: config.json {said}, the {holder} {sizes.outputs}",
        hint="id2label (or num_labels) of config.json must name each output; is it of the same model?",
    )


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
