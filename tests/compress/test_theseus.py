"""The method `theseus`: draws, schedules and what a step of it costs."""

from __future__ import annotations

import hashlib
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.models.training_facts import Origin, TrainingFacts
from replank.system.errors import ModelError, UsageError
from replank.tasks.kinds import KINDS
from replank_compress.methods.schedule import ConstantSchedule, LinearSchedule
from replank_compress.methods.soft_labels import SoftLabels
from replank_compress.methods.theseus import Replacing, TheseusConfig
from replank_compress.successor import compress
from small_models import make_model, make_replacement
from tiny import curve_of, write_tokenizer

SHORT: dict[str, Any] = {"epochs": 2.0, "batch_size": 32, "learning_rate": 1e-3, "precision": "fp32", "layers": 2}


def make_method(config: TheseusConfig, *sizes: int) -> Replacing:
    replacement = make_replacement(make_model(num_hidden_layers=sum(sizes)), *sizes)
    return Replacing(replacement, config, SoftLabels(KINDS["classification"], config))


def test_draws_are_independent_coins_of_the_rate() -> None:
    method = make_method(TheseusConfig(schedule=ConstantSchedule(0.3, 1.0)), *[2] * 6)
    draws = np.array([method.gates(step, 10_000) for step in range(10_000)])
    sigma = (0.3 * 0.7 / 10_000) ** 0.5
    assert draws.mean(axis=0) == pytest.approx([0.3] * 6, abs=3.5 * sigma)
    assert draws.mean() == pytest.approx(0.3, abs=3 * sigma / 6**0.5)
    correlations = np.corrcoef(draws.T) - np.eye(6)
    assert np.abs(correlations).max() < 0.04
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.04


def test_draws_depend_on_seed_and_step_alone() -> None:
    """So they are the same after a resume, in every process, and in each micro-batch of a step."""
    config = TheseusConfig(schedule=ConstantSchedule(0.5, 1.0))
    one, other = make_method(config, *[2] * 6), make_method(config, *[2] * 6)
    order = np.random.default_rng(0).permutation(50)
    expected = [one.gates(step, 100).tolist() for step in range(50)]
    assert [other.gates(int(step), 100).tolist() for step in order] == [expected[step] for step in order]
    reseeded = make_method(replace(config, seed=7), *[2] * 6)
    assert [reseeded.gates(step, 100).tolist() for step in range(50)] != expected


@pytest.mark.parametrize("micro_batches", [1, 4])
def test_gates_are_set_once_for_each_step_even_after_a_resume(
    predecessor: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, micro_batches: int
) -> None:
    steps: list[int] = []
    original = Replacing.before_step

    def noted(self: Replacing, step: int, total: int) -> bool:
        steps.append(step)
        if step == 8 and steps.count(8) == 1:
            signal.raise_signal(signal.SIGINT)
        return original(self, step, total)

    monkeypatch.setattr(Replacing, "before_step", noted)
    config = TheseusConfig(**SHORT, micro_batches=micro_batches)
    with pytest.raises(KeyboardInterrupt):
        compress(open_source(predecessor), tmp_path / "out", config, data)
    assert steps == list(range(9))
    compress(open_source(predecessor), tmp_path / "out", config, data)
    assert steps == list(range(12))


def test_a_step_without_a_replaced_module_is_skipped() -> None:
    """(1 - b)^n of them: 34 % with b = 0.3 and three modules."""
    method = make_method(TheseusConfig(schedule=ConstantSchedule(0.3, 1.0)), 2, 2, 2)
    computed = [method.before_step(step, 3000) for step in range(3000)]
    assert 1 - np.mean(computed) == pytest.approx(0.7**3, abs=0.03)
    assert computed == [bool(method.gates(step, 3000).any()) for step in range(3000)]
    assert all((method.layers_run(step, 3000) > 0) is computed[step] for step in range(3000))


def test_layers_run_are_one_for_a_replaced_module_and_c_for_another() -> None:
    method = make_method(TheseusConfig(schedule=ConstantSchedule(0.5, 1.0)), 1, 2, 3, 6)
    for step in range(200):
        gates = method.gates(step, 200)
        expected = sum(1 if gate else size for gate, size in zip(gates, (1, 2, 3, 6), strict=True))
        assert method.layers_run(step, 200) == (expected if gates.any() else 0)
    equal = make_method(TheseusConfig(schedule=ConstantSchedule(0.5, 1.0)), *[2] * 6)
    layers = [equal.layers_run(step, 4000) for step in range(4000)]
    # n (p + (1 - p) c), less the steps that are skipped and would have cost all 12.
    assert np.mean(layers) == pytest.approx(6 * (0.5 + 0.5 * 2) - 0.5**6 * 12, abs=0.1)


