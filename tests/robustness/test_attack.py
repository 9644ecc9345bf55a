"""Models under attack: what is told of them, what is kept, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import replank as interface
from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.models.source import open_source
from replank.robustness.config import AttackConfig
from replank.robustness.journal import Journal
from replank.robustness.masked_lm import MaskedLm
from replank.robustness.measures import measures_of
from replank.robustness.proposals import Proposals
from replank.robustness.result import AttackResult, read_attack
from replank.robustness.run import fingerprint
from replank.robustness.texts import AttackedText, Change
from replank.robustness.victim import Texts, asker, attack_texts
from replank.robustness.words import Words
from replank.runtime.load import load_model
from replank.system.errors import FieldError, ModelError, UsageError
from tiny import BAD, GOOD, tiny_settings, write_tokenizer


@pytest.fixture(scope="module")
def result(
    predecessor: Path, int8_artifact: Path, masked_lm: Path, encoder: Path, data: DataConfig, tmp_path_factory: Any
) -> AttackResult:
    """Two models under the same attack."""
    out = tmp_path_factory.mktemp("attack") / "attack.json"
    return interface.attack(
        [predecessor, int8_artifact], masked_lm, AttackConfig(rows=24), data=data, similarity_model=encoder, out=out
    )


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


def test_the_same_command_gives_the_same_and_goes_on_where_it_was(
    replank: Replank, predecessor: Path, masked_lm: Path, data: DataConfig, tmp_path: Path
) -> None:
    whole, again, rest = (tmp_path / f"{name}.json" for name in ("whole", "again", "rest"))
    flags = ("--masked-lm", masked_lm, "--data", data.data, "--dataset", "sentiment", "--rows", 10, "--json")
    first = replank("attack", predecessor, *flags, "--out", whole)
    assert first.code == 0, first.err
    assert replank("attack", predecessor, *flags, "--out", again).code == 0
    texts = read_attack(whole).victims[0].texts
    assert read_attack(again).victims[0].texts == texts
    assert json.loads(first.out)["victims"][0]["measures"]["rows"] == 10
    assert "weak" in first.err  # it was never trained
    # As an interrupt leaves it: some lines whole, the last one torn.
    digest = read_attack(whole).victims[0].digest
    partial = tmp_path / "rest.json.partial.jsonl"
    done = interface.attack(predecessor, masked_lm, AttackConfig(rows=10), data=data, out=rest)
    assert not partial.exists()
    rest.unlink()
    source = open_source(masked_lm)
    mark = fingerprint(source, None, AttackConfig(rows=10), data.load(open_source(predecessor).task), "test", "cpu")
    journal = Journal(rest, mark, force=False)
    for text in texts[:4]:
        journal.add(digest, text)
    with partial.open("a", encoding="utf-8") as file:
        file.write('{"victim": "torn')
    resumed = replank("attack", predecessor, *flags, "--out", rest)
    assert resumed.code == 0, resumed.err
    assert "4 attacked texts are taken from" in resumed.err
    assert done.victims[0].texts == texts
    # Beside other texts in a batch, the last digits of a probability may be others.
    for one, other in zip(read_attack(rest).victims[0].texts, texts, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-5)
        assert replace(one, probability=other.probability, probability_after=other.probability_after) == other
    assert not partial.exists()


def test_another_attacks_texts_are_not_mixed_in(
    predecessor: Path, masked_lm: Path, data: DataConfig, tmp_path: Path
) -> None:
    out = tmp_path / "attack.json"
    partial = tmp_path / "attack.json.partial.jsonl"
    partial.write_text('{"attack": {}}\n', encoding="utf-8")
    with pytest.raises(UsageError, match="is of an attack with other models, texts or settings"):
        interface.attack(predecessor, masked_lm, AttackConfig(rows=2), data=data, out=out)
    out.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"attack\.json exists"):
        interface.attack(predecessor, masked_lm, AttackConfig(rows=2), data=data, out=out)
    assert out.read_text(encoding="utf-8") == "mine"
    interface.attack(predecessor, masked_lm, AttackConfig(rows=2), data=data, out=out, force=True)
    assert len(read_attack(out).victims[0].texts) == 2


def test_hard_texts_are_handled(predecessor: Path, masked_lm: Path, tmp_path: Path) -> None:
    """One word, stop words alone, 5,000 words, a script that the masked LM does not know, nothing but marks."""
    rows = [
        "good",
        "the and is with",
        "good film " * 2500,
        "фильм очень хороший",
        "?! ...",
        "电影很好",
        "a \ud83d film",
    ]
    lines = "".join(json.dumps({"sentence": text, "label": "positive"}) + "\n" for text in rows)
    (tmp_path / "test.jsonl").write_text(lines, encoding="utf-8")
    hard = DataConfig(test=tmp_path / "test.jsonl", text="sentence")
    found = interface.attack(
        predecessor, masked_lm, AttackConfig(candidates=4), data=hard, split="test", out=tmp_path / "attack.json"
    )
    outcomes = {text.row: (text.outcome, text.why) for text in found.victims[0].texts}
    assert len(outcomes) == len(rows)
    for row, why in {
        1: "it has stop words only",
        3: "the masked LM knows none of its words",
        4: "it has no words",
        5: "the masked LM knows none of its words",
    }.items():
        assert outcomes[row] in (("no-words", why), ("wrong", None))
    assert outcomes[0][0] in ("fooled", "held", "wrong")
    assert read_attack(tmp_path / "attack.json") == found


def test_what_cannot_be_attacked_is_refused_by_name(
    predecessor: Path, encoder: Path, masked_lm: Path, data: DataConfig, tmp_path: Path
) -> None:
    out = tmp_path / "attack.json"
    with pytest.raises(ModelError, match=r"an attack changes the label of a whole text"):
        interface.attack(masked_lm, masked_lm, data=data, out=out)
    with pytest.raises(ModelError, match=r"is an encoder without a classification head"):
        interface.attack(encoder, masked_lm, data=data, out=out)
    with pytest.raises(ModelError, match=r"`masked_lm` is .*, a model of kind classification; expected a masked"):
        interface.attack(predecessor, predecessor, data=data, out=out)
    with pytest.raises(FieldError, match=r"`attack` is text-pair; expected text, for the task is of single texts"):
        interface.attack(predecessor, masked_lm, AttackConfig(attack="text-pair"), data=data, out=out)
    with pytest.raises(UsageError, match=r"`min_word_similarity` needs vectors of words"):
        interface.attack(predecessor, masked_lm, AttackConfig(min_word_similarity=0.4), data=data, out=out)
    with pytest.raises(UsageError, match="there is no folder"):
        interface.attack(predecessor, masked_lm, data=data, out=tmp_path / "no" / "attack.json")
    assert list(tmp_path.iterdir()) == []


def test_a_regression_is_refused(replank: Replank, masked_lm: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    folder = tmp_path / "regression"
    config = BertConfig(**tiny_settings(num_labels=1, problem_type="regression"))
    BertForSequenceClassification(config).save_pretrained(folder)
    write_tokenizer(folder)
    (tmp_path / "test.tsv").write_text("sentence\tlabel\na film\t1.0\n", encoding="utf-8")
    done = replank("attack", folder, "--masked-lm", masked_lm, "--test", tmp_path / "test.tsv")
    assert "an attack changes the label of a whole text" in error_lines(done)[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", 0),
        ("candidates", 0),
        ("seed", -1),
        ("max_changes", 0.0),
        ("max_changes", 1.5),
        ("min_word_similarity", 2),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(FieldError, match=f"`{name}` is {value}; expected"):
        AttackConfig(**{name: value})  # type: ignore[arg-type]


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


def test_a_result_that_was_edited_is_refused_by_name(result: AttackResult, tmp_path: Path) -> None:
    values = json.loads(json.dumps(result.to_json()))
    values["victims"][0]["texts"][0]["queries"] = "many"
    (tmp_path / "attack.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(interface.ReplankError, match=r"queries is 'many'; expected an integer"):
        read_attack(tmp_path / "attack.json")


def test_a_table_is_told_to_people(
    replank: Replank, predecessor: Path, int8_artifact: Path, masked_lm: Path, data: DataConfig, tmp_path: Path
) -> None:
    victims = [shutil.copytree(model, tmp_path / model.name) for model in (predecessor, int8_artifact)]
    flags = ("--masked-lm", masked_lm, "--data", data.data, "--rows", 4, "--candidates", 4)
    done = replank("attack", *victims, *flags, "--out", tmp_path / "attack.json", "--as-released")
    assert done.code == 0, done.err
    assert "BERT-Attack on 4 texts of test, masked LM masked-lm" in done.out
    assert "predecessor (4 layers, fp32)" in done.out
    assert "int8 (2 layers, int8)" in done.out
    assert "words changed: the mean, over the texts that fooled it" in " ".join(done.out.split())
    assert "made against" in done.out
    assert f"every text: {tmp_path / 'attack.json'}" in done.err
    assert "attack predecessor: 4/4" in done.err
