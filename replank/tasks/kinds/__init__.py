"""Kinds of task, each an object that knows its head, labels, targets, loss, decision, answers and metrics.

A new kind is a file here and a line in :data:`KINDS`. Nobody else compares kinds: they ask the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replank.system.errors import FieldError
from replank.tasks.kinds.classification import Classification
from replank.tasks.kinds.feature_extraction import FeatureExtraction
from replank.tasks.kinds.kind import Kind as Kind
from replank.tasks.kinds.masked_lm import MaskedLm
from replank.tasks.kinds.multi_label import MultiLabel
from replank.tasks.kinds.probability import Probability
from replank.tasks.kinds.regression import Regression
from replank.tasks.kinds.relation_prediction import RelationPrediction
from replank.tasks.kinds.reranker import Reranker
from replank.tasks.kinds.sentence_embedding import SentenceEmbedding
from replank.tasks.kinds.token_classification import TokenClassification

_KINDS: tuple[Kind, ...] = (
    Regression(),
    Probability(),
    Reranker(),
    Classification(),
    MultiLabel(),
    RelationPrediction(),
    TokenClassification(),
    MaskedLm(),
    FeatureExtraction(),
    SentenceEmbedding(),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _KINDS}


# Kinds by all names that people know them by, such as transformers' pipeline tasks.
KIND_NAMES: Mapping[str, Kind] = {name: kind for kind in KINDS.values() for name in (kind.name, *kind.aliases)}


def kind_named(name: str) -> Kind:
    """The kind of a name or an alias.

    :raises FieldError: there is no such kind.
    """
    if name not in KIND_NAMES:
        raise FieldError("task", name, f"one of {', '.join(KIND_NAMES)}")
    return KIND_NAMES[name]


def head_of(config: Mapping[str, Any]) -> str | None:
    """The head that a ``config.json`` names, such as ``SequenceClassification``; ``None`` of a bare encoder."""
    architectures = [str(name) for name in config.get("architectures") or []]
    return next((kind.head for kind in KINDS.values() if any(kind.head in name for name in architectures)), None)
