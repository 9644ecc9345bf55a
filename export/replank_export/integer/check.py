"""The check of a graph against the definition: the hidden state of every layer, integer for integer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from replank.integer.encoder import IntegerEncoder
from replank.integer.integers import Integers
from replank.runtime.session import open_session
from replank.system.errors import QualityGateError
from replank.system.progress import progress
from replank.text.padding import Batch


def require_equal(
    model: onnx.ModelProto, states: Sequence[str], encoder: IntegerEncoder, zero_point: int, batches: Sequence[Batch]
) -> int:
    """Run a graph and the definition on some batches, and require the same integers everywhere, padding included.

    :param states: the outputs of the graph that hold the hidden state before each layer and after the last.
    :param zero_point: of the graph's 8-bit activations.
    :returns: how many integers were compared.
    :raises QualityGateError: one differs.
    """
    session = open_session(model.SerializeToString())
    names = [node.name for node in session.get_inputs()]
    compared = 0
    with progress("compare integers", len(batches)) as advance:
        for batch in batches:
            inputs = batch.inputs()
            found = session.run(list(states), {name: inputs.get(name, _zeros(batch)) for name in names})
            for name, ours, theirs in zip(states, hidden_states(encoder, batch), found, strict=True):
                differing = int(np.count_nonzero(ours != theirs.astype(np.int64) - zero_point))
                if differing:
                    raise QualityGateError(f"{differing} of {ours.size} integers of {name} differ from the definition")
                compared += ours.size
            advance(1)
    return compared


def hidden_states(encoder: IntegerEncoder, batch: Batch) -> list[Integers]:
    """The hidden state before each layer and after the last, by the definition."""
    states = [encoder.embeddings(batch.input_ids, batch.token_type_ids)]
    for layer in encoder.layers:
        states.append(layer(states[-1], batch.attention_mask))
    return states


def _zeros(batch: Batch) -> Integers:
    return np.zeros_like(batch.input_ids)
