"""Copies of training rows with some other words: texts near those of the task, which nobody labelled.

A fine-tuned predecessor has learned its training rows by heart, and its answers on them say little more than their
labels; on texts that it has not seen they tell how it judges. Students that learn from altered texts too: Jiao et al.,
"TinyBERT", 2020, with words that a masked language model finds fitting; here any word of the texts may stand in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from replank.data.examples import Examples

# Words, and what is between them.
_PARTS = re.compile(r"\S+|\s+")


def perturbed_copies(examples: Examples, fraction: float) -> Examples:
    """A copy of each row, without its label, in which words are others of the rows, as often as they occur there.

    They depend on the rows alone, so that runs of other seeds share the answers on them.

    :param fraction: of the words that are others in the mean, 0 to 1.
    """
    random = np.random.default_rng(0)

    def copied(texts: Sequence[str]) -> list[str]:
        rows = [_PARTS.findall(text) for text in texts]
        words = [part for row in rows for part in row if not part.isspace()]
        is_other = random.random(len(words)) < fraction
        drawn = random.integers(0, max(1, len(words)), len(words))
        others = (words[at] for at in np.where(is_other, drawn, np.arange(len(words))))
        return ["".join(part if part.isspace() else next(others) for part in row) for row in rows]

    return Examples(copied(examples.first), None if examples.second is None else copied(examples.second), None)
