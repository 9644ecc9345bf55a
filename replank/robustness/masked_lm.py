"""What a masked language model finds fitting in the place of each word of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replank.robustness.vocabulary import Vocabulary
from replank.runtime.model import Model
from replank.tasks.probabilities import log_sum_exp
from replank.text.tokens import Tokens
from replank.text.words import join_words

# Combinations of pieces that are ranked by their loss in context, as many as the released code ranks.
_MOST_COMBINATIONS = 24
# The released code looks at so many pieces of a word, and at so many predictions of each.
_RELEASED_PIECES, _RELEASED_PREDICTIONS = 12, 4


@dataclass(frozen=True)
class Predictions:
    """The predictions for a text as it stands, none of it masked, from one pass.

    :param words: those of the text.
    :param top: the likeliest pieces at each token, the likeliest first, shape ``(length, K)``.
    :param losses: their cross entropies, likewise.
    """

    words: tuple[str, ...]
    tokens: Tokens
    top: NDArray[np.int64]
    losses: NDArray[np.float32]


class MaskedLm:
    """A masked language model, and what it proposes in place of words.

    :param passes: texts that it has read.
    """

    def __init__(self, model: Model, candidates: int, *, ranks_in_context: bool) -> None:
        self.model = model
        self.vocabulary: Vocabulary = Vocabulary(model.text_encoder)
        self.passes: int = 0
        self._candidates, self._ranks_in_context = candidates, ranks_in_context

    def read(self, words: Sequence[str]) -> Predictions:
        """The predictions for a text, in one pass."""
        (tokens,) = self.model.text_encoder.tokenize([join_words(list(words))], words="given")
        (logits,) = self._logits([tokens])
        # A model may have rows for more pieces than its tokenizer has, so that their number divides well.
        logits = logits[:, : self.model.text_encoder.vocabulary_size]
        count = min(self._candidates, logits.shape[1])
        top = np.argpartition(-logits, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(logits, top, axis=1)
        # Of equal ones the first piece of the vocabulary, wherever the partition has put it.
        order = np.lexsort((top, -values), axis=1)
        losses = log_sum_exp(logits)[:, np.newaxis] - np.take_along_axis(values, order, axis=1)
        return Predictions(tuple(words), tokens, np.take_along_axis(top, order, axis=1), losses)

    def can_replace(self, predictions: Predictions, word: int) -> bool:
        """Whether it has seen a word whole, and knows its pieces."""
        return len(self.vocabulary.places(predictions.tokens, word)) > 0

    def candidates(self, predictions: Predictions, word: int) -> list[str]:
        """Words in place of one, the most fitting first.

        A word of one piece takes the K predictions of this place; one of several takes combinations of the K of each,
        at most 24 whatever K is.
        """
        places = self.vocabulary.places(predictions.tokens, word)
        is_first = word == 0
        if len(places) == 1:
            pieces = predictions.top[places[0]].tolist()
            found = [self.vocabulary.whole_word(piece, is_first=is_first) for piece in pieces]
            return [candidate for candidate in found if candidate is not None]
        if not self._ranks_in_context:
            return self._released_combinations(predictions, places)
        return self._combinations(predictions, places, word, is_first=is_first)

    def _combinations(self, predictions: Predictions, places: range, word: int, *, is_first: bool) -> list[str]:
        """Words of as many pieces, ranked by the mean loss of their pieces within the text."""
        likeliest = self._likeliest(predictions, places)
        spelled = (self.vocabulary.spelled(pieces, is_first=is_first) for pieces in likeliest)
        found = list(dict.fromkeys(candidate for candidate in spelled if candidate is not None))
        losses = self.losses_in_context(predictions.words, word, found)
        return [candidate for _, candidate in sorted(zip(losses, found, strict=True), key=lambda pair: pair[0])]

    def _likeliest(self, predictions: Predictions, places: range) -> list[list[int]]:
        """The combinations of least summed loss: a piece that begins a word, then pieces that continue it.

        The losses of the places do not depend on each other in one pass, so that the best of all combinations have
        begins among the best: no more than these are ever kept, however many pieces there are.
        """
        kept: list[tuple[float, list[int]]] = [(0.0, [])]
        for number, place in enumerate(places):
            allowed = [
                (float(loss), int(piece))
                for piece, loss in zip(predictions.top[place], predictions.losses[place], strict=True)
                if (number > 0) == self.vocabulary.continues(int(piece))
            ]
            longer = ((before + loss, [*pieces, piece]) for before, pieces in kept for loss, piece in allowed)
            kept = sorted(longer)[:_MOST_COMBINATIONS]
        return [pieces for _, pieces in kept]

    def losses_in_context(self, words: Sequence[str], word: int, candidates: Sequence[str]) -> list[float]:
        """The mean cross entropy of a word's pieces within the text, for each candidate in its place.

        The pieces are not masked, as in the paper: a piece that does not fit is not what the model expects there.
        """
        texts = [join_words([*words[:word], candidate, *words[word + 1 :]]) for candidate in candidates]
        losses: list[float] = []
        read = self.model.text_encoder.tokenize(texts, words="given")
        size = self.model.task.kind.evaluation_batch
        for start in range(0, len(read), size):
            batch = read[start : start + size]
            for tokens, logits in zip(batch, self._logits(batch), strict=True):
                losses.append(_mean_loss(logits, tokens.ids, self.vocabulary.places(tokens, word)))
        return losses

    def _released_combinations(self, predictions: Predictions, places: range) -> list[str]:
        """As the released code has them: the first products, ranked by their loss without the text around them."""
        top = [predictions.top[place, :_RELEASED_PREDICTIONS].tolist() for place in places[:_RELEASED_PIECES]]
        products = [list(pieces) for pieces in islice(product(*top), _MOST_COMBINATIONS)]
        if not products:
            return []
        read = [Tokens(pieces, [0] * len(pieces)) for pieces in products]
        losses = [
            _mean_loss(logits, tokens.ids, range(len(tokens)))
            for tokens, logits in zip(read, self._logits(read), strict=True)
        ]
        ranked = sorted(zip(losses, products, strict=True), key=lambda pair: pair[0])
        return [word for _, pieces in ranked if (word := self.model.text_encoder.decode(pieces).strip())]

    def _logits(self, read: Sequence[Tokens]) -> Iterator[NDArray[np.float32]]:
        """The logits of each text, shape ``(its tokens, vocabulary)``."""
        self.passes += len(read)
        batch: Any = self.model.predictor(self.model.text_encoder.pad(read))
        return (logits[: len(tokens)] for logits, tokens in zip(batch, read, strict=True))


def _mean_loss(logits: NDArray[np.float32], ids: Sequence[int], places: range) -> float:
    """The mean cross entropy of the tokens in some places; infinite where a candidate has none."""
    if not places:
        return float("inf")
    rows = logits[list(places)]
    found = rows[np.arange(len(places)), [ids[place] for place in places]]
    return float((log_sum_exp(rows) - found).mean())