def test_what_learns_follows_the_phase() -> None:
    method = make_method(TheseusConfig(schedule=LinearSchedule(0.3, 0.5), second_phase="head"), 2, 2)
    classifier, embeddings = method.model.classifier.weight, method.model.bert.embeddings.word_embeddings.weight
    # The optimizer is made before the first step, of what requires a gradient then.
    assert classifier.requires_grad
    states = []
    for step in (0, 49, 50, 99):
        method.before_step(step, 100)
        states.append((classifier.requires_grad, embeddings.requires_grad))
    assert states == [(False, False), (False, False), (True, False), (True, False)]
    assert [method.may_stop(step, 100) for step in (0, 49, 50)] == [False, False, True]


def test_the_training_tells_rates_and_compute(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    config = TheseusConfig(**SHORT, schedule=LinearSchedule(0.3, 0.5))
    artifact = compress(open_source(predecessor), tmp_path / "out", config, data)
    made_by = artifact.manifest.made_by
    assert made_by.facts_of(TrainingFacts).steps == 12
    logged = {entry["step"]: entry["replacing_rate"] for entry in curve_of(artifact.path) if "loss" in entry}
    assert logged == {6: pytest.approx(0.3 + 0.7 * 5 / 6), 12: 1.0}
    method = make_method(config, 2, 2)
    # And those of the predecessor, for its answers to rows and copies.
    asked = 2 * 6 * 4
    assert made_by.facts_of(TrainingFacts).layer_steps == asked + sum(method.layers_run(step, 12) for step in range(12))
    assert made_by.config["schedule"] == {"type": "LinearSchedule", "base_rate": 0.3, "ramp": 0.5}
    assert made_by.config["type"] == "TheseusConfig"


def test_groups_of_any_size_are_trained(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    config = TheseusConfig(**SHORT | {"layers": None}, grouping=(1, 3))
    artifact = compress(open_source(predecessor), tmp_path / "out", config, data)
    assert open_source(artifact.path).layers == 2


def test_a_successor_can_start_from_the_pretrained_encoder(
    encoder: Path, predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    """One step with a vanishing learning rate: what comes out is what it started from."""
    still = SHORT | {"epochs": 1 / 3, "learning_rate": 1e-30}
    config = TheseusConfig(**still, init_from=encoder, init_layers="spread")
    out = compress(open_source(predecessor), tmp_path / "out", config, data).path
    ours, pretrained, fine_tuned = (load_file(path / "model.safetensors") for path in (out, encoder, predecessor))
    for index, source in enumerate((0, 2)):
        name = "encoder.layer.{}.output.dense.weight"
        assert torch.equal(ours["bert." + name.format(index)], pretrained[name.format(source)])
    shell = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(ours[shell], fine_tuned[shell])
    assert torch.equal(ours["classifier.weight"], fine_tuned["classifier.weight"])
    made_by = Artifact.open(out).manifest.made_by
    digest = hashlib.sha256((encoder / "model.safetensors").read_bytes()).hexdigest()
    assert made_by.facts_of(TrainingFacts).init_from == Origin(encoder.name, digest)


def test_layers_of_another_size_do_not_fit(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    other = tmp_path / "other"
    make_model(hidden_size=64).save_pretrained(other)
    write_tokenizer(other)
    config = TheseusConfig(**SHORT, init_from=other)
    with pytest.raises(ModelError, match="`init_from` does not fit the predecessor: another architecture"):
        compress(open_source(predecessor), tmp_path / "out", config, data)


def test_a_schedule_that_never_reaches_one_is_refused_before_anything_is_done(
    predecessor: Path, data: DataConfig, tmp_path: Path
) -> None:
    config = TheseusConfig(**SHORT, schedule=LinearSchedule(0.3, 500))
    with pytest.raises(UsageError, match="ends after 500 of 12 steps"):
        compress(open_source(predecessor), tmp_path / "out", config, data)
    assert not list(tmp_path.iterdir())


def test_without_its_second_phase_the_successor_is_worse(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    """With equal steps: its layers have hardly met each other."""
    shared: dict[str, Any] = SHORT | {"epochs": 4.0, "batch_size": 16, "learning_rate": 2e-3}
    schedules = {"all": ConstantSchedule(0.3, 0.5), "none": ConstantSchedule(0.3, 1.0)}
    losses = []
    for phase, schedule in schedules.items():
        config = TheseusConfig(**shared, schedule=schedule, second_phase=phase)  # type: ignore[arg-type]
        curve = curve_of(compress(open_source(predecessor), tmp_path / phase, config, data).path)
        losses.append(min(entry["eval_loss"] for entry in curve if "eval_loss" in entry))
    assert losses[0] < 0.9 * losses[1]
