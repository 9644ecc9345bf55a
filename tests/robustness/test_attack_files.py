"""The results of attacks: kept, gone on with, read again and shown."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import replank as interface
from commands import Replank
from replank.data.config import DataConfig
from replank.models.source import open_source
from replank.robustness.config import AttackConfig
from replank.robustness.journal import Journal
from replank.robustness.result import AttackResult, read_attack
from replank.robustness.run import fingerprint
from replank.system.errors import UsageError


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


@pytest.mark.parametrize("line", ["no JSON", '{"victim": "a"}', '{"victim": "a", "text": {"row": "one"}}', "[]"])
def test_a_damaged_line_of_an_interrupted_attack_is_named(tmp_path: Path, line: str) -> None:
    Journal(tmp_path / "attack.json", {}, force=False)
    with (tmp_path / "attack.json.partial.jsonl").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    with pytest.raises(UsageError, match=r"partial\.jsonl, line 2: expected an attacked text"):
        Journal(tmp_path / "attack.json", {}, force=False)


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
