"""Training with quantization: what is trained is what the integers will be, and it is a training like any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from commands import Replank, error_lines
from integer_encoders import FAMILIES, integer_encoder, random_inputs
from replank.data.config import DataConfig
from replank.integer.ranges import RANGES_FILE, read_ranges
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.models.training_facts import TrainingFacts
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import FieldError, ModelError, TrainingError
from replank_compress.integer.config import IntegerFinetuneConfig
from replank_compress.integer.method import IntegerMethod
from replank_compress.integer_finetune import finetune_integer
from replank_export.integer.config import IntegerInt8
from replank_export.quantize_integer import quantize_integer
from small_models import make_model, save_model
from tiny import curve_of
from training_runs import SHORT, stop_after, weights

CONFIG = IntegerFinetuneConfig(**SHORT | {"learning_rate": 2e-4})


@pytest.fixture(scope="module")
def ready(successor: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return finetune_integer(open_source(successor), tmp_path_factory.mktemp("integer") / "ready", CONFIG, data)


def facts_of(artifact: Artifact) -> TrainingFacts:
    facts = artifact.manifest.made_by.facts
    assert isinstance(facts, TrainingFacts)
    return facts


def test_the_result_is_a_plain_model_with_the_ranges_of_its_activations(successor: Path, ready: Artifact) -> None:
    assert weights(ready.path).keys() == weights(successor).keys()
    assert RANGES_FILE in ready.manifest.files
    ranges = read_ranges(ready.path)
    assert ranges is not None
    model = load_torch_model(open_source(ready.path))
    ids = np.random.default_rng(0).integers(5, model.config.vocab_size, (8, 20))
    mask = np.ones_like(ids)
    encoder = integer_encoder(model, ranges)
    with torch.inference_mode():
        real = model.base_model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))[0].numpy()
    assert ((encoder(ids, mask) * encoder.scale - real) ** 2).mean() < (real**2).mean() / 100


def test_the_manifest_tells_what_the_integers_answer(successor: Path, ready: Artifact) -> None:
    metrics = facts_of(ready).integer_metrics
    before = Artifact.open(successor).manifest.quality
    assert metrics is not None and before is not None
    # Words decide the sentiment, and the successor knows them.
    assert metrics["accuracy"] >= before.metrics["accuracy"] - 0.05
    assert facts_of(ready).answers is not None


def test_the_quantized_model_answers_as_the_trained_one_did(ready: Artifact, data: DataConfig) -> None:
    """Its ranges are those of the training: no text is calibrated on."""
    out = ready.path.with_name("integer")
    quantized = quantize_integer(open_source(ready.path), out, IntegerInt8(max_drop=0.1), data)
    assert (out / RANGES_FILE).read_bytes() == (ready.path / RANGES_FILE).read_bytes()
    quality = quantized.manifest.quality
    assert quality is not None
    assert quality.metrics == facts_of(ready).integer_metrics


def test_training_lowers_the_loss(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    """Of a model that is hurt by noise, learning the answers on labels."""
    source = open_source(predecessor)
    model = load_torch_model(source)
    torch.manual_seed(0)
    for parameter in model.base_model.encoder.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    hurt = tmp_path / "hurt"
    model.save_pretrained(hurt)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (hurt / name).write_bytes((predecessor / name).read_bytes())
    config = IntegerFinetuneConfig(**SHORT | {"epochs": 6}, soft_weight=0.0)
    artifact = finetune_integer(open_source(hurt), tmp_path / "out", config, data)
    losses = [entry["eval_loss"] for entry in curve_of(artifact.path) if "eval_loss" in entry]
    assert losses[-1] < 0.8 * losses[0]
    assert facts_of(artifact).answers is None


@pytest.mark.parametrize("step", [3, 8])
def test_an_interrupted_run_ends_with_the_same_weights_and_ranges(
    successor: Path, data: DataConfig, ready: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    source = open_source(successor)
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        with pytest.raises(KeyboardInterrupt):
            finetune_integer(source, tmp_path / "out", CONFIG, data)
    assert not (tmp_path / "out").exists()
    resumed = finetune_integer(source, tmp_path / "out", CONFIG, data)
    assert not (tmp_path / "out.work").exists()
    for name in ("model.safetensors", RANGES_FILE):
        assert resumed.manifest.files[name] == ready.manifest.files[name]
    assert resumed.manifest.digest == ready.manifest.digest


def test_micro_batches_learn_as_one_batch_does(
    successor: Path, data: DataConfig, ready: Artifact, tmp_path: Path
) -> None:
    config = IntegerFinetuneConfig(**SHORT | {"learning_rate": 2e-4, "micro_batches": 2})
    parted = finetune_integer(open_source(successor), tmp_path / "out", config, data)
    ours, theirs = weights(parted.path), weights(ready.path)
    before = weights(successor)
    moved = sum(float((theirs[name] - before[name]).square().sum()) for name in before)
    apart = sum(float((theirs[name] - ours[name]).square().sum()) for name in before)
    # Ranges follow each part, so that the numbers are not the same, but the way is.
    assert apart < moved / 4


def test_what_cannot_be_trained_is_refused_with_nothing_written(
    predecessor: Path, encoder: Path, data: DataConfig, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"'mpnet'.*relative positions"):
        finetune_integer(open_source(save_model("mpnet", tmp_path / "mpnet")), tmp_path / "out", CONFIG, data)
    with pytest.raises(ModelError, match="an encoder without a classification head"):
        finetune_integer(open_source(encoder), tmp_path / "out", CONFIG, data)
    with pytest.raises(FieldError, match="checkpoint_activations"):
        IntegerFinetuneConfig(checkpoint_activations=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mpnet"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_familys_head_answers_from_integers_and_then_as_before(family: str, data: DataConfig) -> None:
    model = make_model(family, **FAMILIES[family])
    ids, mask = map(torch.from_numpy, random_inputs(model, 6, 20))
    before, names = model(input_ids=ids, attention_mask=mask).logits, list(model.state_dict())
    method = IntegerMethod(data.load().task.kind, model, CONFIG, name="m", asks_each_step=False)
    outputs = model.train()(input_ids=ids, attention_mask=mask, labels=torch.zeros(6, dtype=torch.long))
    outputs.loss.backward()
    assert all(weight.grad is not None for name, weight in model.named_parameters() if "position" not in name)
    difference = (outputs.logits - before).square().mean()
    assert 0 < difference < before.square().mean() / 10
    assert set(names) < set(model.state_dict())
    plain = method.extract()
    assert list(plain.state_dict()) == names
    assert torch.equal(plain(input_ids=ids, attention_mask=mask).logits, before)


def test_values_that_are_no_numbers_end_it(data: DataConfig) -> None:
    model = make_model()
    task = data.load().task
    method = IntegerMethod(task.kind, model, CONFIG, name="m", asks_each_step=False)
    ids = torch.full((2, 4), 7)
    model.train()
    model.base_model(input_ids=ids)
    model.bert.encoder.layer[1].intermediate.dense.weight.data[3, 3] = float("nan")
    with pytest.raises(TrainingError, match=r"weights of encoder\.layer\.1\.intermediate\.dense became NaN"):
        model.base_model(input_ids=ids)
    assert method.extract().bert.forward.__func__ is type(model.bert).forward


def test_the_command_line(successor: Path, data: DataConfig, tmp_path: Path, replank: Replank) -> None:
    names = ("--dataset", "sentiment", "--data", data.data, "--text", "sentence", "--max-length", "32")
    done = replank("finetune", successor, tmp_path / "out", *names, "--integer", "--epochs", "1", "--json")
    assert done.code == 0, done.err
    assert RANGES_FILE in json.loads(done.out)["files"]
    refused = replank("finetune", successor, tmp_path / "o", *names, "--soft-weight", "0.5")
    assert "--soft-weight is a setting of --integer, not of float" in error_lines(refused)[0]
