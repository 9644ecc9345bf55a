"""The models of an attack that are not under it: what proposes words, and what compares them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from replank.models.source import Source
from replank.robustness.config import AttackConfig
from replank.robustness.masked_lm import MaskedLm
from replank.robustness.proposals import Guard
from replank.robustness.similarity import guard_by_model, guard_by_vectors
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.provider_choice import Auto
from replank.runtime.providers import Device
from replank.runtime.torch_model import require_head
from replank.system.errors import ModelError, UsageError


@dataclass(frozen=True, kw_only=True)
class Attackers:
    """The models of an attack that are not under it.

    :param masked_lm: proposes replacements.
    :param similarity: gives vectors, by which texts are compared; ``None`` leaves that out.
    """

    masked_lm: Source
    similarity: Source | None = None


def require_masked_lm(source: Source) -> None:
    """Refuse a model that proposes no words.

    :raises ModelError: it is no masked language model.
    """
    if not source.task.kind.is_over_vocabulary:
        raise ModelError(
            f"`masked_lm` is {source.name}, a model of kind {source.task.kind}; expected a masked language model",
            hint="such as bert-base-uncased; or make one of an encoder: replank finetune ENCODER OUT --task masked-lm",
        )
    require_head(source)


def load_attackers(attackers: Attackers, config: AttackConfig) -> tuple[MaskedLm, Model | None]:
    """Both, loaded."""
    source = attackers.masked_lm
    # It reads as much of a text as it can, whatever length it was trained at.
    task = replace(source.task, max_length=source.position_limit)
    model = load_model(source, task=task, device=_own_device(source))
    masked_lm = MaskedLm(model, config.candidates, ranks_in_context=config.rules.ranks_in_context)
    similarity = attackers.similarity
    if similarity is None:
        return masked_lm, None
    # Of a model with another head, its encoder.
    of_encoder = similarity.task if similarity.task.kind.route == "/embed" else similarity.encoder_task
    return masked_lm, load_model(similarity, task=of_encoder, device=_own_device(similarity))


def _own_device(source: Source) -> Device | Auto:
    """For torch a GPU if there is one; ONNX models are not measured for this."""
    return "auto" if source.kind == "torch" else "cpu"


def guard_of(config: AttackConfig, similarity: Model | None) -> Guard | None:
    """What keeps replacements near to the words they replace, if that is asked for.

    :raises UsageError: it is, and nothing gives vectors of words.
    """
    if config.min_word_similarity is None:
        return None
    if config.word_vectors is not None:
        return guard_by_vectors(config.word_vectors, config.min_word_similarity)
    if similarity is None:
        raise UsageError(
            "`min_word_similarity` needs vectors of words", hint="give `word_vectors=FILE`, or `similarity_model`"
        )
    return guard_by_model(similarity, config.min_word_similarity)
