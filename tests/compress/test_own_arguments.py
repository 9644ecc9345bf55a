"""Arguments of transformers' Trainer beside replank's settings, and trackers."""

from __future__ import annotations

import struct
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import transformers
from transformers import TrainingArguments

from replank.chain.plan import RunConfig
from replank.data.config import DataConfig
from replank.models.encoders import ENCODERS
from replank.models.provenance import config_json
from replank.models.source import open_source
from replank.system.errors import FieldError, MissingExtraError, TrainingError, UsageError
from replank.system.extras import installed_version
from replank.system.trackers import require_tracker
from replank_compress.finetune import finetune
from replank_compress.training.arguments import training_arguments
from replank_compress.training.config import FinetuneConfig
from replank_compress.training.own_arguments import OWNED, own_arguments
from training_runs import SHORT, interrupt_finetuning

# What is passed on as it is. A further one of a new release is owned or not: that is to be decided, not left to chance.
PASSED = {
    *("lr_scheduler_type", "lr_scheduler_kwargs", "optim", "optim_args", "optim_target_modules", "max_grad_norm"),
    *("adam_beta1", "adam_beta2", "adam_epsilon", "neftune_noise_alpha", "tf32", "torch_empty_cache_steps"),
    *("activation_checkpointing_kwargs", "gradient_checkpointing_kwargs", "use_cache", "full_determinism"),
    *("logging_first_step", "logging_nan_inf_filter", "debug", "skip_memory_metrics", "dataloader_num_workers"),
    *("run_name", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "hub_private_repo"),
    *("ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_backend"),
}


def test_every_argument_is_owned_or_passed_on() -> None:
    names = {entry.name for entry in fields(TrainingArguments) if entry.init}
    assert names - OWNED == PASSED, f"transformers {transformers.__version__}"


def test_arguments_from_a_file_reach_the_trainer(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "max_grad_norm: 5e-1\nlr_scheduler_type: cosine\nlr_scheduler_kwargs: {num_cycles: 0.5}\nrun_name: no\n",
        encoding="utf-8",
    )
    config = FinetuneConfig(**SHORT, training_arguments=file)
    # The file is read at once: what it says is a part of the run's identity.
    assert config_json(config)["training_arguments"] == {
        "max_grad_norm": 0.5,
        "lr_scheduler_type": "cosine",
        "lr_scheduler_kwargs": {"num_cycles": 0.5},
        "run_name": "no",
    }
    found = training_arguments(config, ENCODERS["bert"], tmp_path, 64, of_vectors=False)
    assert (found.max_grad_norm, found.lr_scheduler_type, found.run_name) == (0.5, "cosine", "no")
    assert found.report_to == []
    # In a chain it is the same for both trainings.
    plan = RunConfig(training_arguments=file).plan()
    assert plan.finetune.training_arguments == plan.compress.training_arguments == config.training_arguments


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("learning_rate: 1", "line 1: learning_rate is replank's own", "`learning_rate` sets it"),
        ("num_train_epochs: 1", "line 1: num_train_epochs is replank's own", "`epochs` sets it"),
        ("optim: sgd\nsave_steps: 9", "line 2: save_steps is replank's own: replank writes", "leave it out"),
        ("max_grad_nrom: 1", "line 1: max_grad_nrom is no setting", "did you mean max_grad_norm?"),
        ("max_grad_norm: high", 'line 1: max_grad_norm is "high"; expected a number', None),
        ("full_determinism: no", 'line 1: full_determinism is "no"; expected true or false', None),
        ("optim_args: [1]", r"line 1: optim_args is \[1\]; expected a text, null", None),
        ("optim: !!python/name:os.system", "line 1: optim has a tag that is not YAML's own", None),
    ],
)
def test_a_wrong_file_names_line_and_key(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=f"own.yaml, {message}") as refusal:
        own_arguments(file)
    assert refusal.value.hint == hint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bf16": True}, "`training_arguments`: bf16 is replank's own"),
        ({"optimm": "sgd"}, "`training_arguments`: optimm is no argument of transformers' TrainingArguments"),
        ({"max_grad_norm": None}, "`training_arguments`: max_grad_norm is null; expected a number"),
    ],
)
def test_wrong_values_are_refused_without_a_file_too(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FinetuneConfig(training_arguments=values)


def test_what_transformers_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    config = FinetuneConfig(**SHORT, training_arguments={"optim": "adamx"})
    with pytest.raises(UsageError, match="`training_arguments`: adamx is not a valid OptimizerNames"):
        training_arguments(config, ENCODERS["bert"], tmp_path, 64, of_vectors=False)


@pytest.mark.parametrize("tracker", ["wandb", "mlflow", "trackio"])
def test_a_tracker_is_transformers_own(tmp_path: Path, tracker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = FinetuneConfig(**SHORT, report_to=tracker)
    assert training_arguments(config, ENCODERS["bert"], tmp_path, 64, of_vectors=False).report_to == [tracker]
    assert "report_to" not in config_json(config)
    if installed_version(tracker) is None:
        with pytest.raises(MissingExtraError, match=f"not installed: {tracker}") as refusal:
            require_tracker(tracker)
        assert refusal.value.hint == f"pip install {tracker}"


def test_an_unknown_tracker_is_refused() -> None:
    for config in (FinetuneConfig, RunConfig):
        with pytest.raises(
            FieldError, match="`report_to` is comet; expected one of tensorboard, wandb, mlflow, trackio"
        ):
            config(report_to="comet")  # type: ignore[arg-type]


def test_checkpoints_of_other_arguments_are_not_resumed_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Path, data: DataConfig
) -> None:
    interrupt_finetuning(monkeypatch, encoder, tmp_path / "out", data, step=5)
    other = FinetuneConfig(**SHORT, training_arguments={"max_grad_norm": 0.1})
    with pytest.raises(TrainingError, match=r"differs in: config \(training_arguments\)"):
        finetune(open_source(encoder), tmp_path / "out", other, data)


def test_tensorboard_gets_the_curve_beside_the_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Path, data: DataConfig
) -> None:
    """Also of one that began without a tracker, and nothing of it stays in the folder of checkpoints."""
    pytest.importorskip("tensorboardX", reason="tensorboardX, which writes TensorBoard's files, is not installed")
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    interrupt_finetuning(monkeypatch, encoder, tmp_path / "out", data, step=9)
    config = replace(FinetuneConfig(**SHORT), report_to="tensorboard")
    finetune(open_source(encoder), tmp_path / "out", config, data)
    assert not (tmp_path / "out.work").exists()
    (file,) = (tmp_path / "out.tensorboard").iterdir()
    assert {"train/loss", "eval/headline"} <= _scalars(file)


def _scalars(file: Path) -> set[str]:
    """The names of the values in a file of events: records of a length, its checksum, the event, and its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    content, place, names = file.read_bytes(), 0, set()
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        event = Event.FromString(content[place + 12 : place + 12 + length])
        names |= {value.tag for value in event.summary.value}
        place += 12 + length + 4
    return names
