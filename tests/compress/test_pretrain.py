"""Pretraining: stages, their boundaries, resuming, and an encoder that every later stage takes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM

from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.models.training_facts import PretrainingFacts
from replank.reporting.commands import commands
from replank.reporting.facts import read_facts
from replank.system.errors import DataError, FieldError, ModelError, TrainingError, UsageError
from replank_compress.finetune import finetune
from replank_compress.growing.config import Moments, PretrainConfig
from replank_compress.growing.schedule import Stage
from replank_compress.growing.stage import StageTrainer
from replank_compress.growing.texts import load_texts
from replank_compress.pretrain import pretrain
from replank_compress.training.config import FinetuneConfig
from tiny import VOCABULARY, curve_of, save_texts, tiny_settings, write_tokenizer
from training_runs import stop_after, weights

RATE: dict[str, Any] = {"learning_rate": 3e-3, "warmup": 0.1}
CONFIG = PretrainConfig(
    stages=(
        Stage(steps=8, layers=2, width=32, pooling=2, **RATE),
        Stage(steps=6, width=32, **RATE),
        Stage(steps=10, **RATE),
    ),
    batch_size=8,
    precision="fp32",
    evaluate_every=4,
)


@pytest.fixture(scope="module")
def blueprint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration and a tokenizer, and no weights."""
    folder = tmp_path_factory.mktemp("blueprint")
    settings = tiny_settings(hidden_dropout_prob=0.1)
    del settings["vocab_size"]
    (folder / "config.json").write_text(json.dumps(settings | {"model_type": "bert"}), encoding="utf-8")
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    folder = save_texts(tmp_path_factory.mktemp("texts"), {"train": 200, "dev": 40})
    return DataConfig(data=folder, max_length=32)


