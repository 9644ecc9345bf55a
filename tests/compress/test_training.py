"""Training through Trainer: what moves, what does not, and what is told of it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from replank.data.config import DataConfig
from replank.data.examples import Examples
from replank.data.training_examples import LabelledExamples
from replank.models.artifact import Artifact
from replank.models.manifest import FileFacts
from replank.models.source import open_source
from replank.models.training_facts import TrainingFacts
from replank.runtime.load import load_model
from replank.system import extras
from replank.system.errors import MissingExtraError, TrainingError, UsageError
from replank_compress.finetune import finetune
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.schedule import LinearSchedule
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.successor import compress
from replank_compress.training import trainer
from replank_compress.training.batches import LengthGrouped
from replank_compress.training.config import FinetuneConfig, TrainingConfig
from training_runs import SHORT, weights


def test_the_successor_is_a_plain_model_with_the_same_answers(successor: Path, data: DataConfig) -> None:
    model, report = AutoModelForSequenceClassification.from_pretrained(successor, output_loading_info=True)
    assert model.config.num_hidden_layers == len(model.bert.encoder.layer) == 2
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    source = open_source(successor)
    loaded = load_model(source)
    texts = data.load().split("dev").first[:8]
    batch = loaded.text_encoder.pad(loaded.text_encoder.tokenize(texts))
    with torch.inference_mode():
        inputs = {name: torch.from_numpy(value) for name, value in batch.inputs().items()}
        expected = model.eval()(**inputs).logits.numpy()
    assert np.abs(loaded.predictor(batch) - expected).max() <= 1e-6


def test_replacing_moves_only_the_successors_layers(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    config = TheseusConfig(**SHORT, weight_decay=0.1, layers=2, second_phase="layers")
    out = compress(open_source(predecessor), tmp_path / "successor", config, data).path
    before, after = weights(predecessor), weights(out)
    layers = {name for name in after if ".encoder.layer." in name}
    assert layers < set(after)
    assert all(torch.equal(before[name], after[name]) for name in set(after) - layers)
    # Key biases have no gradient but rounding: softmax does not see them.
    moved = {name for name in layers if not torch.equal(before[name], after[name])}
    assert moved >= {name for name in layers if "key.bias" not in name}


def test_the_second_phase_moves_everything(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    config = TheseusConfig(**SHORT, layers=2, schedule=LinearSchedule(0.3, 0.3))
    out = compress(open_source(predecessor), tmp_path / "successor", config, data).path
    before, after = weights(predecessor), weights(out)
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])
    assert not torch.equal(
        before["bert.embeddings.word_embeddings.weight"], after["bert.embeddings.word_embeddings.weight"]
    )


def test_a_package_that_only_the_end_needs_is_missed_at_the_start(
    encoder: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = extras.installed_version
    monkeypatch.setattr(extras, "installed_version", lambda name: None if name == "matplotlib" else real(name))
    with pytest.raises(MissingExtraError, match="not installed: matplotlib"):
        finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT), data)
    assert list(tmp_path.glob("out*")) == []


def test_a_loss_that_is_no_number_ends_the_run(encoder: Path, data: DataConfig, tmp_path: Path) -> None:
    config = FinetuneConfig(**SHORT | {"learning_rate": 1e30})
    with pytest.raises(TrainingError, match=r"the loss is .* at step"):
        finetune(open_source(encoder), tmp_path / "out", config, data)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.work").exists()


def test_regression_and_pairs_are_trained_and_stored(encoder: Path, tmp_path: Path) -> None:
    # More than two texts, whose order alone would have a correlation of 1.
    scores = {"good": 5, "fine": 3, "poor": 2, "bad": 0.5}
    rows = [f'{{"a": "good film", "b": "{word} {word} film", "score": {score}}}' for word, score in scores.items()]
    for split in ("train", "dev"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(rows * 10), encoding="utf-8")
    data = DataConfig(data=tmp_path, text="a", text_pair="b", label="score", task="regression")
    longer = SHORT | {"epochs": 60, "batch_size": 8, "learning_rate": 5e-3}
    config = FinetuneConfig(**longer)
    artifact = finetune(open_source(encoder), tmp_path / "out", config, data)
    assert artifact.manifest.task.kind.name == "regression"
    assert artifact.manifest.task.columns == ("a", "b")
    assert artifact.manifest.quality is not None
    assert artifact.manifest.quality.metrics["pearson"] >= 0.99
    loaded = load_model(open_source(artifact.path))
    pairs = ["good film"] * 2, ["good good film", "bad bad film"]
    good, bad = loaded.logits(*pairs)[:, 0]
    assert good - bad > 1
    # A successor learns the numbers that the predecessor gives, whatever the training split says.
    untold = [re.sub('"score": .*}', '"score": 1}', row) for row in rows]
    (tmp_path / "train.jsonl").write_text("\n".join(untold * 10), encoding="utf-8")
    taught = KdConfig(**longer, soft_weight=1, init_layers="first", layers=2)
    successor = compress(open_source(artifact.path), tmp_path / "successor", taught, data)
    found = load_model(open_source(successor.path)).logits(*pairs)[:, 0]
    assert found[0] - found[1] == pytest.approx(good - bad, rel=0.2)


def test_every_epoch_has_its_own_order_and_every_example_once(encoder: Path, data: DataConfig) -> None:
    rows = Examples([" ".join(["film"] * (index % 7 + 1)) for index in range(50)], None, np.zeros(50, dtype=np.int64))
    task = data.load().task
    epoch = 0
    examples = LabelledExamples(task, open_source(encoder).text_encoder(task), rows)
    sampler = LengthGrouped(8, examples.lengths, 1, lambda: epoch)
    first, again = list(sampler), list(sampler)
    epoch = 1
    second = list(sampler)
    assert first == again
    assert {index.epoch for index in first} == {0}
    assert {index.epoch for index in second} == {1}
    orders = [[index.row for index in order] for order in (first, second)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(len(sampler))) == list(range(50))


def test_a_seed_is_not_another_one_moved_by_an_epoch() -> None:
    orders = [
        tuple(index.row for index in LengthGrouped(8, [5] * 50, seed, lambda epoch=epoch: epoch))  # type: ignore[misc]
        for seed in range(3)
        for epoch in range(3)
    ]
    assert len(set(orders)) == 9


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", -1),
        ("learning_rate", 0.0),
        ("warmup", 1.0),
        ("weight_decay", -0.1),
        ("seed", -1),
    ],
)
def test_settings_that_cannot_work_are_refused(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"`{field}` is {value}; expected"):
        TrainingConfig(**{field: value})


def test_the_artifact_tells_the_curve_the_best_and_the_compute(successor: Path) -> None:
    facts = Artifact.open(successor).manifest.made_by.facts_of(TrainingFacts)
    assert facts.steps == 72
    training = json.loads((successor / "training.json").read_text())
    evaluated = [entry["eval_headline"] for entry in training["curve"] if "eval_headline" in entry]
    assert len(evaluated) == 6
    assert facts.best_dev == {"accuracy": max(evaluated)}
    seconds = [entry["seconds"] for entry in training["curve"]]
    assert 0 < seconds[0] <= seconds[-1] <= training["seconds"]
    assert seconds == sorted(seconds)
    # Between one layer and two for each of two modules, but for the steps that are skipped.
    assert facts.layer_steps is not None
    assert 72 * 0.7 * 2 < facts.layer_steps < 72 * 4


def test_the_last_line_of_progress_has_the_last_evaluation(
    encoder: Path, data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = finetune(open_source(encoder), tmp_path / "predecessor", FinetuneConfig(epochs=1), data).path
    last = [line for line in capsys.readouterr().err.splitlines() if line.startswith("finetune: ")][-1]
    curve = json.loads((out / "training.json").read_text(encoding="utf-8"))["curve"]
    evaluations = [entry for entry in curve if "eval_headline" in entry]
    steps = evaluations[-1]["step"]
    assert last.startswith(f"finetune: {steps}/{steps} ")
    assert last.endswith(f"dev {evaluations[-1]['eval_headline']:.3f}")


def test_how_long_it_took_does_not_make_another_model(successor: Path) -> None:
    manifest = Artifact.open(successor).manifest
    slower = replace(manifest, files=manifest.files | {"training.json": FileFacts("0", 1)})
    other = replace(manifest, files=manifest.files | {"config.json": FileFacts("0", 1)})
    assert slower.digest == manifest.digest != other.digest


def test_weights_that_are_no_numbers_are_never_kept(
    encoder: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They turn bad in the last step before an evaluation, after its loss."""
    original = trainer.MethodTrainer.evaluate

    def evaluate(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 12:
            self.model.classifier.weight.data[:] = float("nan")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(trainer.MethodTrainer, "evaluate", evaluate)
    with pytest.raises(TrainingError, match=r"a weight became NaN or infinite at step 12; .*checkpoint-6$"):
        finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT), data)
    assert [path.name for path in sorted((tmp_path / "out.work").iterdir())] == ["checkpoint-6", "run.json"]


def test_a_model_that_shows_its_hidden_states_is_trained(encoder: Path, data: DataConfig, tmp_path: Path) -> None:
    shown = shutil.copytree(encoder, tmp_path / "encoder")
    config = json.loads((shown / "config.json").read_text()) | {"output_hidden_states": True, "output_attentions": True}
    (shown / "config.json").write_text(json.dumps(config))
    artifact = finetune(open_source(shown), tmp_path / "out", FinetuneConfig(**SHORT | {"epochs": 1}), data)
    assert artifact.manifest.quality is not None


def test_each_epoch_of_a_training_has_its_own_order(
    encoder: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[list[int]] = []
    original = LengthGrouped.__iter__

    def noted(self: LengthGrouped) -> Any:
        indices = list(original(self))
        assert {index.epoch for index in indices} == {len(orders)}
        orders.append([index.row for index in indices])
        return iter(indices)

    monkeypatch.setattr(LengthGrouped, "__iter__", noted)
    finetune(open_source(encoder), tmp_path / "out", FinetuneConfig(**SHORT | {"epochs": 3}), data)
    assert len(orders) == 3
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert all(sorted(order) == list(range(192)) for order in orders)
