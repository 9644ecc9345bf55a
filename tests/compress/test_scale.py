"""Training that is cut short, cut into parts, or spread over processes is the same training."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, modeling_utils

from commands import replank_process, run_replank
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.models.training_facts import TrainingFacts
from replank.system.errors import FieldError, UsageError
from replank_compress.finetune import finetune
from replank_compress.methods.schedule import LinearSchedule
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.successor import compress
from replank_compress.training.checkpoints import newest
from replank_compress.training.config import FinetuneConfig, TrainingConfig
from small_models import make_model
from tiny import curve_of, write_tokenizer
from waiting import HANG_SECONDS

SHORT: dict[str, Any] = {"epochs": 2.0, "batch_size": 32, "learning_rate": 1e-3, "precision": "fp32"}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def compress_arguments(predecessor: Path, out: Path, data: DataConfig, epochs: int) -> list[Any]:
    """The command line of a training that no randomness of dropout tells apart on several processes, all parts on."""
    assert data.data is not None
    return [
        *("compress", predecessor, out, "--data", data.data, "--text", "sentence", "--task", "sentiment"),
        *("--epochs", epochs, "--precision", "fp32", "--batch-size", 16, "--learning-rate", 1e-3, "--max-length", 32),
        *("--init-layers", "fitted", "--module-weight", 1, "--unlabelled", Path(data.data) / "test.tsv"),
    ]


@pytest.fixture(scope="module")
def calm(predecessor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The predecessor without dropout."""
    folder = tmp_path_factory.mktemp("calm")
    model = AutoModelForSequenceClassification.from_pretrained(
        predecessor, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, dtype=torch.float32
    )
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((predecessor / name).read_bytes())
    return folder


