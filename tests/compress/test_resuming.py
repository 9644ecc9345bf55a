"""Checkpoints: an interrupted run is the run, and nobody else's files are touched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from replank.data.config import DataConfig
from replank.models.source import open_source
from replank.system.environment import versions
from replank.system.errors import TrainingError, UsageError
from replank.system.locks import exclusive
from replank_compress import saving
from replank_compress.finetune import finetune
from replank_compress.methods.schedule import LinearSchedule
from replank_compress.methods.theseus import Replacing, TheseusConfig
from replank_compress.successor import compress
from replank_compress.training.checkpoints import claim, clear, newest
from replank_compress.training.config import FinetuneConfig
from training_runs import SHORT, interrupt_finetuning, stop_after, weights


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("step", [3, 5, 8, 11])
def test_an_interrupted_run_ends_with_the_same_weights(
    predecessor: Path, successor: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    source, config = open_source(predecessor), TheseusConfig(**SHORT, layers=2)
    undisturbed = compress(source, tmp_path / "undisturbed", config, data)
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        with pytest.raises(KeyboardInterrupt):
            compress(source, tmp_path / "interrupted", config, data)
    assert not (tmp_path / "interrupted").exists()
    assert (tmp_path / "interrupted.work").is_dir()
    resumed = compress(source, tmp_path / "interrupted", config, data)
    assert not (tmp_path / "interrupted.work").exists()
    ours, theirs = weights(resumed.path), weights(undisturbed.path)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert resumed.manifest.digest == undisturbed.manifest.digest


def test_the_same_seed_gives_the_same_artifact(encoder: Path, data: DataConfig, tmp_path: Path) -> None:
    first, second = (
        finetune(open_source(encoder), tmp_path / name, FinetuneConfig(**SHORT), data) for name in ("a", "b")
    )
    name = "model.safetensors"
    assert first.manifest.files[name] == second.manifest.files[name]
    assert first.manifest.digest == second.manifest.digest
    other = finetune(open_source(encoder), tmp_path / "c", FinetuneConfig(**SHORT, seed=7), data)
    assert first.manifest.files["model.safetensors"] != other.manifest.files["model.safetensors"]


def test_checkpoints_of_another_run_are_not_resumed_from(
    encoder: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_finetuning(monkeypatch, encoder, tmp_path / "out", data, 3)
    with pytest.raises(TrainingError, match="checkpoints of a run with other data or settings"):
        finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT, seed=7), data)


def test_a_half_written_checkpoint_is_passed_over(
    encoder: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_finetuning(monkeypatch, encoder, tmp_path / "out", data, 8)
    newest = tmp_path / "out.work" / "checkpoint-9"
    (newest / "trainer_state.json").write_text('{"best', encoding="utf-8")
    resumed = finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT), data)
    undisturbed = finetune(open_source(encoder), tmp_path / "undisturbed", FinetuneConfig(**SHORT), data)
    assert resumed.manifest.files["model.safetensors"] == undisturbed.manifest.files["model.safetensors"]


def test_the_last_good_checkpoint_outlives_a_loss_that_is_no_number(
    predecessor: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A predecessor whose weights are poisoned after the first evaluation."""
    original = Replacing.before_step

    def poisoned(self: Replacing, step: int, total: int) -> bool:
        if step == 8:
            self.model.classifier.weight.data[:] = float("nan")
        return original(self, step, total)

    monkeypatch.setattr(Replacing, "before_step", poisoned)
    config = TheseusConfig(**SHORT, layers=2, schedule=LinearSchedule(0.9, 0.1))
    with pytest.raises(TrainingError, match=r"the loss is nan at step 8; the last good checkpoint is .*checkpoint-6$"):
        compress(open_source(predecessor), tmp_path / "out", config, data)
    kept = load_file(tmp_path / "out.work" / "checkpoint-6" / "model.safetensors")
    assert all(torch.isfinite(value).all() for value in kept.values())


