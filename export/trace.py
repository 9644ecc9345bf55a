"""torch to a raw ONNX graph: the only place of this package that imports torch."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from replank.errors import ModelError
from replank.source import Source
from replank.text import INPUT_NAMES
from replank.torch_model import load_torch_model

OUTPUT_NAME = "logits"
_TRACED_SHAPE = (2, 16)


@dataclass(frozen=True)
class Traced:
    """What the optimizer must be told of the graph; left to guess, it fuses nothing.

    :param heads: attention heads.
    :param hidden_size: width of the hidden states.
    """

    heads: int
    hidden_size: int


def trace(source: Source, path: Path, *, segments: bool, opset: int) -> Traced:
    """Write the model's graph with dynamic batch and length.

    The TorchScript exporter with eager attention is the one whose graph ONNX Runtime fuses completely.

    :param segments: whether the graph takes ``token_type_ids``.
    :raises ModelError: the exporter fails.
    """
    model = load_torch_model(source, attn_implementation="eager").eval()
    names = INPUT_NAMES if segments else INPUT_NAMES[:2]
    ids = torch.randint(
        10, min(1000, model.config.vocab_size), _TRACED_SHAPE, generator=torch.Generator().manual_seed(0)
    )
    inputs = (ids, torch.ones_like(ids), torch.zeros_like(ids))[: len(names)]
    axes = {name: {0: "batch_size", 1: "sequence_length"} for name in names} | {OUTPUT_NAME: {0: "batch_size"}}
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            # Deprecation, and the tracer's notes on Python values; the comparison afterwards is what counts.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Positional(model, names),
                inputs,
                str(path),
                input_names=list(names),
                output_names=[OUTPUT_NAME],
                dynamic_axes=axes,
                opset_version=opset,
                dynamo=False,
            )
    except Exception as error:  # the exporter raises whatever the failing operator does
        raise ModelError(f"torch cannot export {source.name} to ONNX: {error}") from error
    return Traced(heads=model.config.num_attention_heads, hidden_size=model.config.hidden_size)


class _Positional(nn.Module):
    """The model as the tracer wants it: positions in, one tensor out."""

    def __init__(self, model: Any, names: tuple[str, ...]) -> None:
        super().__init__()
        self._model, self._names = model, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self._model(**dict(zip(self._names, inputs, strict=True)), return_dict=False)[0]
        return output
