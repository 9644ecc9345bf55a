"""Steps that a method skips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer  # type: ignore[import-untyped]

from replank.data.config import DataConfig
from replank.data.training_examples import LabelledExamples
from replank.models.encoders import ENCODERS
from replank.models.source import open_source
from replank_compress.training.arguments import training_arguments
from replank_compress.training.batches import Collator
from replank_compress.training.callbacks import Spending
from replank_compress.training.config import TrainingConfig
from replank_compress.training.method import Method
from replank_compress.training.trainer import MethodTrainer
from small_models import make_model


class EverySecond(Method):
    """Plain fine-tuning that skips every second step."""

    def before_step(self, step: int, total: int) -> bool:
        return step % 2 == 0


def make_trainer(encoder: Path, data: DataConfig, out: Path) -> MethodTrainer:
    config = TrainingConfig(batch_size=8, precision="fp32", weight_decay=0.1, learning_rate=1e-2)
    loaded = data.load()
    text_encoder = open_source(encoder).text_encoder(loaded.task)
    examples = LabelledExamples(loaded.task, text_encoder, loaded.split("train"))
    return MethodTrainer(
        EverySecond(make_model()),
        10,
        config.batch_size,
        Spending(),
        args=training_arguments(config, ENCODERS["bert"], out, len(examples), of_vectors=False),
        train_dataset=examples,
        eval_dataset=examples,
        data_collator=Collator(text_encoder, loaded.task.kind),
    )


@pytest.mark.parametrize("scale", [None, 4.0])
def test_a_skipped_step_moves_nothing_and_suits_a_gradient_scaler(
    encoder: Path, data: DataConfig, tmp_path: Path, scale: float | None
) -> None:
    """fp16's scaler wants a gradient of each step; momentum and weight decay must not act on it."""
    trainer = make_trainer(encoder, data, tmp_path)
    model: Any = trainer.model
    inner = trainer.create_optimizer()
    scaler = torch.amp.GradScaler("cpu", init_scale=scale) if scale else None
    trainer.accelerator.scaler = scaler
    optimizer: Any = AcceleratedOptimizer(inner, device_placement=False, scaler=scaler)
    trainer.optimizer = optimizer
    batch = next(iter(trainer.get_train_dataloader()))

    def step(number: int) -> dict[str, torch.Tensor]:
        trainer.state.global_step = number
        trainer.callback_handler.on_step_begin(trainer.args, trainer.state, trainer.control)
        loss = trainer.training_step(model, dict(batch))
        assert torch.isfinite(loss)
        if scaler:
            scaler.unscale_(inner)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        assert not optimizer.step_was_skipped
        optimizer.zero_grad()
        return {name: value.detach().clone() for name, value in model.named_parameters()}

    trainer.current_gradient_accumulation_steps = 1
    first, second, third = step(0), step(1), step(2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    moved = [name for name in first if not torch.equal(second[name], third[name])]
    assert "classifier.weight" in moved
    counts = {int(state["step"]) for state in inner.state.values()}
    assert counts == {2}
