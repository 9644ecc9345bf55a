"""The sizes that a model's weights really have, whatever its configuration says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from replank.models.encoder import Encoder
from replank.models.onnx_file import GraphFacts, graph_facts
from replank.models.weights import Weights
from replank.system.errors import ModelError

# transformers' last layer of a head, where it is called so; the first name in a file counts.
_LAST_LAYERS = ("classifier.out_proj.weight", "classifier.weight")


@dataclass(frozen=True)
class Sizes:
    """Numbers of rows; ``None`` where the weights do not tell.

    :param vocabulary: token ids that the word embeddings have a row for.
    :param positions: rows of the position embeddings, those reserved for padding included.
    :param segments: token type ids that have a row.
    :param outputs: logits of an answer.
    :param answers: the outputs of a graph with their shapes; ``None`` of a torch model.
    """

    vocabulary: int | None = None
    positions: int | None = None
    segments: int | None = None
    outputs: int | None = None
    answers: Mapping[str, tuple[int | None, ...]] | None = None


def sizes_of(weights: Weights, encoder: Encoder) -> Sizes:
    """The sizes of a model's weights.

    :raises ModelError: a file is damaged.
    """
    if weights.files[0].suffix != ".onnx":
        shapes = {name: tensor.shape for name, tensor in weights.tensors().items()}
        return _sizes(shapes, encoder)
    graph = _graph_facts(weights)
    named = _sizes(graph.weights, encoder)
    logits = graph.outputs.get("logits", ())
    return Sizes(
        vocabulary=graph.rows.get("input_ids", named.vocabulary),
        positions=named.positions,
        segments=graph.rows.get("token_type_ids", named.segments),
        outputs=logits[-1] if logits and logits[-1] is not None else named.outputs,
        answers=graph.outputs,
    )


def _sizes(shapes: Mapping[str, tuple[int, ...]], encoder: Encoder) -> Sizes:
    def rows(table: str) -> int | None:
        ending = f"{table}.weight"
        return next((shape[0] for name, shape in shapes.items() if shape and f".{name}".endswith(f".{ending}")), None)

    heads = (shapes[name] for name in _LAST_LAYERS if shapes.get(name))
    return Sizes(
        vocabulary=rows(encoder.words),
        positions=rows(f"{encoder.embeddings}.position_embeddings"),
        segments=rows(f"{encoder.embeddings}.token_type_embeddings"),
        outputs=next((shape[0] for shape in heads), None),
    )


def _graph_facts(weights: Weights) -> GraphFacts:
    graph = weights.files[0]
    try:
        return graph_facts(graph)
    except (EOFError, ValueError):
        raise ModelError(f"{graph} is damaged: it is cut off or no ONNX graph", hint="copy it again") from None
