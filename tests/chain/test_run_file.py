"""The file that repeats a run: what it may hold, what wins over it, and what a run writes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import replank
from commands import Replank, error_lines
from replank.chain.plan import RunConfig
from replank.chain.run_file import RUN_FILE, read_run_file, require_own_run_file, write_run_file
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.system.errors import UsageError

FILE = """
encoder: bert-base-uncased
out: made
layers: 6
compress_epochs: 2.5
trim_vocabulary: texts.txt
data:
  data: rows
  text: title
  labels: [no, yes]
  max_length: 64
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(FILE, encoding="utf-8")
    return path


def test_a_file_is_a_run(file: Path) -> None:
    asked = read_run_file(file)
    assert (asked.encoder, asked.out) == ("bert-base-uncased", file.parent / "made")
    assert asked.config == RunConfig(layers=6, compress_epochs=2.5, trim_vocabulary=file.parent / "texts.txt")
    expected = DataConfig(data=file.parent / "rows", text="title", labels=("no", "yes"), max_length=64)
    assert asked.data == expected


def test_what_is_given_wins(file: Path) -> None:
    asked = read_run_file(file, "other", Path("there"), {"layers": 3}, {"max_length": 32})
    assert (asked.encoder, asked.out, asked.config.layers) == ("other", Path("there"), 3)
    assert asked.data is not None
    assert (asked.data.max_length, asked.data.text) == (32, "title")


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("layres: 3", "line 11: layres is no setting", "did you mean layers?"),
        ("seed: x", "line 11: seed is x; expected an integer", None),
        ("finetune_epochs: 0", "line 11: finetune_epochs is 0.0; expected more than 0", None),
        ("scheme: int4", "line 11: scheme is int4; expected one of dynamic, static, integer", None),
        ("  max_lenght: 3", "line 11: data.max_lenght is no setting", "did you mean max_length?"),
        ("  metric: f3", "line 11: data.metric is f3; expected one of", None),
        ("  train: t.tsv", r"mine.yaml: `data`, a folder, and single files .* exclude each other", None),
        ("attack_rows: 5", r"mine.yaml: `attack_rows` and `masked_lm` need each other", None),
    ],
)
def test_an_error_names_line_and_key(file: Path, line: str, message: str, hint: str | None) -> None:
    file.write_text(FILE.strip() + f"\n{line}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=message) as refusal:
        read_run_file(file)
    if hint:
        assert refusal.value.hint == hint


def test_a_file_without_an_encoder(file: Path) -> None:
    file.write_text("out: made\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"mine.yaml has no key encoder"):
        read_run_file(file)
    assert read_run_file(file, "bert").data is None


def test_a_written_file_leads_to_the_same_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Path
) -> None:
    """From the folder it was written in, and when both are moved; what was absolute stays."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(encoder, "one/encoder")
    out = Path("one/out")
    out.mkdir()
    data = DataConfig(train="one/rows.csv", dev=Path("/dev.csv"), labels=("no", "1e-4"), drop_unlabelled=True)
    config = RunConfig(layers=2, attack_rows=3, masked_lm=encoder, max_drop=1e-5)
    write_run_file(out, open_source("one/encoder"), config, data)
    asked = read_run_file(out / RUN_FILE)
    assert asked.config == config
    assert asked.data == replace(data, train=out / "../rows.csv")
    assert (Path(asked.encoder).resolve(), asked.out) == ((tmp_path / "one/encoder").resolve(), out)
    shutil.move("one", "two")
    assert Path(read_run_file(Path("two/out/run.yaml")).encoder).is_dir()


def test_a_hub_model_is_pinned(tmp_path: Path, encoder: Path) -> None:
    folder = shutil.copytree(encoder, tmp_path / "snapshots" / ("0a" * 20))
    source = replace(open_source(folder), name="owner/name@main")
    write_run_file(tmp_path, source, RunConfig(), DataConfig(dataset="sst2"))
    assert read_run_file(tmp_path / RUN_FILE).encoder == f"owner/name@{'0a' * 20}"


def test_a_file_of_ones_own_stays(tmp_path: Path, encoder: Path) -> None:
    """Where it asks for the very run; another is not replaced."""
    source, config, data = open_source(encoder), RunConfig(seed=7), DataConfig(dataset="sst2")
    text = f"# mine\nencoder: {encoder}\nseed: 7\nout: .\ndata: {{dataset: sst2}}\n"
    (tmp_path / RUN_FILE).write_text(text, encoding="utf-8")
    require_own_run_file(tmp_path, source, config, data)
    write_run_file(tmp_path, source, config, data)
    assert (tmp_path / RUN_FILE).read_text(encoding="utf-8") == text
    with pytest.raises(UsageError, match=r"run.yaml is not of a run"):
        require_own_run_file(tmp_path, source, replace(config, seed=8), data)


def test_a_run_leaves_the_file_that_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replank: Replank, predecessor: Path, data: DataConfig
) -> None:
    """Run from it, each stage is found to have been made from the same inputs."""
    monkeypatch.chdir(tmp_path)
    flags = ["--compress-epochs", 1, "--max-drop", 1, "--seed", 5, "--training-arguments", '{"max_grad_norm": 0.5}']
    of_data = ["--data", data.data, "--text", "sentence"]
    done = replank("run", predecessor, "out", *flags, *of_data, "--json")
    assert done.code == 0, done.err
    written = Path("out/run.yaml").read_bytes()
    assert written.startswith(b"# replank run --config run.yaml\nencoder: ")
    assert b"\nout: .\n" in written
    monkeypatch.chdir("/")
    again = replank("run", "--config", tmp_path / "out/run.yaml", "--json")
    assert again.code == 0, again.err
    assert again.err.count("done before") == 3
    made_by = Artifact.open(tmp_path / "out/successor").manifest.made_by
    assert (made_by.config["seed"], made_by.config["training_arguments"]) == (5, {"max_grad_norm": 0.5})
    # Other settings are refused, and the file still says how the folder was made.
    refused = replank("run", "--config", tmp_path / "out/run.yaml", "--seed", 6)
    assert "made from other inputs" in error_lines(refused)[0]
    assert (tmp_path / "out/run.yaml").read_bytes() == written


def test_the_python_call(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"line 3: out is a list; expected a path"):
        file.write_text(FILE.replace("out: made", "out: [made]"), encoding="utf-8")
        replank.run_file(file)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "error: Missing argument 'ENCODER'."),
        (("bert",), "error: Missing argument 'OUT'."),
        (("--config", "none.yaml"), "error: there is no file none.yaml"),
    ],
)
def test_what_is_missing_is_named(replank: Replank, arguments: tuple[str, ...], line: str) -> None:
    done = replank("run", *arguments)
    assert done.code == 2
    assert error_lines(done)[0].startswith(line)


def test_an_error_of_a_flag_over_a_file_speaks_of_the_flag(replank: Replank, file: Path) -> None:
    done = replank("run", "--config", file, "--finetune-epochs", "0")
    assert error_lines(done) == ["error: --finetune-epochs is 0.0; expected more than 0"]
