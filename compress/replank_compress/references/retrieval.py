"""Retrieval: the training text that is a text's reference.

A text is never its own reference, nor is one with the same tokens. Labels are not used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from replank.text.tokens import Tokens

# Texts that are compared with all references at once: memory for so many rows of similarities.
_AT_ONCE = 256
NO_REFERENCE = -1


class Retriever(ABC):
    """A rule by which references are found.

    :param references: the texts to choose from, those of the training split.
    :cvar name: the rule's name.
    """

    name: ClassVar[str]

    def __init__(self, references: Sequence[Tokens]) -> None:
        self._keys = [tuple(tokens.ids) for tokens in references]
        rows: dict[tuple[int, ...], list[int]] = {}
        for row, key in enumerate(self._keys):
            rows.setdefault(key, []).append(row)
        self._rows: Mapping[tuple[int, ...], Sequence[int]] = rows

    def nearest(self, texts: Sequence[Tokens]) -> NDArray[np.int64]:
        """The row of each text's reference; the first of several that are as near.

        :returns: shape ``(texts,)``; :data:`NO_REFERENCE` where every reference has the text's own tokens.
        """
        found = [self._choose(texts[at : at + _AT_ONCE]) for at in range(0, len(texts), _AT_ONCE)]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    def _choose(self, texts: Sequence[Tokens]) -> NDArray[np.int64]:
        similarity = self._similarity(texts)
        for row, tokens in enumerate(texts):
            similarity[row, list(self._rows.get(tuple(tokens.ids), ()))] = -np.inf
        chosen = similarity.argmax(axis=1)
        return np.where(np.isneginf(similarity[np.arange(len(texts)), chosen]), NO_REFERENCE, chosen)

    @abstractmethod
    def _similarity(self, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        """How near each reference is, shape ``(texts, references)``; any finite numbers, larger where nearer."""


class KeywordRetriever(Retriever):
    """Shared keywords: the cosine of texts as sets of tokens, each weighted by its inverse document frequency.

    Rare tokens are keywords; one that is in every text counts for nothing.

    :param vocabulary: token ids; those beyond are no keywords.
    :param special: ids that are no word.
    """

    name: ClassVar[str] = "keywords"

    def __init__(self, references: Sequence[Tokens], vocabulary: int, special: Collection[int]) -> None:
        super().__init__(references)
        self._vocabulary, self._special = vocabulary, frozenset(special)
        counts = self._sets(references)
        frequency = np.asarray(counts.sum(axis=0)).ravel()
        self._weights = np.log((1 + len(references)) / (1 + frequency)).astype(np.float32)
        self._references = self._unit(counts).T.tocsr()

    def _similarity(self, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = (self._unit(self._sets(texts)) @ self._references).toarray()
        return found

    def _sets(self, texts: Sequence[Tokens]) -> sparse.csr_matrix:
        """Which tokens each text has, shape ``(texts, vocabulary)``."""
        sets = [sorted({index for index in tokens.ids if index < self._vocabulary} - self._special) for tokens in texts]
        starts = np.cumsum([0, *map(len, sets)])
        columns = np.array([index for each in sets for index in each], dtype=np.int64)
        values = np.ones(len(columns), dtype=np.float32)
        return sparse.csr_matrix((values, columns, starts), shape=(len(texts), self._vocabulary))

    def _unit(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        weighted = counts.multiply(self._weights[None]).tocsr()
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        return sparse.diags(1 / np.maximum(norms, 1e-9)).astype(np.float32) @ weighted


class VectorRetriever(Retriever):
    """Vectors: the cosine of the means of a table's rows, such as the student's own word embeddings.

    :param table: shape ``(vocabulary, width)``.
    """

    name: ClassVar[str] = "vectors"

    def __init__(self, references: Sequence[Tokens], table: NDArray[np.float32]) -> None:
        super().__init__(references)
        self._table = table
        self._references = self._unit(references)

    def _similarity(self, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        # One by one: a product of matrices rounds otherwise in another batch, and a text would have two references.
        return np.stack([self._references @ vector for vector in self._unit(texts)])

    def _unit(self, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        means = np.stack([self._table[tokens.ids].mean(axis=0) for tokens in texts])
        unit: NDArray[np.float32] = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        return unit


class RandomRetriever(Retriever):
    """A control: any other text, by a seed and the text's own tokens."""

    name: ClassVar[str] = "random"

    def __init__(self, references: Sequence[Tokens], seed: int) -> None:
        super().__init__(references)
        self._seed = seed

    def _similarity(self, texts: Sequence[Tokens]) -> NDArray[np.float32]:
        drawn = [np.random.default_rng([self._seed, *tokens.ids]).random(len(self._keys)) for tokens in texts]
        return np.stack(drawn).astype(np.float32)
