"""The influence of a batch on the answers in it: texts alone and together, one of them unlike any other."""

from __future__ import annotations

import numpy as np

from replank.runtime.model import Model
from replank.text.tokens import Tokens
from replank_export.verify.compare import answers

_TEXTS = 8
_LONGEST = 64


def batch_difference(model: Model, seed: int = 0) -> float:
    """The largest absolute difference of a logit of a text in a batch from that of the text alone.

    The texts are random tokens of several lengths, and one token over and over, whose activations are far from theirs.
    """
    generator = np.random.default_rng(seed)
    config = model.source.config
    longest = min(_LONGEST, model.source.position_limit)
    # Ids above the padding's, which RoBERTa derives positions from.
    first, last = int(config.get("pad_token_id") or 0) + 1, int(config["vocab_size"])
    texts = [generator.integers(first, last, generator.integers(1, longest + 1)) for _ in range(_TEXTS)]
    texts.append(np.full(longest, generator.integers(first, last)))
    tokens = [Tokens(text.tolist(), [0] * len(text)) for text in texts]
    together = answers(model, model.text_encoder.pad(tokens))
    alone = [answers(model, model.text_encoder.pad([text]))[0] for text in tokens]
    return max(float(np.abs(one - other).max()) for one, other in zip(together, alone, strict=True))
