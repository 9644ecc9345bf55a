"""Masks in a text, and the tokens that a masked language model finds behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from replank.runtime.predictors import Logits
from replank.system.errors import UsageError
from replank.tasks.answers import Filling
from replank.tasks.probabilities import require_finite, softmax
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens


def mask_places(encoder: TextEncoder, tokens: Tokens) -> list[int]:
    """The positions of masks among the tokens of a text.

    :raises ModelError: the tokenizer has no mask.
    """
    mask = encoder.mask_id
    return [place for place, token in enumerate(tokens.ids) if token == mask]


def require_masks(encoder: TextEncoder, read: Sequence[Tokens]) -> None:
    """Refuse texts in which nothing is asked.

    :raises UsageError: one has no mask among the tokens that the model reads.
    """
    for number, tokens in enumerate(read):
        if not mask_places(encoder, tokens):
            where = f"text {number + 1}" if len(read) > 1 else "the text"
            within = f" within {encoder.max_length} tokens, the most that the model reads" * tokens.is_truncated
            raise UsageError(
                f"{where} has no mask{within}", hint=f"{encoder.token(encoder.mask_id)} stands where a token is asked"
            )


def fill_masks(encoder: TextEncoder, tokens: Tokens, logits: Logits, top: int) -> list[list[Filling]]:
    """The likeliest tokens at each mask of one text, each as if it were the only one.

    :param logits: at the masks, shape ``(masks, vocabulary)``.
    :raises ModelError: a logit is NaN or infinite.
    """
    require_finite(logits)
    places = mask_places(encoder, tokens)
    # A model may have rows for more tokens than its tokenizer has, so that their number divides well.
    known = min(encoder.vocabulary_size, logits.shape[1])
    likeliest = np.argsort(-logits[:, :known], axis=1, kind="stable")[:, :top]
    return [
        [
            Filling(
                token,
                encoder.decode([token]),
                float(row[token]),
                # Other masks are special tokens themselves.
                encoder.decode([*tokens.ids[:place], token, *tokens.ids[place + 1 :]], skip_special=len(places) == 1),
            )
            for token in best.tolist()
        ]
        for place, best, row in zip(places, likeliest, softmax(logits), strict=True)
    ]
