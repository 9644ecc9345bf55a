"""Retrieval: the training text that is a text's reference.

A text is never its own reference, nor is one with the same tokens. Labels are not used.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

NO_REFERENCE = -1
# Of word embeddings, that vectors are compared in: a table of them costs as many halves for each token id.
_DIRECTIONS = 64

Arrays = Mapping[str, NDArray[Any]]


class Retriever(ABC):
    """A rule by which references are found, and what it needs to know of them: arrays, which a file can keep.

    :param identities: of the references, see :func:`identity`.
    :cvar name: the rule's name.
    :cvar parts: the names of its arrays, in the order in which its constructor takes them.
    """

    name: ClassVar[str]
    parts: ClassVar[tuple[str, ...]] = ()

    def __init__(self, identities: NDArray[np.uint64], *parts: NDArray[Any]) -> None:
        self.arrays: Arrays = {"identities": identities} | dict(zip(self.parts, parts, strict=True))
        rows: dict[int, list[int]] = {}
        for row, key in enumerate(identities.tolist()):
            rows.setdefault(key, []).append(row)
        self._rows: Mapping[int, Sequence[int]] = rows

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The rule with the arrays that one of its kind had; others among them are passed over."""
        return cls(*(arrays[name] for name in ("identities", *cls.parts)))

    def __len__(self) -> int:
        return len(self.arrays["identities"])

    def nearest(self, texts: Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """The row of each text's reference; the first of several that are as near.

        :param texts: the token ids of each.
        :returns: shape ``(texts,)``; :data:`NO_REFERENCE` where every reference has the text's own tokens.
        """
        return np.array([self._choose(ids) for ids in texts], dtype=np.int64)

    def _choose(self, ids: Sequence[int]) -> int:
        similarity = self._similarity(ids)
        similarity[list(self._rows.get(identity(ids), ()))] = -np.inf
        chosen = int(similarity.argmax())
        return NO_REFERENCE if np.isneginf(similarity[chosen]) else chosen

    @abstractmethod
    def _similarity(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """How near each reference is, shape ``(references,)``; any finite numbers, larger where nearer."""


class KeywordRetriever(Retriever):
    """Shared keywords: the cosine of texts as sets of tokens, each weighted by its inverse document frequency.

    Rare tokens are keywords; one that is in every text counts for nothing. The bank then holds which tokens each
    reference has, and not their order.
    """

    name: ClassVar[str] = "keywords"
    parts: ClassVar[tuple[str, ...]] = ("keywords", "keyword_starts")

    def __init__(self, identities: NDArray[np.uint64], *parts: NDArray[Any]) -> None:
        super().__init__(identities, *parts)
        keywords, starts = parts
        owners = np.repeat(np.arange(len(identities)), np.diff(starts))
        frequency = np.bincount(keywords)
        squares = _rarity(frequency, len(identities))[keywords] ** 2
        norms = np.sqrt(np.bincount(owners, weights=squares, minlength=len(identities)))
        # By token: who has it, and what it adds to the cosine. The text's own norm would change no order.
        order = np.argsort(keywords, kind="stable")
        self._owners = owners[order]
        self._gains = (squares / np.maximum(norms, 1e-9)[owners])[order].astype(np.float32)
        self._ends = np.cumsum(frequency)

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]], special: Collection[int]) -> Self:
        """The rule for references.

        :param texts: their token ids.
        :param special: ids that are no word.
        """
        sets = [sorted(set(ids) - set(special)) for ids in texts]
        keywords = np.array([index for each in sets for index in each], dtype=np.int32)
        return cls(identities_of(texts), keywords, np.cumsum([0, *map(len, sets)]))

    def _similarity(self, ids: Sequence[int]) -> NDArray[np.float32]:
        found = np.zeros(len(self), dtype=np.float32)
        for token in sorted(set(ids)):
            if token < len(self._ends):
                span = slice(self._ends[token - 1] if token else 0, self._ends[token])
                found[self._owners[span]] += self._gains[span]
        return found


class VectorRetriever(Retriever):
    """Vectors: the cosine of the sums of word vectors, each weighted by its word's inverse document frequency.

    Word vectors are the predecessor's word embeddings, in the directions in which they differ most.
    """

    name: ClassVar[str] = "vectors"
    parts: ClassVar[tuple[str, ...]] = ("table", "vectors")

    def __init__(self, identities: NDArray[np.uint64], *parts: NDArray[Any]) -> None:
        super().__init__(identities, *parts)
        table, vectors = parts
        self._table, self._vectors = table, vectors.astype(np.float32)

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]], special: Collection[int], embeddings: NDArray[np.float32]) -> Self:
        """The rule for references.

        :param texts: their token ids.
        :param special: ids that are no word.
        :param embeddings: of words, shape ``(vocabulary, width)``.
        """
        frequency = np.zeros(len(embeddings), dtype=np.int64)
        for ids in texts:
            frequency[list(set(ids))] += 1
        centred = embeddings - embeddings.mean(axis=0)
        _, directions = np.linalg.eigh(centred.T @ centred)
        table = centred @ directions[:, -_DIRECTIONS:] * _rarity(frequency, len(texts))[:, None]
        table[sorted(special)] = 0
        halves = table.astype(np.float16)
        vectors = np.stack([_unit_sum(halves, ids) for ids in texts]).astype(np.float16)
        return cls(identities_of(texts), halves, vectors)

    def _similarity(self, ids: Sequence[int]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._vectors @ _unit_sum(self._table, ids)
        return found


RETRIEVERS: Mapping[str, type[Retriever]] = {rule.name: rule for rule in (KeywordRetriever, VectorRetriever)}
"""The rules that a bank can have, by name."""


def identity(ids: Sequence[int]) -> int:
    """A number that texts of the same tokens have in common, and others have not, but for a chance of 2⁻⁶⁴."""
    content = np.asarray(ids, dtype="<i8").tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def identities_of(texts: Sequence[Sequence[int]]) -> NDArray[np.uint64]:
    """Likewise of several texts, shape ``(texts,)``."""
    return np.array([identity(ids) for ids in texts], dtype=np.uint64)


def _rarity(frequency: NDArray[np.int64], texts: int) -> NDArray[np.float32]:
    """The inverse document frequency of each token."""
    return np.log((1 + texts) / (1 + frequency)).astype(np.float32)


def _unit_sum(table: NDArray[np.float16], ids: Sequence[int]) -> NDArray[np.float32]:
    found = table[list(ids)].astype(np.float32).sum(axis=0)
    unit: NDArray[np.float32] = found / max(float(np.linalg.norm(found)), 1e-9)
    return unit
