"""Models and files of their answers, compared on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import replank as interface
from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.resampling.answers_file import read_answers, write_answers
from row_answers import right_or_wrong


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers of two methods, two seeds each, and of their predecessor."""
    folder = tmp_path_factory.mktemp("answers")
    for name, right in {"ours-1": 90, "ours-2": 92, "kd-1": 70, "kd-2": 74, "whole": 95}.items():
        write_answers(folder / f"{name}.json", right_or_wrong([*[True] * right, *[False] * (100 - right)], model=name))
    return folder


def test_models_and_their_answers_are_the_same_to_it(
    replank: Replank, successor: Path, predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    flags = ("--data", data.data, "--dataset", "sentiment")
    shown = replank("evaluate", successor, *flags, "--split", "test", "--answers", tmp_path / "a.json", "--json")
    assert shown.code == 0, shown.err
    found = read_answers(tmp_path / "a.json")
    quality = Artifact.open(successor).manifest.quality
    assert quality is not None
    assert (found.model, found.split, found.data, len(found)) == ("successor", "test", quality.data, quality.rows)
    models = replank("compare", predecessor, successor, *flags, "--predecessor", predecessor, "--json")
    assert models.code == 0, models.err
    # A model that is named twice answers once.
    assert models.err.count("evaluate predecessor on test: 64/64") == 1
    mixed = replank("compare", predecessor, tmp_path / "a.json", *flags, "--predecessor", predecessor, "--json")
    assert json.loads(mixed.out) == json.loads(models.out)
    # Artifacts keep the answers by which their quality was computed.
    kept = replank("compare", predecessor, successor, "--predecessor", predecessor, "--json")
    assert json.loads(kept.out) == json.loads(models.out)
    assert "evaluate" not in kept.err
    values = json.loads(models.out)
    assert (values["a"], values["b"], values["rows"], values["seeds"]) == (["predecessor"], ["successor"], 64, 1)
    assert {name: metric["b"] for name, metric in values["metrics"].items()} == pytest.approx(quality.metrics)
    assert values["metrics"]["accuracy"]["kept_a"]["value"] == 1.0
    again = interface.compare(predecessor, tmp_path / "a.json", predecessor=predecessor, data=data)
    assert again.metrics["accuracy"].difference.low == values["metrics"]["accuracy"]["difference"]["low"]


def test_seeds_are_told_in_words(replank: Replank, files: Path) -> None:
    ours, kd = (",".join(str(files / f"{name}-{seed}.json") for seed in (1, 2)) for name in ("ours", "kd"))
    done = replank("compare", ours, kd, "--predecessor", files / "whole.json")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "100 rows of dev (films), 2 seeds, 2000 resamples"
    assert [line.split() for line in lines[1:4]] == [
        ["A", "ours-1,", "ours-2"],
        ["B", "kd-1,", "kd-2"],
        ["predecessor", "whole"],
    ]
    assert "A is better by 19.0 points (" in done.out
    assert "accuracy: A keeps  95.8% (" in done.out
    assert "; with 95 % confidence at least 9" in done.out
    swapped = replank("compare", kd, ours).out
    assert "B is better by 19.0 points (" in swapped
    assert "Of the predecessor" not in swapped


def test_the_same_seed_of_draws_tells_the_same(replank: Replank, files: Path) -> None:
    arguments = ("compare", files / "ours-1.json", files / "kd-1.json", "--resamples", 100, "--json", "--seed")
    first, again, other = (replank(*arguments, seed) for seed in (5, 5, 6))
    assert first.out == again.out != other.out
    assert json.loads(first.out)["resamples"] == 100
    assert json.loads(first.out)["cautions"][0].startswith("one seed of each")


def test_a_file_of_answers_is_nobody_elses(replank: Replank, successor: Path, data: DataConfig, tmp_path: Path) -> None:
    other = tmp_path / "notes.json"
    other.write_text("mine", encoding="utf-8")
    flags = ("evaluate", successor, "--data", data.data)
    # Before the model runs: nothing else is told.
    refused = replank(*flags, "--answers", other)
    assert refused.code == 2
    assert refused.err.splitlines() == [
        f"error: {other} exists",
        "hint: choose another --answers, or replace it with --force",
    ]
    assert other.read_text(encoding="utf-8") == "mine"
    assert replank(*flags, "--answers", other, "--force").code == 0
    assert len(read_answers(other)) > 0
    assert error_lines(replank(*flags, "--force")) == ["error: --force replaces a file of --answers, and none is named"]


def test_what_cannot_be_compared_is_one_error(
    replank: Replank, files: Path, successor: Path, data: DataConfig, tmp_path: Path
) -> None:
    ours = files / "ours-1.json"
    broken = tmp_path / "broken.json"
    broken.write_text(ours.read_text(encoding="utf-8").replace('"rows": 100', '"rows": 99'), encoding="utf-8")
    for arguments, expected in [
        ((ours, tmp_path / "none.json"), f"{tmp_path} has no none.json"),
        ((ours, broken), f"{broken} holds no answers: truth has 100 values; expected 99, the number of rows"),
        ((ours, f"{ours},{ours}"), "A has 1 seed, and B has 2 seeds"),
        ((ours, f"{ours},"), f"'{ours},' names nothing beside a comma"),
        ((ours, ours, "--resamples", 10), "--resamples is 10; expected 100 or more"),
        ((ours, ours, "--split", "dev"), "--data and --split are for models, and only files of answers are given"),
        # Rows of somebody else's data.
        ((ours, successor, "--data", data.data), "A answers with 2 labels (bad, good); B answers with 2 labels (nega"),
    ]:
        assert error_lines(replank("compare", *arguments))[0].startswith(f"error: {expected}")


def test_data_without_labels_is_told_before_a_model_runs(
    replank: Replank, successor: Path, predecessor: Path, tmp_path: Path
) -> None:
    (tmp_path / "test.tsv").write_text("sentence\na warm film\na cold film\n", encoding="utf-8")
    refused = replank("compare", successor, predecessor, "--data", tmp_path, "--split", "test", "--text", "sentence")
    assert error_lines(refused) == [
        "error: this split has no labels to score against",
        "hint: choose another --split, or name the --predecessor, whose answers then stand for labels",
    ]
    assert len(refused.err.splitlines()) == 2
