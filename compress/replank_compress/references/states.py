"""States of references: those that a predecessor gives training texts, computed once and kept with the checkpoints.

They are its embeddings, which become keys, and its last hidden states, which become values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from replank.references.bank import require_memory
from replank.references.retrieval import NO_REFERENCE
from replank.system.errors import DataError, ModelError
from replank.system.progress import progress
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens
from replank_compress.layers import encoder_of_model
from replank_compress.training.answers import ROWS_AT_ONCE, answers_key
from replank_compress.training.kept_arrays import KeptArrays

# Keys and values, in halves of the precision.
_BYTES_PER_NUMBER = 2 * 2


@dataclass(frozen=True)
class States(KeptArrays):
    """The states of all references, one token after the other.

    :param embeddings: the predecessor's, shape ``(tokens, width)``.
    :param hidden: its last hidden states, of the same shape.
    :param starts: where each reference begins, and the end; shape ``(references + 1,)``.
    """

    what: ClassVar[str] = "states of references"
    others: ClassVar[str] = "states of another predecessor, tokenizer or training split"
    embeddings: NDArray[np.float16]
    hidden: NDArray[np.float16]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def width(self) -> int:
        """Width of the states."""
        return int(self.embeddings.shape[1])

    def batch(self, rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The references of a batch, padded.

        :param rows: one for each text; :data:`NO_REFERENCE` is one without a token.
        :returns: embeddings and hidden states, each of shape ``(batch, longest, width)``, and the mask, 1 for real
            tokens, of shape ``(batch, longest)``; the longest has one token at least.
        """
        spans = [(0, 0) if row == NO_REFERENCE else (self.starts[row], self.starts[row + 1]) for row in rows]
        longest = max(1, *(end - start for start, end in spans))
        states = np.zeros((2, len(spans), longest, self.width), dtype=np.float32)
        mask = np.zeros((len(spans), longest), dtype=np.int64)
        for row, (start, end) in enumerate(spans):
            states[0, row, : end - start] = self.embeddings[start:end]
            states[1, row, : end - start] = self.hidden[start:end]
            mask[row, : end - start] = 1
        return torch.from_numpy(states[0]), torch.from_numpy(states[1]), torch.from_numpy(mask)


def compute_states(predecessor: Any, tokens: Sequence[Tokens], text_encoder: TextEncoder, limit: int) -> States:
    """A predecessor's states of training texts.

    :param predecessor: a ``PreTrainedModel``; its mode is evaluation afterwards.
    :param tokens: of the training split; of no other.
    :param limit: tokens that are kept of each text.
    :raises DataError: there is no text.
    :raises UsageError: they would not fit into half of the machine's memory.
    :raises ModelError: a state is NaN or infinite, in half precision.
    """
    if not tokens:
        raise DataError("there is no training text to be a reference")
    width = encoder_of_model(predecessor).hidden_size(predecessor.config.to_dict())
    require_memory(sum(min(limit, len(each)) for each in tokens) * width * _BYTES_PER_NUMBER)
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
    none = np.empty((0, width), dtype=np.float16)
    found = [(none, none)] * len(tokens)
    predecessor.eval()
    with torch.no_grad(), progress("states of references", len(tokens)) as advance:
        for begin in range(0, len(order), ROWS_AT_ONCE):
            rows = order[begin : begin + ROWS_AT_ONCE]
            inputs = text_encoder.pad([tokens[row] for row in rows]).inputs()
            batch = {name: torch.from_numpy(value).to(predecessor.device) for name, value in inputs.items()}
            given = predecessor.base_model(**batch, output_hidden_states=True).hidden_states
            for place, row in enumerate(rows):
                kept = min(limit, len(tokens[row]))
                first, last = (given[index][place, :kept].float().cpu().numpy() for index in (0, -1))
                found[row] = first.astype(np.float16), last.astype(np.float16)
            advance(len(rows))
    lengths = [len(first) for first, _ in found]
    states = States(
        np.concatenate([first for first, _ in found]),
        np.concatenate([last for _, last in found]),
        np.cumsum([0, *lengths]),
    )
    if not (np.isfinite(states.embeddings).all() and np.isfinite(states.hidden).all()):
        raise ModelError("the predecessor's states are not finite numbers in half precision")
    return states


def states_key(digest: str, tokens: Sequence[Tokens], limit: int) -> str:
    """The identity of what states are made of: the predecessor, the tokens of every text, and how many are kept.

    :param digest: of the predecessor's weights.
    """
    return f"{answers_key(digest, tokens)}-{limit}"
