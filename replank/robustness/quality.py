"""How well a masked LM knows the language of some texts: its perplexity on masked tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from replank.data.examples import Examples
from replank.data.training_examples import LabelledExamples
from replank.models.source import Source
from replank.robustness.result import MaskedLmFacts
from replank.runtime.model import Model
from replank.system.errors import DataError
from replank.tasks.kinds.learning import IGNORED
from replank.tasks.probabilities import log_sum_exp


def masked_lm_facts(source: Source, model: Model, texts: Sequence[str]) -> MaskedLmFacts:
    """The perplexity and the accuracy of a masked LM on texts, masked as for its training.

    :raises DataError: its logits are not finite, or none of the texts has a token to mask.
    """
    asked = LabelledExamples(model.task, model.text_encoder, Examples(texts, None, None))
    losses: list[float] = []
    found = 0
    size = model.task.kind.evaluation_batch
    for start in range(0, len(asked), size):
        rows = [asked[row] for row in range(start, min(start + size, len(asked)))]
        logits = model.predictor(model.text_encoder.pad([tokens for tokens, _ in rows]))
        for row, (_, target) in zip(logits, rows, strict=True):
            places = np.flatnonzero(target != IGNORED)
            masked, wanted = row[places].astype(np.float64), target[places]
            losses += (log_sum_exp(masked) - masked[np.arange(len(places)), wanted]).tolist()
            found += int((masked.argmax(axis=1) == wanted).sum())
    if not losses or not np.isfinite(losses).all():
        raise DataError(f"the masked LM {source.name} has no finite loss on these texts")
    # Beyond this no number means anything, and exp would overflow.
    perplexity = math.exp(min(float(np.mean(losses)), 100.0))
    return MaskedLmFacts(
        model=source.short_name, digest=source.digest, perplexity=perplexity, accuracy=found / len(losses)
    )