def test_files_of_others_are_not_deleted(encoder: Path, data: DataConfig, tmp_path: Path) -> None:
    work = tmp_path / "out.work"
    work.mkdir()
    (work / "thesis.txt").write_text("years of work")
    with pytest.raises(TrainingError, match=r"is needed for checkpoints and holds other files, such as thesis\.txt"):
        finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT), data)
    assert (work / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["checkpoint-best", "checkpoint-1", "checkpoint-999", "notes"])
@pytest.mark.parametrize("age", [0, 2**31 - 1])
def test_what_was_put_beside_the_checkpoints_stays(
    encoder: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, age: int
) -> None:
    """Whatever it is called and whenever it was written: older or newer than every checkpoint."""
    interrupt_finetuning(monkeypatch, encoder, tmp_path / "out", data, 3)
    theirs = tmp_path / "out.work" / name
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years of work", encoding="utf-8")
    os.utime(theirs, (age, age))
    finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT), data)
    assert [path.name for path in (tmp_path / "out.work").iterdir()] == [name]
    assert (theirs / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_a_checkpoint_is_not_written_into_the_folder_of_another(
    encoder: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_finetuning(monkeypatch, encoder, tmp_path / "out", data, 3)
    theirs = tmp_path / "out.work" / "checkpoint-6"
    theirs.mkdir()
    with pytest.raises(TrainingError, match=r"checkpoint-6 is needed for a checkpoint and was not written by this run"):
        finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT), data)
    assert names(tmp_path / "out.work") == ["checkpoint-4", "checkpoint-6", "run.json"]
    assert names(theirs) == []
    theirs.rmdir()
    finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT), data)


def test_another_number_of_processes_deletes_no_checkpoint(
    encoder: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process leaves one random state; to two of them the checkpoint looks incomplete."""
    interrupt_finetuning(monkeypatch, encoder, tmp_path / "out", data, 3)
    work = tmp_path / "out.work"
    fingerprint = json.loads((work / "run.json").read_text(encoding="utf-8"))["fingerprint"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match=r"other data or settings \(differs in: processes\)"):
        claim(work, fingerprint | {"processes": 2})
    assert newest(work) == work / "checkpoint-4"


def test_checkpoints_of_other_versions_are_not_resumed_from(
    encoder: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_finetuning(monkeypatch, encoder, tmp_path / "out", data, 3)
    monkeypatch.setattr(saving, "versions", lambda: versions() | {"torch": "9.9"})
    with pytest.raises(TrainingError, match=r"other data or settings \(differs in: versions \(torch\)\)"):
        finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT), data)
    assert newest(tmp_path / "out.work") is not None


@pytest.mark.parametrize("content", ['{"name": "my run"}', '{"fingerprint": {}, "checkpoints": ["../out"]}', "{"])
def test_a_run_file_of_another_program_is_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(TrainingError, match=r"holds other files, such as run\.json"):
        claim(tmp_path, {"processes": 1})
    clear(tmp_path)
    assert (tmp_path / "run.json").read_text(encoding="utf-8") == content


def test_checkpoints_may_lie_elsewhere_through_a_link(encoder: Path, data: DataConfig, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out.work").symlink_to(tmp_path / "scratch")
    finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT | {"epochs": 1}), data)
    assert (tmp_path / "out.work").is_symlink()
    assert names(tmp_path / "scratch") == []


def test_a_file_in_the_place_of_the_checkpoints_is_said(tmp_path: Path) -> None:
    (tmp_path / "out.work").write_text("mine", encoding="utf-8")
    with pytest.raises(TrainingError, match="is needed for checkpoints and is a file"):
        claim(tmp_path / "out.work", {"processes": 1})


def test_a_second_training_into_the_same_folder_is_refused(encoder: Path, data: DataConfig, tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "out.work"),
        pytest.raises(UsageError, match=r"another process writes .*out\.work: "),
    ):
        finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT), data)
    assert names(tmp_path) == []
