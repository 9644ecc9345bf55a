"""Robustness as a gate: of a chain, of two models, in manifests, cards and reports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from commands import Replank, error_lines
from replank.chain.pipeline import run
from replank.chain.plan import Plan, RunConfig
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.robustness.config import AttackConfig
from replank.robustness.gate import AttackPlan
from replank.robustness.result import read_attack
from replank.system.errors import FieldError, ModelError, QualityGateError, UsageError
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.training.config import FinetuneConfig
from replank_export.convert import ExportConfig
from replank_export.int8 import DynamicInt8


def plan(masked_lm: Path, max_drop: float | None = None) -> Plan:
    return Plan(
        FinetuneConfig(epochs=1),
        TheseusConfig(layers=2, epochs=1, learning_rate=2e-3, batch_size=16, precision="fp32"),
        ExportConfig(),
        DynamicInt8(max_drop=0.5, allow_slower=True),
        attack=AttackPlan(AttackConfig(rows=12, candidates=8), masked_lm, max_drop),
    )


@pytest.fixture(scope="module")
def chain(predecessor: Path, masked_lm: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain that ends with an attack, of an artifact as predecessor."""
    folder = tmp_path_factory.mktemp("robust")
    shutil.copytree(predecessor, folder / "predecessor")
    run(open_source(folder / "predecessor"), folder / "out", plan(masked_lm), data)
    return folder / "out"


def test_manifests_and_cards_tell_of_the_attack(chain: Path) -> None:
    result = read_attack(chain / "attack.json")
    assert [victim.model for victim in result.victims] == ["predecessor", "successor", "int8"]
    folders = (chain.with_name("predecessor"), chain / "successor", chain / "int8")
    for folder, victim in zip(folders, result.victims, strict=True):
        artifact = Artifact.open(folder)
        found = artifact.manifest.robustness
        assert found is not None
        assert (found.rows, found.candidates, found.masked_lm) == (12, 8, result.masked_lm.model)
        assert found.accuracy_after == victim.measures.accuracy_after.value
        # The model is the one that was attacked: its identity has not changed.
        assert artifact.manifest.digest == victim.digest
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert f"its accuracy falls from {found.accuracy:.1%} to {found.accuracy_after:.1%}" in card
    parent = Artifact.open(chain / "int8").manifest.parent
    assert parent is not None
    assert parent.digest == Artifact.open(chain / "onnx").manifest.digest
    assert "## Robustness" not in (chain / "onnx" / "README.md").read_text(encoding="utf-8")


def test_the_report_has_a_row_for_each_model(chain: Path) -> None:
    report = (chain / "report.md").read_text(encoding="utf-8")
    assert "Robustness" in report
    for model in ("predecessor (4 layers, fp32)", "successor (2 layers, fp32)", "int8 (2 layers, int8)"):
        assert f"| {model} |" in report


def test_run_again_attacks_nothing_twice(chain: Path, masked_lm: Path, data: DataConfig) -> None:
    files = [chain / "attack.json", chain / "int8" / "replank.json", chain / "successor" / "replank.json"]
    before = [file.stat().st_mtime_ns for file in files]
    run(open_source(chain.with_name("predecessor")), chain, plan(masked_lm), data)
    assert [file.stat().st_mtime_ns for file in files] == before


def test_a_model_that_is_made_of_an_attacked_one_is_what_it_would_be(chain: Path) -> None:
    """What was measured later is no part of its parent."""
    artifact = Artifact.open(chain / "successor")
    assert artifact.as_parent().digest == artifact.manifest.digest
    manifest = artifact.as_parent().manifest
    assert manifest is not None
    assert (manifest.robustness, manifest.digest) == (None, artifact.manifest.digest)


def test_a_loss_above_the_limit_is_exit_code_3_with_the_numbers(chain: Path, masked_lm: Path, data: DataConfig) -> None:
    """Allowed is less than any loss can be: -1 asks for a gain of 100 points."""
    with pytest.raises(QualityGateError, match=r"under attack successor has accuracy 0\.\d{4} and predecessor") as gate:
        run(open_source(chain.with_name("predecessor")), chain, plan(masked_lm, max_drop=-1.0), data)
    assert gate.value.exit_code == 3
    assert "`max_robustness_drop` allows -100" in gate.value.message
    # All is there.
    assert (chain / "report.md").exists()


def test_verify_attacks_both(
    replank: Replank, predecessor: Path, successor: Path, masked_lm: Path, data: DataConfig
) -> None:
    flags = ("--data", data.data, "--attack", "--attack-rows", 6, "--masked-lm", masked_lm)
    shown = replank("verify", successor, successor, *flags, "--max-robustness-drop", 0.0, "--json")
    assert shown.code == 0, shown.err
    victims = json.loads(shown.out)["attack"]["victims"]
    assert [victim["measures"]["rows"] for victim in victims] == [6, 6]
    assert victims[0]["measures"] == victims[1]["measures"]
    refused = replank("verify", successor, successor, *flags, "--max-robustness-drop", -1.0)
    assert refused.code == 3
    assert "--max-robustness-drop allows -100" in refused.err
    assert "BERT-Attack on 6 texts" in refused.out


def test_half_an_attack_is_refused_before_any_work(
    replank: Replank, successor: Path, predecessor: Path, masked_lm: Path, data: DataConfig, tmp_path: Path
) -> None:
    flags = ("--data", data.data)
    for arguments, expected in [
        ((*flags, "--attack"), "--attack and --masked-lm need each other"),
        ((*flags, "--masked-lm", masked_lm), "--attack and --masked-lm need each other"),
        (("--attack", "--masked-lm", masked_lm), "an attack needs the task's data"),
        ((*flags, "--max-robustness-drop", 0.1), "--max-robustness-drop judges an attack"),
    ]:
        assert expected in error_lines(replank("verify", successor, successor, *arguments))[0]
    done = replank("run", predecessor, tmp_path / "out", *flags, "--attack-rows", 4)
    assert error_lines(done) == ["error: --attack-rows and --masked-lm need each other"]
    with pytest.raises(UsageError, match="judges an attack"):
        RunConfig(max_robustness_drop=0.1)
    with pytest.raises(FieldError, match="`max_robustness_drop` is 3; expected a difference of accuracies"):
        AttackPlan(AttackConfig(), masked_lm, 3)
    with pytest.raises(ModelError, match="expected a masked language model"):
        run(open_source(predecessor), tmp_path / "out", plan(successor), data)
    assert not (tmp_path / "out").exists()
