"""Random encoders, the ranges of their activations, and inputs with padding everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from replank.integer.balance import balanced
from replank.integer.build import build
from replank.integer.encoder import IntegerEncoder
from replank.integer.families import family_of
from replank.integer.integers import Integers, Reals
from replank.integer.ranges import Ranges
from replank.models.encoders import encoder_of

FAMILIES: dict[str, dict[str, Any]] = {
    "bert": {},
    "roberta": {"max_position_embeddings": 66, "pad_token_id": 1},
    "electra": {"embedding_size": 16},
    "distilbert": {"dim": 32, "n_heads": 4, "n_layers": 4, "hidden_dim": 64},
    "xlm-roberta": {"max_position_embeddings": 66, "pad_token_id": 1},
}
"""Settings of a small model of each family that has a form in integers, see ``make_model``."""


def random_inputs(model: Any, rows: int, length: int, seed: int = 0) -> tuple[Integers, Integers]:
    """Ids and a mask with holes; the first token of each row is no padding."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(5, model.config.vocab_size, (rows, length))
    mask = (generator.random((rows, length)) < 0.7).astype(np.int64)
    mask[:, 0] = 1
    return ids, mask


def ranges_of(model: Any, ids: Integers, mask: Integers, *, per_channel: bool = True) -> Ranges:
    """The largest values of every activation on one batch."""
    config = model.config.to_dict()
    base, layers = model.base_model, encoder_of(config, "model").layers(config)
    found: dict[str, Reals] = {}
    modules = dict(base.named_modules())
    handles = []
    for point in family_of(config, "model").points(layers, projects=hasattr(base, "embeddings_project")):

        def see(_module: Any, inputs: Any, output: Any, point: Any = point) -> None:
            values = inputs[0] if point.side == "input" else output
            ends = np.abs(values.numpy()[mask != 0]).max(axis=0).astype(np.float64)
            found[point.activation] = balanced(ends) if per_channel and point.per_channel else ends.max()

        handles.append(modules[point.module].register_forward_hook(see))
    with torch.inference_mode():
        base(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
    for handle in handles:
        handle.remove()
    return Ranges(found)


def integer_encoder(model: Any, ranges: Ranges) -> IntegerEncoder:
    """The model's encoder in integers."""
    weights = {name: value.numpy() for name, value in model.base_model.state_dict().items()}
    return build(model.config.to_dict(), weights, ranges)
