"""An attack on several models: the same texts in the same order, the same proposals, and what transfers."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.models.provenance import config_json
from replank.models.source import Source, require_length
from replank.robustness.attackers import Attackers, guard_of, load_attackers, require_masked_lm
from replank.robustness.config import AttackConfig
from replank.robustness.journal import Journal
from replank.robustness.proposals import Proposals
from replank.robustness.quality import masked_lm_facts
from replank.robustness.result import AttackResult, VictimResult
from replank.robustness.similarity import text_similarities
from replank.robustness.texts import AttackedText
from replank.robustness.victim import Texts, asker, attack_texts, words_of
from replank.runtime.evaluate import require_same_task
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.provider_choice import Auto
from replank.runtime.providers import Device
from replank.runtime.torch_model import require_head
from replank.system.environment import machine, versions
from replank.system.errors import DataError, FieldError, ModelError, ReplankError, UsageError
from replank.system.json_files import write_json
from replank.system.locks import exclusive
from replank.system.progress import progress
from replank.tasks.metrics import require_labels

_log = logging.getLogger(__name__)


def attack(
    victims: Sequence[Source],
    attackers: Attackers,
    config: AttackConfig,
    data: DataConfig,
    *,
    out: Path,
    split: str | None = None,
    device: Device | Auto = "cpu",
    threads: int | None = None,
    force: bool = False,
) -> AttackResult:
    """Attack classifiers with the same texts, and write the result.

    :param split: the held-out one where ``None``.
    :param out: the file of the result, JSON. While texts are attacked, those that are done stand in a file beside it.
    :param device: of the victims.
    :param force: replace a file that lies there.
    :raises ModelError: a victim is no classifier of whole texts, or the masked LM is none.
    :raises DataError: the data is not of the victims' task, or the split has no labels.
    :raises UsageError: ``out`` exists.
    """
    started = time.monotonic()
    _require_place(out, force=force)
    for victim in victims:
        require_attackable(victim)
        require_length(victim, data.max_length)
    require_masked_lm(attackers.masked_lm)
    datasets = [data.load(victim.task) for victim in victims]
    for victim, dataset in zip(victims, datasets, strict=True):
        require_same_task(victim.name, victim.task, dataset)
    split = split or datasets[0].held_out
    texts = [_texts(dataset, split, config) for dataset in datasets]
    masked_lm, similarity = load_attackers(attackers, config)
    guard = guard_of(config, similarity)

    # The texts are the same for all victims, and so is what is proposed for them.
    @cache
    def proposals(place: int) -> Proposals:
        return Proposals(words_of(texts[0].changed[place], config), masked_lm, config, guard)

    with exclusive(out):
        mark = fingerprint(attackers.masked_lm, attackers.similarity, config, datasets[0], split, device)
        journal = Journal(out, mark, force=force)
        quality = masked_lm_facts(attackers.masked_lm, masked_lm.model, texts[0].changed)
        for caution in quality.cautions:
            _log.warning("%s", caution)
        models = [
            load_model(victim, task=dataset.task, device=device, threads=threads)
            for victim, dataset in zip(victims, datasets, strict=True)
        ]
        found = [
            _attack_model(model, part, proposals, config, journal, similarity)
            for model, part in zip(models, texts, strict=True)
        ]
        result = AttackResult(
            task=datasets[0].task,
            split=split,
            data=datasets[0].split(split).digest,
            config=config_json(config),
            masked_lm=quality,
            similarity_model=attackers.similarity.short_name if attackers.similarity else None,
            victims=tuple(found),
            transfer=tuple(_transfer(one.texts, models, texts) for one in found),
            seconds=round(time.monotonic() - started, 2),
            machine=machine(),
            versions=versions(),
        )
        try:
            write_json(out, result.to_json())
        except OSError as error:
            raise ReplankError(f"cannot write {out}: {error.strerror}", hint="choose another `out`") from error
        journal.delete()
    return result


def require_attackable(victim: Source) -> None:
    """Refuse a model that has no one label of a whole text to change.

    :raises ModelError: it measures, labels words, gives several labels, guesses tokens, or is a bare encoder.
    """
    kind = victim.task.kind
    if not (kind.has_labels and kind.has_label_names) or kind.is_per_token or kind.is_multi_label:
        raise ModelError(
            f"{victim.name} answers with {kind.describe(victim.task.labels)} ({kind}); "
            "an attack changes the one label of a whole text",
            hint="attack a classifier, such as replank finetune and replank compress make",
        )
    require_head(victim)


def _require_place(out: Path, *, force: bool) -> None:
    """Refuse a place where the result cannot be written, before hours of work."""
    if out.is_dir():
        raise UsageError(f"{out} is a folder; expected a file", hint=f"for example: {out / 'attack.json'}")
    if not out.parent.is_dir():
        raise UsageError(f"cannot write {out}: there is no folder {out.parent}")
    if out.exists() and not force:
        raise UsageError(f"{out} exists", hint="choose another `out`, or replace it with `force=True`")


def _texts(dataset: Dataset, split: str, config: AttackConfig) -> Texts:
    """The texts under attack: drawn by the seed, so that fewer of them are the first of more."""
    examples = dataset.split(split)
    labels = require_labels(examples.labels)
    if config.attack == "text-pair" and examples.second is None:
        raise FieldError("attack", config.attack, "text, for the task is of single texts")
    if not len(examples):
        raise DataError(f"the split {split} holds no texts")
    drawn = np.random.default_rng(config.seed).permutation(len(examples))[: config.rows]
    return Texts(
        drawn.tolist(),
        [examples.first[row] for row in drawn],
        None if examples.second is None else [examples.second[row] for row in drawn],
        np.asarray(labels)[drawn],
        config.attack,
    )


def fingerprint(
    masked_lm: Source,
    similarity: Source | None,
    config: AttackConfig,
    dataset: Dataset,
    split: str,
    device: Device | Auto,
) -> dict[str, Any]:
    """What attacked texts follow from, beside the victim: JSON values."""
    return {
        "config": config_json(config),
        "data": dataset.split(split).digest,
        "task": dataset.task.to_json(),
        "masked_lm": masked_lm.digest,
        "similarity": similarity.digest if similarity else None,
        "device": device,
    }


def _attack_model(
    model: Model,
    texts: Texts,
    proposals: Any,
    config: AttackConfig,
    journal: Journal,
    similarity: Model | None,
) -> VictimResult:
    started = time.monotonic()
    source = model.source
    done = {row: text for row in texts.rows if (text := journal.find(source.digest, row))}
    left = [place for place, row in enumerate(texts.rows) if row not in done]
    with progress(f"attack {source.short_name}", len(texts), len(done)) as advance:
        attacked = attack_texts(
            asker(model),
            texts.at(left),
            model.task.labels,
            lambda place: proposals(left[place]),
            _mask(model),
            config,
        )
        for text in attacked if left else ():
            compared = _compared(text, similarity)
            journal.add(source.digest, compared)
            done[text.row] = compared
            advance()
    return VictimResult(
        model=source.short_name,
        digest=source.digest,
        precision=model.arithmetic,
        layers=source.layers,
        seconds=round(time.monotonic() - started, 2),
        texts=tuple(done[row] for row in texts.rows),
    )


def _mask(model: Model) -> str:
    """The victim's mask as a text; of a tokenizer without one, nothing: the word is left out."""
    try:
        return model.text_encoder.token(model.text_encoder.mask_id)
    except ModelError:
        return ""


def _compared(text: AttackedText, similarity: Model | None) -> AttackedText:
    if similarity is None or text.adversarial is None:
        return text
    (cosine,) = text_similarities(similarity, [text.text], [text.adversarial])
    return replace(text, similarity=round(cosine, 4))


def _transfer(
    attacked: Sequence[AttackedText], models: Sequence[Model], texts: Sequence[Texts]
) -> tuple[float | None, ...]:
    """The part of the texts that fooled one model that fool each model which was right before."""
    places = [place for place, text in enumerate(attacked) if text.outcome == "fooled"]
    adversarial = [str(attacked[place].adversarial) for place in places]
    shares: list[float | None] = []
    for model, part in zip(models, texts, strict=True):
        if not places:
            shares.append(None)
            continue
        ask, truth = asker(model), part.labels[places]
        before = ask(*part.inputs(places, [part.changed[place] for place in places])).argmax(axis=1) == truth
        after = ask(*part.inputs(places, adversarial)).argmax(axis=1) == truth
        shares.append(float((before & ~after).sum() / before.sum()) if before.any() else None)
    return tuple(shares)
