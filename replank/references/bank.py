"""The reference bank: keys and values of training texts for a model's first layer, in a file beside its weights.

They are a predecessor's states, through the matrices that the successor learned for them: neither the predecessor nor
those matrices are needed any more. States hold their positions already, and get no others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from replank.models.safetensors_file import StoredTensor, stored_metadata, stored_tensors
from replank.models.training_facts import ReferenceFacts
from replank.models.weights import REFERENCES
from replank.references.retrieval import NO_REFERENCE, RETRIEVERS, Retriever
from replank.system.environment import machine
from replank.system.errors import ModelError, UsageError
from replank.text.padding import References
from replank.text.tokenizer_reading import TOKENIZER

BankPrecision = Literal["fp16", "int8"]

_TYPES = {"F16": "<f2", "F32": "<f4", "I8": "<i1", "I32": "<i4", "I64": "<i8", "U64": "<u8"}
# The entry of the file's metadata that holds what is not in arrays, as JSON.
_NOTED = "references"
_AGAIN = "copy the whole folder of the model again, from where it was made"


@dataclass(frozen=True)
class Rows:
    """Rows of numbers: in halves of the precision, or in integers with a scale for each row.

    :param numbers: shape ``(rows, width)``.
    :param scales: of integers, shape ``(rows,)``.
    """

    numbers: NDArray[np.float16] | NDArray[np.int8]
    scales: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, values: NDArray[np.float32], precision: BankPrecision) -> Rows:
        """Numbers rounded to a precision.

        :raises ModelError: a number is NaN or infinite in it.
        """
        if not (np.abs(values) <= np.finfo(np.float16).max).all():
            raise ModelError("keys or values of references are not finite numbers in half precision")
        if precision == "fp16":
            return cls(values.astype(np.float16))
        scales = (np.abs(values).max(axis=1) / 127).astype(np.float32)
        return cls(np.rint(values / np.maximum(scales, 1e-30)[:, None]).astype(np.int8), scales)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Its arrays by the names that they have in a file."""
        return {name: self.numbers} | ({} if self.scales is None else {f"{name}_scales": self.scales})

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Some of the rows, shape ``(rows, width)``."""
        found = self.numbers[rows].astype(np.float32)
        return found if self.scales is None else found * self.scales[rows][:, None]


@dataclass(frozen=True)
class ReferenceBank:
    """Keys and values of all references, one token after the other, and the rule by which one is found.

    :param keys: one row a token, of the width of the model's hidden states; ``values`` likewise.
    :param starts: where each reference begins, and the end; shape ``(references + 1,)``.
    """

    keys: Rows
    values: Rows
    starts: NDArray[np.int64]
    retriever: Retriever

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that a file keeps of it, by name."""
        return {
            **self.keys.arrays("keys"),
            **self.values.arrays("values"),
            "starts": self.starts,
            **self.retriever.arrays,
        }

    @cached_property
    def digest(self) -> str:
        """A sha256 over all of it."""
        content = hashlib.sha256(self.retriever.name.encode())
        for name, array in sorted(self.arrays.items()):
            content.update(f"{name} {array.dtype.str} {array.shape}".encode())
            content.update(np.ascontiguousarray(array).data)
        return content.hexdigest()

    def require_whole(self) -> None:
        """Refuse parts that do not fit each other.

        :raises ValueError: they do not.
        """
        tokens = int(self.starts[-1])
        sizes = {*self.keys.numbers.shape[:1], *self.values.numbers.shape[:1], tokens}
        sizes |= {len(part.scales) for part in (self.keys, self.values) if part.scales is not None}
        if sizes != {tokens} or (np.diff(self.starts) < 0).any() or len(self) != len(self.retriever):
            raise ValueError(f"parts of {sizes} tokens, {len(self)} and {len(self.retriever)} references")

    @property
    def facts(self) -> ReferenceFacts:
        """What a manifest says of it."""
        return ReferenceFacts(
            style="RefBERT-style",
            digest=self.digest,
            texts=len(self),
            tokens=int(self.starts[-1]),
            bytes=sum(array.nbytes for array in self.arrays.values()),
            precision="fp16" if self.keys.scales is None else "int8",
            retrieval=self.retriever.name,
        )

    def find(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> References:
        """The references of a batch of texts, wherever their padding is.

        :param ids: shape ``(batch, length)``; ``mask``, 1 for a token, likewise.
        """
        texts = [row[real].tolist() for row, real in zip(ids, mask.astype(bool), strict=True)]
        return self.batch(self.retriever.nearest(texts).tolist())

    def batch(self, rows: Sequence[int]) -> References:
        """Some references, padded together.

        :param rows: of the references; :data:`NO_REFERENCE` is one without a token.
        """
        spans = [slice(0, 0) if row == NO_REFERENCE else slice(self.starts[row], self.starts[row + 1]) for row in rows]
        # Graphs take no reference without a place for a token.
        longest = max(1, *(int(span.stop - span.start) for span in spans))
        keys, values = np.zeros((2, len(spans), longest, self.keys.numbers.shape[1]), dtype=np.float32)
        mask = np.zeros((len(spans), longest), dtype=np.int64)
        for row, span in enumerate(spans):
            size = int(span.stop - span.start)
            keys[row, :size], values[row, :size], mask[row, :size] = self.keys[span], self.values[span], 1
        return References(keys, values, mask)


def write_bank(folder: Path, bank: ReferenceBank) -> None:
    """Write a bank into a model's folder, whose ``tokenizer.json`` is there.

    :raises MissingExtraError: safetensors, which trainings have, is not installed.
    """
    from safetensors.numpy import save_file

    described = {"retrieval": bank.retriever.name, "tokenizer": _tokenizer_digest(folder), "digest": bank.digest}
    # In one entry: safetensors writes several in any order, and the same bank shall be the same file.
    noted = {_NOTED: json.dumps(described, sort_keys=True)}
    arrays = {name: np.ascontiguousarray(array) for name, array in bank.arrays.items()}
    save_file(arrays, folder / REFERENCES, noted)


def read_bank(folder: Path, expected: str, width: int) -> ReferenceBank:
    """The bank in a model's folder, which stays in its file: rows are read as they are asked for.

    :param expected: the digest of the bank that the model was trained with.
    :param width: of its hidden states.
    :raises ModelError: the file is damaged, or of another model or tokenizer.
    :raises UsageError: it does not fit into half of the machine's memory.
    """
    path = folder / REFERENCES
    require_memory(path.stat().st_size)
    noted, tensors = stored_metadata(path), stored_tensors(path)
    try:
        described = json.loads(noted[_NOTED])
        arrays = {name: _mapped(path, tensor) for name, tensor in tensors.items()}
        retriever = RETRIEVERS[described["retrieval"]].from_arrays(arrays)
        keys, values = (Rows(arrays[name], arrays.get(f"{name}_scales")) for name in ("keys", "values"))
        bank = ReferenceBank(keys, values, arrays["starts"], retriever)
        bank.require_whole()
    except (KeyError, ValueError, IndexError, TypeError):
        raise ModelError(f"{path} holds no reference bank that can be read", hint=_AGAIN) from None
    if bank.digest != described.get("digest"):
        raise ModelError(f"{path} is damaged: its content does not have the digest that it notes", hint=_AGAIN)
    if bank.digest != expected or bank.keys.numbers.shape[1] != width:
        raise ModelError(f"{path} is the reference bank of another model than the one beside it", hint=_AGAIN)
    if described.get("tokenizer") != _tokenizer_digest(folder):
        raise ModelError(f"{path} is the reference bank of another tokenizer than the one beside it", hint=_AGAIN)
    return bank


def require_memory(needed: int) -> None:
    """Refuse a bank that would not fit into half of the machine's memory.

    :param needed: bytes.
    :raises UsageError: it would not.
    """
    available = memory_bytes() / 2
    if needed > available > 0:
        raise UsageError(
            f"the reference bank has {needed / 2**30:.1f} GiB; expected at most half of the memory, "
            f"{available / 2**30:.1f} GiB",
            hint="keep fewer texts (`references`), or fewer tokens of each (`reference_tokens`)",
        )


def memory_bytes() -> float:
    """The machine's memory; 0 where it does not tell."""
    return machine().memory_gib * 2**30


def _tokenizer_digest(folder: Path) -> str:
    return hashlib.sha256((folder / TOKENIZER).read_bytes()).hexdigest()


def _mapped(path: Path, tensor: StoredTensor) -> NDArray[Any]:
    if tensor.bytes == 0:  # of which no map can be made
        return np.zeros(tensor.shape, _TYPES[tensor.dtype])
    return np.memmap(path, _TYPES[tensor.dtype], "r", tensor.begin, tensor.shape)
