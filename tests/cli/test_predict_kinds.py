"""The command `predict` with labels of one's own, and with masks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import Replank, error_lines
from plain_folders import inference_folder
from replank.models.source import open_source
from replank.runtime.load import load_model

LABELS = ("good", "very bad")
TEXT = "a lovely film"


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inference_folder(tmp_path_factory.mktemp("nli") / "model", ("entailment", "not_entailment"))


def test_labels_of_ones_own(judge: Path, replank: Replank, tmp_path: Path) -> None:
    (expected,) = load_model(open_source(judge), threads=1).zero_shot([TEXT], LABELS)
    done = replank("predict", judge, TEXT, "--labels", "good,very bad")
    assert (done.code, done.out) == (0, f"{expected.label}\t{expected.score:.4f}\t{TEXT}\n")
    names = tmp_path / "labels.txt"
    names.write_text("good\nvery bad\n", encoding="utf-8")
    answer = json.loads(replank("predict", judge, TEXT, "--labels", f"@{names}", "--json").out)
    assert answer["scores"] == pytest.approx(expected.scores, abs=1e-6)


def test_any_number_of_labels_and_a_sentence_of_ones_own(judge: Path, replank: Replank) -> None:
    model = load_model(open_source(judge), threads=1)
    (expected,) = model.zero_shot([TEXT], LABELS, template="it is {}", multi_label=True)
    arguments = ("--labels", ",".join(LABELS), "--template", "it is {}", "--multi-label", "--json")
    answer = json.loads(replank("predict", judge, *arguments, stdin=TEXT.encode()).out)
    assert answer["labels"] == list(expected.labels)
    assert answer["scores"] == pytest.approx(expected.scores, abs=1e-6)


def test_labels_that_cannot_be_judged(judge: Path, replank: Replank, int8_artifact: Path) -> None:
    refused = {
        "judges no candidate labels": (int8_artifact, TEXT, "--labels", "good,bad"),
        "--template needs --labels": (judge, TEXT, "--template", "it is {}"),
        "--multi-label needs --labels": (judge, TEXT, "--multi-label"),
        "'good' occurs twice": (judge, TEXT, "--labels", "good,good"),
        "--top needs --graph, or a masked language model": (judge, TEXT, "--top", "3"),
    }
    for message, arguments in refused.items():
        done = replank("predict", *arguments)
        assert done.code == 2
        assert message in error_lines(done)[0]


def test_tokens_for_masks(masked_lm: Path, replank: Replank) -> None:
    text = "the [MASK] is [MASK]"
    ((first, second),) = load_model(open_source(masked_lm), threads=1).fill([text], top=2)
    done = replank("predict", masked_lm, text, "--top", "2")
    shown = [f"{found.text}\t{found.score:.4f}\t{found.sequence}" for found in (*first, *second)]
    assert done.out.split("\n") == [*shown[:2], "", *shown[2:], "", ""]
    answer = json.loads(replank("predict", masked_lm, text, "--json").out)
    assert [[found["token"] for found in mask[:2]] for mask in answer["masks"]] == [
        [found.token for found in mask] for mask in (first, second)
    ]
    assert len(answer["masks"][0]) == 5
    done = replank("predict", masked_lm, "a text")
    assert done.code == 2
    assert "the text has no mask" in error_lines(done)[0]
