"""Similarity of texts and of words: cosines of an encoder's vectors, or of word vectors in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from replank.robustness.proposals import Guard
from replank.runtime.model import Model
from replank.system.errors import DataError

_LONGEST_VECTOR = 4096


def text_similarities(model: Model, texts: Sequence[str], others: Sequence[str]) -> list[float]:
    """The cosine of each text and its counterpart, -1 to 1.

    :param model: gives vectors; a bare encoder's tokens are averaged.
    """
    if not texts:
        return []
    ours, theirs = (model.embed(part, normalize=True) for part in (texts, others))
    return [float(value) for value in (ours * theirs).sum(axis=1)]


def guard_by_model(model: Model, least: float) -> Guard:
    """Words are alike if the cosine of their vectors, each read alone, is at least so much."""

    def alike(word: str, candidates: Sequence[str]) -> list[bool]:
        similarities = text_similarities(model, [word] * len(candidates), candidates)
        return [value >= least for value in similarities]

    return alike


def guard_by_vectors(path: Path, least: float) -> Guard:
    """Likewise, by vectors in a file; a word that has none there passes, as in the released code.

    :raises DataError: the file is not one of word vectors.
    """
    vectors = _read_vectors(path)

    def alike(word: str, candidates: Sequence[str]) -> list[bool]:
        ours = vectors.get(word.casefold())
        if ours is None:
            return [True] * len(candidates)
        theirs = [vectors.get(candidate.casefold()) for candidate in candidates]
        return [other is None or float(ours @ other) >= least for other in theirs]

    return alike


def _read_vectors(path: Path) -> dict[str, NDArray[np.float32]]:
    """The vectors of a file at length 1: a line holds a word and its numbers, with spaces between."""
    vectors: dict[str, NDArray[np.float32]] = {}
    width = None
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                word, *values = line.split()
                if number == 1 and len(values) == 1:  # word2vec's files begin with two counts
                    continue
                vector = np.array(values, dtype=np.float32)
                width = width or len(vector)
                length = float(np.linalg.norm(vector))
                if len(vector) != width or not 0 < width <= _LONGEST_VECTOR or not np.isfinite(length):
                    raise ValueError
                vectors[word] = vector / (length or 1.0)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise DataError(
            f"{path}, line {number}: expected a word and {width or 'its'} numbers, with spaces between",
            hint="`word_vectors` takes text files such as GloVe's or counter-fitted-vectors.txt",
        ) from None
    if not vectors:
        raise DataError(f"{path} holds no word vectors")
    return vectors