def test_a_killed_run_ends_with_the_same_weights(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    """kill -9, three times, at whatever it does just then; each time it goes on from its last whole checkpoint."""
    arguments = [compress_arguments(predecessor, tmp_path / name, data, 12) for name in ("whole", "killed")]
    assert run_replank(*arguments[0]).code == 0
    work = tmp_path / "killed.work"
    reached = []
    for number in range(3):
        with replank_process(*arguments[1]) as process:
            before = newest(work) if work.exists() else None
            while process.poll() is None and (not work.exists() or newest(work) == before):
                time.sleep(0.01)
            time.sleep(0.05 * number)
            process.kill()
            process.communicate()
        assert process.returncode == -signal.SIGKILL
        reached.append(newest(work))
    assert reached[0] != reached[1] != reached[2]
    done = run_replank(*arguments[1])
    assert done.code == 0, done.err
    assert "resuming from" in done.err
    assert same(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    whole, killed = (Artifact.open(tmp_path / name).manifest for name in ("whole", "killed"))
    assert whole.digest == killed.digest


LAUNCHERS = {
    "torchrun": ["torchrun", "--standalone", "--no-python", "--nproc-per-node=2"],
    # On a machine without a GPU too: --cpu would start one process only.
    "accelerate": [
        *("accelerate", "launch", "--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no"),
        *("--dynamo_backend=no", "--main_process_port=0", "--no_python"),
    ],
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_train_as_one(calm: Path, data: DataConfig, tmp_path: Path, launcher: str) -> None:
    """The same batches, the same draws, gradients averaged; equal but for the order of sums."""
    one, two = (compress_arguments(calm, tmp_path / name, data, 2) for name in ("one", "two"))
    assert run_replank(*one).code == 0
    program = Path(sys.executable).parent
    name, *flags = LAUNCHERS[launcher]
    done = subprocess.run(
        [str(program / name), *flags, str(program / "replank"), *map(str, two)],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("quality") == 1
    ours, theirs = weights(tmp_path / "two"), weights(tmp_path / "one")
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in theirs) < 2e-3
    first, second = (Artifact.open(tmp_path / name).manifest for name in ("one", "two"))
    assert first.made_by.facts_of(TrainingFacts).layer_steps == second.made_by.facts_of(TrainingFacts).layer_steps
    assert first.made_by.facts_of(TrainingFacts).steps == second.made_by.facts_of(TrainingFacts).steps == 32
    assert first.quality == second.quality
    assert not (tmp_path / "two.work").exists()


def test_two_processes_go_on_in_the_midst_of_an_epoch(calm: Path, data: DataConfig, tmp_path: Path) -> None:
    """Killed after the second of three checkpoints, in an epoch that is not the first."""
    program = Path(sys.executable).parent
    torchrun = [program / "torchrun", "--standalone", "--no-python", "--nproc-per-node=2", program / "replank"]
    whole, killed = (
        [*map(str, torchrun), *map(str, compress_arguments(calm, tmp_path / name, data, 6))]
        for name in ("whole", "killed")
    )
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    done = subprocess.run(whole, check=False, timeout=HANG_SECONDS, **settings)
    assert done.returncode == 0, done.stderr
    with subprocess.Popen(killed, **settings) as process:
        while process.poll() is None and not (tmp_path / "killed.work" / "checkpoint-32").exists():
            time.sleep(0.01)
        # torchrun hands it on; both processes write a checkpoint of the step that they are in.
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=HANG_SECONDS)
    at = newest(tmp_path / "killed.work")
    assert at is not None
    done = subprocess.run(killed, check=False, timeout=HANG_SECONDS, **settings)
    assert done.returncode == 0, done.stderr
    theirs, ours = (
        [(entry["step"], entry["eval_loss"]) for entry in curve_of(tmp_path / name) if "eval_loss" in entry]
        for name in ("whole", "killed")
    )
    assert ours == theirs
    assert same(weights(tmp_path / "killed"), weights(tmp_path / "whole"))


def test_parts_of_a_step_train_as_the_whole(
    calm: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TheseusConfig(
        **SHORT, layers=2, init_layers="fitted", module_weight=1.0, schedule=LinearSchedule(0.5, 0.5)
    )
    calls = []
    original = modeling_utils.checkpoint  # type: ignore[attr-defined]

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(modeling_utils, "checkpoint", counted)
    whole, parts, again = (
        compress(open_source(calm), tmp_path / name, made, data).path
        for name, made in (
            ("whole", config),
            ("parts", replace(config, micro_batches=4)),
            ("again", replace(config, checkpoint_activations=True)),
        )
    )
    for other in (parts, again):
        ours, theirs = weights(other), weights(whole)
        assert max(float((ours[name] - theirs[name]).abs().max()) for name in theirs) < 1e-4
    assert same(weights(again), weights(whole))
    assert calls


def test_activations_that_cannot_be_computed_again_are_refused(data: DataConfig, tmp_path: Path) -> None:
    make_model("mpnet").save_pretrained(tmp_path / "mpnet")
    write_tokenizer(tmp_path / "mpnet")
    config = FinetuneConfig(**SHORT, checkpoint_activations=True)
    with pytest.raises(UsageError, match="not supported by MPNetForSequenceClassification of transformers"):
        finetune(open_source(tmp_path / "mpnet"), tmp_path / "out", config, data)


def test_training_ends_when_it_gets_no_better(
    encoder: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a learning rate that moves nothing, every evaluation after the first is one too many."""
    config = FinetuneConfig(**SHORT | {"epochs": 9.0, "learning_rate": 1e-30}, patience=2)
    with monkeypatch.context() as patch:
        patch.setattr("replank_compress.finetune.write_artifact", lambda *_, **__: pytest.exit("killed"))
        with pytest.raises(pytest.exit.Exception):
            finetune(open_source(encoder), tmp_path / "out", config, data)
    # Killed after its training had ended, it does not go on from there.
    artifact = finetune(open_source(encoder), tmp_path / "out", config, data)
    assert artifact.manifest.made_by.facts_of(TrainingFacts).steps == 3 * 6
    assert len([entry for entry in curve_of(artifact.path) if "eval_headline" in entry]) == 3


def test_replacing_is_not_stopped_in_its_first_phase(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    settings = SHORT | {"epochs": 9.0, "learning_rate": 1e-30}
    config = TheseusConfig(**settings, layers=2, patience=1, schedule=LinearSchedule(0.3, 24))
    made_by = compress(open_source(predecessor), tmp_path / "out", config, data).manifest.made_by
    # The first evaluation that counts comes with the last step of the ramp, after 24; the second ends it.
    assert made_by.facts_of(TrainingFacts).steps == 30


def test_a_batch_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(FieldError, match=r"a multiple of 3 \(1 processes times 3 micro-batches\)") as error:
        TrainingConfig(micro_batches=3).rows_at_once()
    assert (error.value.field, error.value.value) == ("batch_size", 32)
