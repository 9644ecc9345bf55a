"""What is hard to attack, and what cannot be attacked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import replank as interface
from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.robustness.config import AttackConfig
from replank.robustness.result import read_attack
from replank.system.errors import FieldError, ModelError, UsageError
from tiny import tiny_settings, write_tokenizer


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
    predecessor: Path,
    encoder: Path,
    masked_lm: Path,
    data: DataConfig,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    out = tmp_path / "attack.json"
    with pytest.raises(ModelError, match=r"an attack changes the one label of a whole text"):
        interface.attack(masked_lm, masked_lm, data=data, out=out)
    with pytest.raises(ModelError, match=r"multi-label.*an attack changes the one label of a whole text"):
        interface.attack(_of_several_labels(tmp_path_factory.mktemp("several")), masked_lm, data=data, out=out)
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
    assert "an attack changes the one label of a whole text" in error_lines(done)[0]


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


def _of_several_labels(folder: Path) -> Path:
    """A plain folder of a model that may give a text several labels."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(**tiny_settings(num_labels=3, problem_type="multi_label_classification"))
    BertForSequenceClassification(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder
