"""Short trainings, and their interruption."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from replank.data.config import DataConfig
from replank.models.source import open_source
from replank_compress.finetune import finetune
from replank_compress.training import trainer
from replank_compress.training.config import FinetuneConfig

SHORT: dict[str, Any] = {"epochs": 2.0, "batch_size": 32, "learning_rate": 1e-3, "precision": "fp32"}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def stop_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Send this process SIGINT, as Ctrl-C does, in the midst of a training."""
    original = trainer.MethodTrainer.training_step

    def training_step(self: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.state.global_step == step:
            signal.raise_signal(signal.SIGINT)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(trainer.MethodTrainer, "training_step", training_step)


def interrupt_finetuning(
    monkeypatch: pytest.MonkeyPatch, encoder: Path, out: Path, data: DataConfig, step: int
) -> None:
    """Leave the checkpoints of a fine-tuning that was stopped after a step."""
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        with pytest.raises(KeyboardInterrupt):
            finetune(open_source(encoder), out, FinetuneConfig(**SHORT), data)
