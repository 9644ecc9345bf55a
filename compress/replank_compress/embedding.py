"""Texts that an embedding model's successor learns from: any, for its predecessor's vectors are all that it learns."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import cycle

import numpy as np

from replank.data.examples import Dataset, Examples
from replank.models.source import Source
from replank.runtime.likeness import MOST_TEXTS, with_vectors
from replank.runtime.load import load_model
from replank.system.errors import DataError

_log = logging.getLogger(__name__)

# The part of the training split that chooses the checkpoint where no other texts are given.
_DEV_PART = 20
_LEAST_TEXTS = 40


def texts_to_learn(source: Source, data: Dataset) -> tuple[Dataset, Dataset]:
    """The texts of a data set, of all columns, each once, as a task of likeness to the predecessor's vectors.

    Those of dev choose the checkpoint; where there are none, a twentieth of the training split, which is then not
    learned from.

    :param source: the predecessor.
    :returns: what is learned: ``train``, without labels, and ``dev``, whose labels are the predecessor's vectors, both
        with the model's prompts before the texts; and, for who adds prompts, the same dev without them.
    :raises DataError: there are too few texts.
    """
    texts = data.split("train").texts()
    if len(texts) < _LEAST_TEXTS:
        raise DataError(
            f"{len(texts)} different texts to learn from; expected {_LEAST_TEXTS} or more",
            hint="any texts of the kind that the model is used on will do, without labels",
        )
    others = data.splits["dev"].texts() if "dev" in data.splits else None
    if others is None:
        _log.info("no dev split: a twentieth of the texts of train are held back to choose the checkpoint by")
    pool, count = (texts, len(texts) // _DEV_PART) if others is None else (others, len(others))
    chosen = np.sort(np.random.default_rng(0).permutation(len(pool))[: min(count, MOST_TEXTS)])
    held_back = [pool[row] for row in chosen]
    known = set(held_back)
    likeness = with_vectors(data, load_model(source, device="auto"), held_back)
    train = _with_prompts(source, [text for text in texts if text not in known])
    prompt = source.task.vector_settings.prompt(None)
    dev = replace(likeness.split("dev"), first=[prompt + text for text in held_back])
    return Dataset(likeness.task, {"train": Examples(train, None, None), "dev": dev}), likeness


def _with_prompts(source: Source, texts: list[str]) -> list[str]:
    """The texts as the model will read them: behind its default prompt or, without one, each of them in turn."""
    settings = source.task.vector_settings
    if settings.default_prompt is not None:
        return [settings.prompt(None) + text for text in texts]
    prompts = dict.fromkeys(settings.prompts.values()) or {"": None}
    return [prompt + text for prompt, text in zip(cycle(prompts), texts)]
