"""One stage of pretraining: transformers.Trainer on blocks of masked tokens."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import TrainerState

from replank.system.processes import is_first_process, process_count
from replank.tasks.kinds import Kind
from replank.text.tokenization import TextEncoder
from replank_compress.growing.blocks import MaskedBlocks, TokenStream
from replank_compress.growing.config import PretrainConfig
from replank_compress.growing.flops import training_flops
from replank_compress.growing.masked_lm import masked_lm_loss
from replank_compress.growing.moments import Moments, read_moments, set_moments
from replank_compress.growing.schedule import Plan
from replank_compress.layers import encoder_of_model
from replank_compress.training.arguments import step_arguments
from replank_compress.training.batches import Collator
from replank_compress.training.callbacks import CheckpointLimit, Spending, Watcher
from replank_compress.training.checkpoints import claim, newest
from replank_compress.training.internals import STATE_FILE
from replank_compress.training.method import Method
from replank_compress.training.processes import wait_for_all
from replank_compress.training.running import run_to_end
from replank_compress.training.train import curve_of_log
from replank_compress.training.trainer import MethodTrainer

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corpus:
    """The texts of a pretraining as tokens.

    :param kind: masked language modelling.
    """

    train: TokenStream
    dev: TokenStream
    text_encoder: TextEncoder
    kind: Kind


@dataclass(frozen=True)
class StageResult:
    """A finished stage; the weights are in the model.

    :param curve: an entry for each logged loss and each evaluation.
    :param parameters: of the model.
    :param flops: of all its steps.
    :param seconds: of its steps, by the clock; evaluations and what is around them are left out.
    :param processor_seconds: of its steps, of this process.
    :param moments: AdamW's, where they were asked for.
    """

    curve: list[dict[str, Any]]
    parameters: int
    flops: int
    seconds: float
    processor_seconds: float
    moments: Moments | None


def train_stage(
    model: Any,
    plan: Plan,
    corpus: Corpus,
    config: PretrainConfig,
    *,
    work: Path,
    fingerprint: dict[str, Any],
    number: int,
    moments: Moments | None = None,
    wants_moments: bool = False,
) -> StageResult:
    """Train a model in place for a stage, or take it from the checkpoint that ended the stage.

    Ctrl-C and SIGTERM end the step, write a checkpoint and raise ``KeyboardInterrupt``.

    :param work: the stage's folder of checkpoints.
    :param fingerprint: the identity of the run.
    :param number: of the stage, from 1.
    :param moments: those that the optimizer begins with; ``None`` begins anew.
    :param wants_moments: whether they are asked for at the end.
    :raises TrainingError: the loss became NaN or infinite, or the folder holds checkpoints of another run.
    """
    if is_first_process():
        claim(work, fingerprint | {"stage number": number, "processes": process_count()})
    wait_for_all()
    checkpoint, steps = newest(work), plan.stage.steps
    trainer, watcher = _trainer(model, plan, corpus, config, work, number, moments, is_new=checkpoint is None)
    flops = steps * plan.rows * training_flops(model, _one_row(trainer), plan.stage.pooling)
    if checkpoint and checkpoint.name == f"checkpoint-{steps}":
        # Tied weights are in the file once.
        model.load_state_dict(load_file(checkpoint / "model.safetensors"), strict=False)
        history = TrainerState.load_from_json(str(checkpoint / STATE_FILE)).log_history
    else:
        run_to_end(trainer, watcher, checkpoint, work)
        history = trainer.state.log_history
    last: dict[str, float] = next(entry for entry in reversed(history) if "step_seconds" in entry)
    found = None
    if wants_moments:
        trainer.optimizer = None
        found = read_moments(work / f"checkpoint-{steps}", model, trainer.create_optimizer())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return StageResult(curve_of_log(history), parameters, flops, last["step_seconds"], last["processor_seconds"], found)


def _trainer(
    model: Any,
    plan: Plan,
    corpus: Corpus,
    config: PretrainConfig,
    work: Path,
    number: int,
    moments: Moments | None,
    *,
    is_new: bool,
) -> tuple[MethodTrainer, Watcher]:
    stage = plan.stage
    # Each stage reads the texts in an order of its own, with masks of its own.
    seed = int(np.random.SeedSequence([config.seed, number]).generate_state(1, np.uint32)[0])
    arguments = step_arguments(
        config,
        encoder_of_model(model),
        work,
        steps=stage.steps,
        interval=config.evaluate_every,
        rows_at_once=config.rows_at_once() * plan.rows // config.batch_size,
        learning_rate=stage.learning_rate,
        lr_scheduler_type="linear" if stage.decay == "linear" else "constant_with_warmup",
        warmup_steps=int(stage.warmup * stage.steps),
        seed=seed,
        prediction_loss_only=True,
        eval_on_start=is_new,
    )
    watcher, spending = Watcher(f"pretrain, stage {number} of {len(config.stages)}"), StepSpending()
    blocks = MaskedBlocks(corpus.train, plan.length, corpus.text_encoder, corpus.kind, seed)
    # Whatever the stage, the whole encoder's blocks and masks are what it is judged on.
    held_out = MaskedBlocks(corpus.dev, corpus.text_encoder.max_length, corpus.text_encoder, corpus.kind, config.seed)
    trainer = StageTrainer(
        PooledMaskedLm(model, stage.pooling),
        stage.steps,
        plan.rows,
        spending,
        moments=moments,
        args=arguments,
        train_dataset=blocks,
        eval_dataset=held_out,
        data_collator=Collator(corpus.text_encoder, corpus.kind),
        callbacks=[watcher, spending, CheckpointLimit()],
    )
    return trainer, watcher


def _one_row(trainer: MethodTrainer) -> dict[str, torch.Tensor]:
    """A batch of the first block."""
    blocks: Any = trainer.train_dataset
    batch: dict[str, torch.Tensor] = trainer.data_collator([blocks[0]])
    return {name: value.to(trainer.args.device) for name, value in batch.items()}


class PooledMaskedLm(Method):
    """Masked language modelling, on pooled positions in training."""

    def __init__(self, model: Any, pooling: int) -> None:
        super().__init__(model)
        self._pooling = pooling

    def loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """The mean cross entropy of the masked tokens."""
        return masked_lm_loss(model, inputs, self._pooling if self.model.training else 1)


class StageTrainer(MethodTrainer):
    """Trainer of a stage: held-out losses instead of answers, and an optimizer that may go on from moments."""

    def __init__(self, *arguments: Any, moments: Moments | None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._moments = moments

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The method's loss, in evaluation too: answers for every token would be most of the work."""
        loss = super().compute_loss(model, inputs)
        return (loss, {"loss": loss}) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Trainer's AdamW."""
        optimizer = super().create_optimizer(model)
        if self._moments:
            set_moments(self._moments, self._method.model, optimizer)
        return optimizer


class StepSpending(Spending):
    """The time that the steps alone took over all runs: ``step_seconds`` and ``processor_seconds``."""

    def __init__(self) -> None:
        super().__init__()
        self._spent = {"step_seconds": 0.0, "processor_seconds": 0.0}
        self._begun = (0.0, 0.0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start both clocks."""
        self._begun = (time.perf_counter(), time.process_time())

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add a step."""
        self._spent["step_seconds"] += time.perf_counter() - self._begun[0]
        self._spent["processor_seconds"] += time.process_time() - self._begun[1]

    def so_far(self) -> dict[str, float]:
        """Those, and the seconds and joules of the whole training."""
        spent = {name: round(self._before.get(name, 0.0) + value, 3) for name, value in self._spent.items()}
        return super().so_far() | spent
