"""The reference bank: a predecessor's states of training texts, computed once and kept in a file.

Stored are its embeddings, which become keys, and its last hidden states, which become values; they hold their positions
already, and get no others. The file holds no parameter of the predecessor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from replank.system.environment import machine
from replank.system.errors import DataError, ModelError, UsageError
from replank.system.files import replace_file
from replank.system.progress import progress
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens
from replank_compress.references.retrieval import NO_REFERENCE
from replank_compress.training.answers import ROWS_AT_ONCE, answers_key

_KEY, _DIGEST = "made_of", "sha256"
# Keys and values, in halves of the precision.
_BYTES_PER_NUMBER = 2 * 2


@dataclass(frozen=True)
class ReferenceBank:
    """The states of all references, one token after the other.

    :param embeddings: the predecessor's, shape ``(tokens, width)``.
    :param hidden: its last hidden states, of the same shape.
    :param starts: where each reference begins, and the end; shape ``(references + 1,)``.
    """

    embeddings: NDArray[np.float16]
    hidden: NDArray[np.float16]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def bytes(self) -> int:
        """Size in the file and in memory."""
        return self.embeddings.nbytes + self.hidden.nbytes + self.starts.nbytes

    @property
    def width(self) -> int:
        """Width of the states."""
        return int(self.embeddings.shape[1])

    @property
    def digest(self) -> str:
        """A sha256 over all of it."""
        parts = (self.embeddings, self.hidden, self.starts)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

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

    def zeroed(self) -> ReferenceBank:
        """A control: as many states, all of them 0."""
        return ReferenceBank(np.zeros_like(self.embeddings), np.zeros_like(self.hidden), self.starts)


def build_bank(predecessor: Any, tokens: Sequence[Tokens], text_encoder: TextEncoder, limit: int) -> ReferenceBank:
    """A predecessor's states of training texts.

    :param predecessor: a ``PreTrainedModel``; its mode is evaluation afterwards.
    :param tokens: of the training split; of no other.
    :param limit: tokens that are kept of each text.
    :raises DataError: there is no text.
    :raises UsageError: the bank would not fit into half of the machine's memory.
    :raises ModelError: a state is NaN or infinite, in half precision.
    """
    if not tokens:
        raise DataError("there is no training text to be a reference")
    width = int(predecessor.get_input_embeddings().weight.shape[1])
    _require_memory(sum(min(limit, len(each)) for each in tokens) * width * _BYTES_PER_NUMBER)
    order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
    found: list[tuple[NDArray[np.float16], NDArray[np.float16]]] = [(np.empty(0), np.empty(0))] * len(tokens)  # type: ignore[list-item]
    predecessor.eval()
    with torch.no_grad(), progress("states of references", len(tokens)) as advance:
        for begin in range(0, len(order), ROWS_AT_ONCE):
            rows = order[begin : begin + ROWS_AT_ONCE]
            inputs = text_encoder.pad([tokens[row] for row in rows]).inputs()
            batch = {name: torch.from_numpy(value).to(predecessor.device) for name, value in inputs.items()}
            states = predecessor.base_model(**batch, output_hidden_states=True).hidden_states
            for place, row in enumerate(rows):
                kept = min(limit, len(tokens[row]))
                first, last = (
                    states[index][place, :kept].float().cpu().numpy().astype(np.float16) for index in (0, -1)
                )
                found[row] = first, last
            advance(len(rows))
    lengths = [len(first) for first, _ in found]
    bank = ReferenceBank(
        np.concatenate([first for first, _ in found]),
        np.concatenate([last for _, last in found]),
        np.cumsum([0, *lengths]),
    )
    if not (np.isfinite(bank.embeddings).all() and np.isfinite(bank.hidden).all()):
        raise ModelError("the predecessor's states are not finite numbers in half precision")
    return bank


def bank_key(digest: str, tokens: Sequence[Tokens], limit: int) -> str:
    """The identity of what a bank is made of: the predecessor, the tokens of every text, and how many are kept.

    :param digest: of the predecessor's weights.
    """
    return f"{answers_key(digest, tokens)}-{limit}"


def save_bank(bank: ReferenceBank, path: Path, key: str) -> None:
    """Write a bank into a file.

    :param key: of :func:`bank_key`.
    """
    parts: dict[str, NDArray[Any]] = {"embeddings": bank.embeddings, "hidden": bank.hidden, "starts": bank.starts}
    replace_file(path, save(parts, {_KEY: key, _DIGEST: bank.digest}))


def read_bank(path: Path, key: str) -> ReferenceBank:
    """The bank in a file.

    :param key: of the bank that is expected.
    :raises ModelError: it is of another predecessor, tokenizer or training split, or is damaged.
    :raises UsageError: it does not fit into half of the machine's memory.
    """
    if path.is_file():
        _require_memory(path.stat().st_size)
    hint = f"delete {path}, and it is computed again"
    try:
        with safe_open(path, framework="numpy") as file:
            noted = file.metadata() or {}
            bank = ReferenceBank(*(file.get_tensor(name) for name in ("embeddings", "hidden", "starts")))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} holds no reference bank that can be read: {error}", hint=hint) from None
    if noted.get(_KEY) != key:
        raise ModelError(f"{path} is the bank of another predecessor, tokenizer or training split", hint=hint)
    if noted.get(_DIGEST) != bank.digest:
        raise ModelError(f"{path} is damaged: its states do not have the digest that it notes", hint=hint)
    return bank


def _require_memory(needed: int) -> None:
    available = machine().memory_gib * 2**30
    if needed > available / 2:
        raise UsageError(
            f"the reference bank has {needed / 2**30:.1f} GiB; expected at most half of the memory, "
            f"{available / 2**31:.1f} GiB",
            hint="keep fewer tokens of each text, or fewer texts",
        )
