"""Questions to a knowledge graph, answered by a model of relation prediction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from replank.graphs.knowledge import KnowledgeGraph, RankedTriple
from replank.runtime.model import Model
from replank.runtime.predictors import Logits
from replank.system.errors import FieldError, ModelError
from replank.tasks.probabilities import require_finite, sigmoid
from replank.tasks.reasoning import Reasoning


def relate(
    model: Model, knowledge: KnowledgeGraph, head: str, relation: str, tail: str, *, top: int = 10
) -> list[RankedTriple]:
    """The candidates of a question, the likeliest first, each with the path that spoke for it.

    :param head: a name or an identifier, or ``?`` for what is asked; ``relation`` and ``tail`` likewise.
    :raises ModelError: the model does not judge triples.
    :raises DataError: see :meth:`KnowledgeGraph.ask`.
    """
    if top < 1:
        raise FieldError("top", top, "1 or more")
    asked = knowledge.ask(reasoning_of(model), head, relation, tail)
    second = [row.context for row in asked.rows] if model.task.is_pair else None
    return asked.ranked(right_probabilities(model.logits([row.question for row in asked.rows], second)), top)


def reasoning_of(model: Model) -> Reasoning:
    """The form that a model was taught.

    :raises ModelError: it does not judge triples.
    """
    if model.task.reasoning is None:
        raise ModelError(
            f"the model {model.source.name} {model.task.kind.serves}; a graph is asked of a model that judges triples",
            hint="train one: replank run ENCODER OUT --kind relation-prediction --data GRAPH",
        )
    return model.task.reasoning


def right_probabilities(logits: Logits) -> NDArray[np.float64]:
    """The probability of being right, shape ``(rows,)``.

    :param logits: shape ``(rows, 2)``.
    :raises ModelError: one is NaN or infinite.
    """
    require_finite(logits)
    return sigmoid((logits[:, 1] - logits[:, 0]).astype(np.float64))