@pytest.fixture(scope="module")
def grown(blueprint: Path, texts: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return pretrain(blueprint, tmp_path_factory.mktemp("grown") / "encoder", CONFIG, texts)


def test_the_stages_are_kept_with_their_cost(grown: Artifact) -> None:
    facts = grown.manifest.made_by.facts_of(PretrainingFacts)
    assert [(stage.steps, stage.layers, stage.width, stage.pooling) for stage in facts.stages] == [
        (8, 2, 32, 2),
        (6, 4, 32, 1),
        (10, 4, 64, 1),
    ]
    first, second, last = (stage.flops / stage.steps for stage in facts.stages)
    assert first < second < last
    assert facts.predicted_speedup == pytest.approx(24 * last / (8 * first + 6 * second + 10 * last) - 1)
    assert len(facts.stage_seconds) == 3
    assert min(facts.stage_seconds) > 0
    assert facts.stages[2].last_loss < facts.stages[0].first_loss
    # A wider model is the same function.
    assert facts.stages[2].first_loss == pytest.approx(facts.stages[1].last_loss, abs=1e-5)
    assert facts.stages[1].first_loss != pytest.approx(facts.stages[0].last_loss, abs=1e-3)
    curve = curve_of(grown.path)
    assert [entry["step"] for entry in curve if "eval_loss" in entry] == [0, 4, 8, 8, 12, 14, 14, 18, 22, 24]
    assert [entry["flops"] for entry in curve] == sorted(entry["flops"] for entry in curve)
    assert curve[-1]["flops"] == pytest.approx(sum(stage.flops for stage in facts.stages))


def test_a_growth_is_made_good_within_its_stage(grown: Artifact) -> None:
    """Stacking changes the function; the loss is soon below what it was before."""
    facts = grown.manifest.made_by.facts_of(PretrainingFacts)
    assert facts.stages[1].last_loss < facts.stages[0].last_loss


def test_the_result_is_a_plain_model(grown: Artifact) -> None:
    model, report = AutoModelForMaskedLM.from_pretrained(grown.path, output_loading_info=True)
    assert not report["missing_keys"]
    assert (model.config.num_hidden_layers, model.config.intermediate_size) == (4, 64)
    assert model.config.vocab_size == len(VOCABULARY)
    assert grown.manifest.parent is None
    assert grown.manifest.quality is not None
    assert not grown.path.with_name("encoder.work").exists()
    (line,) = commands(read_facts(grown.path.parent).stages)
    assert "--stage steps=8,layers=2,width=32,pooling=2,learning_rate=0.003,warmup=0.1,decay=linear --stage" in line


@pytest.mark.parametrize(
    ("stage", "step", "moments"), [(1, 5, "reset"), (2, 0, "carried"), (3, 7, "reset"), (3, 7, "carried")]
)
def test_an_interrupted_run_ends_with_the_same_weights(
    blueprint: Path,
    texts: DataConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: dict[str, Artifact],
    stage: int,
    step: int,
    moments: Moments,
) -> None:
    config = replace(CONFIG, moments=moments)
    with monkeypatch.context() as patch:
        original = StageTrainer.__init__

        def init(self: StageTrainer, *arguments: Any, **settings: Any) -> None:
            original(self, *arguments, **settings)
            if str(self.args.output_dir).endswith(f"stage-{stage}"):
                stop_after(patch, step)

        patch.setattr(StageTrainer, "__init__", init)
        with pytest.raises(KeyboardInterrupt):
            pretrain(blueprint, tmp_path / "out", config, texts)
    assert (tmp_path / "out.work" / f"stage-{stage}").is_dir()
    resumed = pretrain(blueprint, tmp_path / "out", config, texts)
    expected = undisturbed[moments]
    ours, theirs = weights(resumed.path), weights(expected.path)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert resumed.manifest.digest == expected.manifest.digest
    assert not (tmp_path / "out.work").exists()


@pytest.fixture(scope="module")
def undisturbed(
    blueprint: Path, texts: DataConfig, grown: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Artifact]:
    carried = replace(CONFIG, moments="carried")
    out = tmp_path_factory.mktemp("carried") / "encoder"
    return {"reset": grown, "carried": pretrain(blueprint, out, carried, texts)}


def test_moments_are_begun_anew_or_carried(
    blueprint: Path, texts: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AdamW's count of steps and first moments as each stage's first step finds them."""
    found: dict[Moments, list[Any]] = {"reset": [], "carried": []}
    original = StageTrainer.create_optimizer
    for moments, seen in found.items():

        def create_optimizer(self: StageTrainer, model: Any = None, seen: list[Any] = seen) -> Any:
            optimizer = original(self, model)
            states = {
                name: optimizer.state[parameter]
                for name, parameter in self._method.model.named_parameters()
                if parameter in optimizer.state
            }
            seen.append({name: {key: value.clone() for key, value in state.items()} for name, state in states.items()})
            return optimizer

        monkeypatch.setattr(StageTrainer, "create_optimizer", create_optimizer)
        pretrain(blueprint, tmp_path / moments, replace(CONFIG, moments=moments), texts)
    assert found["reset"] == [{}, {}, {}]
    first, *_, last = (state for state in found["carried"])
    assert first == {}
    assert {int(state["step"]) for state in last.values()} == {14}
    lower, upper = (last[f"bert.encoder.layer.{index}.output.dense.weight"] for index in (0, 2))
    assert lower["exp_avg"].shape == (32, 64)
    assert torch.equal(lower["exp_avg"][:, :32], lower["exp_avg"][:, 32:])
    assert upper["exp_avg"].abs().max() > 0


def test_rates_at_each_boundary_are_the_stages(blueprint: Path, texts: DataConfig, tmp_path: Path) -> None:
    stages = (
        Stage(steps=4, layers=2, learning_rate=1e-3, warmup=0.5, decay="constant"),
        Stage(steps=4, learning_rate=1e-4, warmup=0.0),
    )
    config = replace(CONFIG, stages=stages, evaluate_every=1)
    made = pretrain(blueprint, tmp_path / "out", config, texts)
    rates = [entry["learning_rate"] for entry in curve_of(made.path) if "learning_rate" in entry]
    assert rates == pytest.approx([0.0, 5e-4, 1e-3, 1e-3, 1e-4, 7.5e-5, 5e-5, 2.5e-5])


def test_checkpoints_of_another_schedule_are_not_resumed_from(
    blueprint: Path, texts: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            pretrain(blueprint, tmp_path / "out", CONFIG, texts)
    with pytest.raises(TrainingError, match=r"other data or settings \(differs in: config \(noise\)\)"):
        pretrain(blueprint, tmp_path / "out", replace(CONFIG, noise=0.1), texts)


def test_a_grown_encoder_is_fine_tuned(grown: Artifact, data: DataConfig, tmp_path: Path) -> None:
    config = FinetuneConfig(epochs=8, learning_rate=2e-3, batch_size=16, precision="fp32")
    tuned = finetune(open_source(grown.path), tmp_path / "tuned", config, data)
    quality = tuned.manifest.quality
    assert quality is not None
    assert quality.metrics["accuracy"] > 0.9
    # Nobody else has trained it: whether these rows chose anything is known.
    assert quality.chosen_on_it is False


def test_the_command_says_what_each_stage_cost(
    replank: Replank, blueprint: Path, texts: DataConfig, tmp_path: Path
) -> None:
    done = replank(
        *("pretrain", blueprint / "config.json", tmp_path / "out", "--data", texts.data, "--max-length", 32),
        *("--tokenizer", blueprint, "--batch-size", 8, "--stage", "steps=2,layers=2,pooling=2", "--stage", "steps=2"),
    )
    assert done.code == 0, done.err
    assert "stage 1 2 layers, width 64, length 32, pooling 2: 2 steps" in " ".join(done.out.split())
    assert "by FLOPs" in done.out


def test_bad_input_is_one_clear_error(replank: Replank, blueprint: Path, texts: DataConfig, tmp_path: Path) -> None:
    no_tokenizer = tmp_path / "plain"
    no_tokenizer.mkdir()
    shutil.copy(blueprint / "config.json", no_tokenizer)
    with pytest.raises(ModelError, match="has no tokenizer"):
        pretrain(no_tokenizer, tmp_path / "out", CONFIG, texts)
    settings = json.loads((blueprint / "config.json").read_text(encoding="utf-8"))
    for (name, value), message in {
        ("vocab_size", 7): "vocab_size 7, the tokenizer has",
        ("num_attention_heads", 5): "describes no model",
        ("model_type", "albert"): "its layers are one layer",
    }.items():
        (no_tokenizer / "config.json").write_text(json.dumps(settings | {name: value}), encoding="utf-8")
        with pytest.raises(ModelError, match=message):
            pretrain(no_tokenizer, tmp_path / "out", replace(CONFIG, tokenizer=blueprint), texts)
    with pytest.raises(FieldError, match="`task` is classification; expected masked-lm"):
        pretrain(blueprint, tmp_path / "out", CONFIG, replace(texts, task="classification"))
    blank = tmp_path / "blank.jsonl"
    blank.write_text('{"text": " "}\n', encoding="utf-8")
    with pytest.raises(DataError, match="the texts have no token"):
        pretrain(blueprint, tmp_path / "out", CONFIG, DataConfig(train=blank, dev=blank, max_length=32))
    short = replace(CONFIG, stages=(Stage(steps=1, length=1), Stage(steps=1)))
    with pytest.raises(FieldError, match="a stage of length 1; expected more than 1, the special tokens of a block"):
        pretrain(blueprint, tmp_path / "out", short, texts)
    done = replank("pretrain", blueprint, tmp_path / "out", "--data", texts.data, "--stage", "steps=3,layers=9")
    assert done.code == 2
    assert "stage 1 of layers 9; expected at most 4" in error_lines(done)[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blank.jsonl", "plain"]


def test_the_lines_of_a_text_file_are_texts(tmp_path: Path, texts: DataConfig) -> None:
    folder = Path(str(texts.data))
    (tmp_path / "train.txt").write_text("\ufeffa film\r\n\n  \na \u2028 scene\n", encoding="utf-8")
    (tmp_path / "dev.txt").write_text("a plot", encoding="utf-8")
    data = load_texts(DataConfig(train=tmp_path / "train.txt", dev=tmp_path / "dev.txt", max_length=16))
    assert list(data.split("train").first) == ["a film", "a \u2028 scene"]
    assert (data.task.kind.name, data.task.max_length, data.task.columns) == ("masked-lm", 16, ("text",))
    with pytest.raises(UsageError, match=r"the files of all splits must be \.txt, or none"):
        load_texts(DataConfig(train=tmp_path / "train.txt", dev=folder / "dev.jsonl"))
    for content, message in ((b"\n \n", "holds no text"), (b"caf\xe9", "cannot read .*utf-8")):
        (tmp_path / "bad.txt").write_bytes(content)
        with pytest.raises(DataError, match=message):
            load_texts(DataConfig(train=tmp_path / "bad.txt", dev=tmp_path / "dev.txt"))
    with pytest.raises(DataError, match="cannot read"):
        load_texts(DataConfig(train=tmp_path / "nothing.txt", dev=tmp_path / "dev.txt"))


def test_a_training_that_fails_leaves_nothing(
    blueprint: Path, texts: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first checkpoint."""
    stages = (Stage(steps=9, learning_rate=1e30, warmup=0.0),)
    with pytest.raises(TrainingError, match=r"the loss is nan|became NaN"):
        pretrain(blueprint, tmp_path / "out", replace(CONFIG, stages=stages, evaluate_every=9), texts)
    assert list(tmp_path.iterdir()) == []
