"""FLOPs of a torch model, from its configuration and the header of its weights: nothing is loaded or run."""

from __future__ import annotations

from replank.models.source import Source
from replank_export.profile.flops import ForwardPass, MatMul, Weight

# safetensors' names of floating-point types; tensors of other types are buffers.
_PRECISIONS = {"F64": "fp64", "F32": "fp32", "F16": "fp16", "BF16": "bf16"}
# replank loads every torch model in fp32, whatever precision its file has.
_COMPUTED_IN = "fp32"
# The MatMuls of attention have no weight to be named after: this prefix, then the index of their layer.
_ATTENTION_PREFIX = "layer "


def torch_flops(source: Source, batch_size: int, length: int) -> ForwardPass:
    """The forward pass of a torch model.

    :param length: tokens per text.
    :raises ModelError: the weights are damaged.
    """
    weights = tuple(
        Weight(
            name=name,
            precision=_PRECISIONS[tensor.dtype],
            shape=tensor.shape,
            bytes=tensor.bytes,
            is_table=source.encoder.is_table(name),
        )
        for name, tensor in source.weights.tensors().items()
        if tensor.dtype in _PRECISIONS
    )
    linears = [_linear(source, weight, batch_size, length) for weight in weights if _is_linear(weight)]
    matmuls = (*linears, *_tied_decoder(source, weights, batch_size * length), *_attention(source, batch_size, length))
    uncounted = {"relative attention": source.layers} if source.encoder.has_extra_scores(source.config) else {}
    return ForwardPass(batch_size, length, source.weights.parameter_bytes, matmuls, weights, uncounted)


def layer_of(source: Source, name: str) -> int | None:
    """The index of the layer that a MatMul or a weight belongs to; ``None`` outside the layers."""
    attention = name.removeprefix(_ATTENTION_PREFIX)
    return int(attention) if attention != name else source.encoder.layer_of(name)


def _is_linear(weight: Weight) -> bool:
    return len(weight.shape) == 2 and not weight.is_table


def _linear(source: Source, weight: Weight, batch_size: int, length: int) -> MatMul:
    """A linear layer, applied to every token in the encoder and in heads that answer per token, else once per text."""
    per_token = source.encoder.is_per_token(weight.name) or source.task.is_per_token
    columns, inner = weight.shape
    return MatMul(
        name=weight.name,
        operator="Linear",
        precision=_COMPUTED_IN,
        rows=batch_size * (length if per_token else 1),
        inner=inner,
        columns=columns,
    )


def _tied_decoder(source: Source, weights: tuple[Weight, ...], tokens: int) -> list[MatMul]:
    """The decoder of a masked language model that is tied to the word embeddings, which the file holds once."""
    vocabulary = source.config.get("vocab_size")
    if not source.task.kind.is_over_vocabulary or any(
        _is_linear(weight) and weight.shape[0] == vocabulary for weight in weights
    ):
        return []
    table = next(weight for weight in weights if weight.is_table and weight.shape[0] == vocabulary)
    return [MatMul(table.name, "Linear", _COMPUTED_IN, rows=tokens, inner=table.shape[1], columns=table.shape[0])]


def _attention(source: Source, batch_size: int, length: int) -> list[MatMul]:
    """The scores and the weighted values of every layer, for each text and head.

    References, which the first layer also attends to, are as long as the texts.
    """
    heads = source.encoder.heads(source.config)
    width = source.encoder.head_width(source.config)
    repeats = batch_size * heads
    return [
        MatMul(
            f"{_ATTENTION_PREFIX}{layer}",
            "Attention",
            _COMPUTED_IN,
            rows=length,
            inner=inner,
            columns=columns,
            repeats=repeats,
            has_weight=False,
        )
        for layer in range(source.layers)
        for keys in (length * 2 if layer == 0 and source.references else length,)
        for inner, columns in ((width, keys), (keys, width))
    ]
