"""Sentence embedding: a graph that pools by itself, and gives one vector for each text."""

from __future__ import annotations

from replank.tasks.kinds.feature_extraction import FeatureExtraction


class SentenceEmbedding(FeatureExtraction):
    """A vector for each text, as Optimum exports models of sentence-transformers."""

    name = "sentence-embedding"
    output = "sentence_embedding"
    is_per_token = False
