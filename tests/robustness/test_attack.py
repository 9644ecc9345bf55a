"""Models under attack: what is changed, whom it fools, and how that is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import replank as interface
from replank.data.config import DataConfig
from replank.models.source import open_source
from replank.robustness.config import AttackConfig
from replank.robustness.masked_lm import MaskedLm
from replank.robustness.measures import measures_of
from replank.robustness.proposals import Proposals
from replank.robustness.result import AttackResult
from replank.robustness.texts import AttackedText, Change
from replank.robustness.victim import Texts, asker, attack_texts
from replank.robustness.words import Words
from replank.runtime.load import load_model
from tiny import BAD, GOOD


def test_changes_are_what_the_texts_differ_in(result: AttackResult) -> None:
    config = AttackConfig()
    fooled = 0
    for victim in result.victims:
        for text in victim.texts:
            before = Words.of(text.text)
            assert text.words == len(before)
            after = before
            for change in text.changes:
                assert before[change.word] == change.before
                after = after.with_word(change.word, change.after)
            assert (text.adversarial or text.text) == after.text
            assert len(text.changes) <= config.rules.budget(len(before), config.max_changes)
            fooled += text.outcome == "fooled"
    assert fooled > 0


def test_the_victims_answers_are_theirs(result: AttackResult, predecessor: Path, data: DataConfig) -> None:
    """Asked again, the model is fooled by what fooled it, and right where it was right."""
    model = interface.load(predecessor, device="cpu")
    examples = data.load(model.task).split("test")
    for text in result.victims[0].texts:
        assert text.text == examples.first[text.row]
        assert model.predict([text.text])[0].label == text.answer
        assert (text.answer == text.label) == (text.outcome != "wrong")
        if text.adversarial:
            told = model.predict([text.adversarial])[0]
            assert (told.label != text.label) == (text.outcome == "fooled")
            assert told.scores[text.label] == pytest.approx(text.probability_after, abs=1e-4)
            assert -1 <= (text.similarity or 0) < 1


def test_measures_are_counted_from_the_texts(result: AttackResult) -> None:
    for victim in result.victims:
        counts = {name: sum(text.outcome == name for text in victim.texts) for name in ("wrong", "fooled", "held")}
        measures = victim.measures
        assert measures.rows == 24
        assert measures.accuracy_before.value == pytest.approx(1 - counts["wrong"] / 24)
        assert measures.accuracy_after.value == pytest.approx(counts["held"] / 24)
        assert measures.accuracy_after.low <= measures.accuracy_after.value <= measures.accuracy_after.high
        assert measures.success_rate is not None
        assert measures.success_rate.value == pytest.approx(counts["fooled"] / (24 - counts["wrong"]))
    # What was made against a model fools it.
    assert result.transfer[0][0] == result.transfer[1][1] == 1.0
    assert result.masked_lm.perplexity > 1


def test_queries_are_the_victims_calls(predecessor: Path, masked_lm: Path, data: DataConfig) -> None:
    model = load_model(open_source(predecessor), threads=1)
    examples = data.load(model.task).split("test").head(12)
    asked: list[str] = []
    ask = asker(model)

    def counting(first: Any, second: Any) -> Any:
        asked.extend(first)
        return ask(first, second)

    config = AttackConfig()
    proposer = MaskedLm(load_model(open_source(masked_lm), threads=1), 48, ranks_in_context=True)
    texts = Texts(range(12), examples.first, None, np.asarray(examples.labels), "text")
    done = list(
        attack_texts(
            counting,
            texts,
            model.task.labels,
            lambda place: Proposals(Words.of(texts.first[place]), proposer, config, None),
            "[MASK]",
            config,
        )
    )
    assert sorted(text.row for text in done) == list(range(12))
    # Each is also asked about as it is.
    assert sum(text.queries for text in done) == len(asked) - 12
    # One pass for each text that was attacked, as all of its words are of one piece.
    assert proposer.passes == sum(text.outcome in ("fooled", "held") for text in done)


def test_batches_are_the_engines_and_give_what_one_text_gives(predecessor: Path) -> None:
    model = load_model(open_source(predecessor), threads=1)
    texts = ["a good film", "the film is a very poor plot with music and it", "lovely"]
    together = asker(model)(texts, None)
    alone = np.concatenate([asker(model)([text], None) for text in texts])
    assert together == pytest.approx(alone, abs=1e-5)
    assert together.sum(axis=1) == pytest.approx(1)


def test_pairs_are_attacked_on_the_side_that_is_asked_for(
    pair_onnx_artifact: Path, masked_lm: Path, pair_data: DataConfig, tmp_path: Path
) -> None:
    examples = pair_data.load(open_source(pair_onnx_artifact).task).split("dev")
    for side, changed, other in (
        ("text", examples.first, examples.second),
        ("text-pair", examples.second, examples.first),
    ):
        config = AttackConfig(rows=6, candidates=8, attack=side)  # type: ignore[arg-type]
        found = interface.attack(pair_onnx_artifact, masked_lm, config, data=pair_data, out=tmp_path / f"{side}.json")
        for text in found.victims[0].texts:
            assert changed is not None
            assert other is not None
            assert (text.text, text.other) == (changed[text.row], other[text.row])


def test_antonyms_are_kept_out_by_word_vectors(
    predecessor: Path, masked_lm: Path, data: DataConfig, tmp_path: Path
) -> None:
    """Of all words only those of like vectors, and those that have none there, take a word's place."""
    vectors = tmp_path / "vectors.txt"
    lines = [*(f"{word} 1 0.1\n" for word in GOOD), *(f"{word} -1 0.1\n" for word in BAD)]
    vectors.write_text("".join(lines), encoding="utf-8")
    config = AttackConfig(rows=16, min_word_similarity=0.4, word_vectors=vectors)
    found = interface.attack(predecessor, masked_lm, config, data=data, out=tmp_path / "attack.json")
    changes = [change for text in found.victims[0].texts for change in text.changes]
    assert any(change.before in GOOD + BAD for change in changes)
    for change in changes:
        assert {change.before, change.after} - set(GOOD) and not (change.before in GOOD and change.after in BAD)
    vectors.write_text("good 1 2\nbad 1\n", encoding="utf-8")
    with pytest.raises(interface.ReplankError, match=r"vectors\.txt, line 2: expected a word and 2 numbers"):
        interface.attack(predecessor, masked_lm, config, data=data, out=tmp_path / "b.json")


def test_definitions_of_words_changed_differ_as_they_are_told() -> None:
    """Two fooled texts with 1 of 2 and 1 of 8 words changed, and one that was answered wrong before."""

    def text(outcome: Any, words: int, changed: int, queries: int) -> AttackedText:
        changes = tuple(Change(word=number, before="a", after="b") for number in range(changed))
        return AttackedText(
            row=0,
            text="",
            label="x",
            outcome=outcome,
            answer="x",
            words=words,
            changes=changes,
            queries=queries,
            probability=1.0,
        )

    found = measures_of(
        [text("fooled", 2, 1, 10), text("fooled", 8, 1, 20), text("wrong", 5, 0, 0), text("held", 5, 2, 90)]
    )
    assert found.changed == pytest.approx((1 / 2 + 1 / 8) / 2)
    assert found.changed_words == pytest.approx(2 / 10)
    assert found.changed_as_released == pytest.approx((1 / 2 + 1 / 8) / 3)
    assert (found.median_queries, found.queries_as_released) == (20, 10)
    assert found.success_rate is not None
    assert (found.accuracy_before.value, found.accuracy_after.value) == (0.75, 0.25)
    assert found.success_rate.value == pytest.approx(2 / 3)
