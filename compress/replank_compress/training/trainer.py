"""transformers' Trainer, asking a method how each step goes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from replank.system.errors import TrainingError
from replank.tasks.kinds.kind import IGNORED
from replank_compress.training.batches import LengthGrouped
from replank_compress.training.callbacks import Spending
from replank_compress.training.checkpoints import newest
from replank_compress.training.method import Method

_NO_NUMBER = "choose a smaller --learning-rate, or --precision fp32, and another OUT"


class MethodTrainer(Trainer):
    """Trainer that lets a method decide what a step does, and does not go on from what is no number.

    :param total: optimizer steps of the whole training.
    :param batch_size: examples of one optimizer step, over all processes and micro-batches together.
    """

    # Each micro-batch's loss is its own mean.
    loss_is_scaled_for_ga = False

    def __init__(self, method: Method, total: int, batch_size: int, spending: Spending, **arguments: Any) -> None:
        super().__init__(model=method.model, **arguments)
        self.model_accepts_loss_kwargs = False
        self._method, self._total, self._batch_size, self._spending = method, total, batch_size, spending
        self._is_skipped, self._last_loss, self._scaler = False, math.nan, None

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGrouped:
        examples: Any = self.train_dataset
        # A resumed epoch begins at a fraction.
        return LengthGrouped(
            self._batch_size, examples.lengths, self.args.seed, lambda: int((self.state.epoch or 0) + 1e-6)
        )

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of one micro-batch, unless the method has nothing to learn from this step."""
        step = self.state.global_step
        self._skip(not self._method.before_step(step, self._total))
        if self._is_skipped:
            # Not a loss of 0, which would make the curve look better than it is; NaN is what Trainer's log passes over.
            return torch.tensor(self._last_loss, device=self.args.device)
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise self._no_number(f"the loss is {loss.item()}")
        self._last_loss = float(loss)
        return loss

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The method's loss in training, the model's own in evaluation."""
        if (inputs["labels"] == IGNORED).all():
            # Blank texts, or words beyond the length: the mean over no target is no number.
            outputs = model(**{name: value for name, value in inputs.items() if name != "labels"})
            loss = outputs.logits.sum() * 0
            return (loss, {"loss": loss, "logits": outputs.logits}) if return_outputs else loss
        if return_outputs:
            return super().compute_loss(model, inputs, return_outputs)
        # accelerate casts what its wrapped model computes, not the model that teaches it.
        with self.accelerator.autocast():
            return self._method.loss(model, inputs)

    def evaluation_loop(self, *arguments: Any, **settings: Any) -> Any:
        """Trainer's, unless the weights are no numbers: then no checkpoint of them is to be written."""
        if not all(torch.isfinite(parameter).all() for parameter in self._method.model.parameters()):
            raise self._no_number("a weight is no number")
        return super().evaluation_loop(*arguments, **settings)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Trainer's, with the replacing rate and what was spent."""
        # What is logged is of the step before, the last one done.
        rate = self._method.replacing_rate(max(0, self.state.global_step - 1), self._total)
        rates = {} if rate is None or "loss" not in logs else {"replacing_rate": rate}
        super().log({**logs, **rates, **self._spending.so_far()}, start_time)

    def _skip(self, skip: bool) -> None:
        """Let the optimizer pass over this step: without a gradient, fp16's gradient scaler would complain."""
        optimizer: Any = self.optimizer
        self._scaler = self._scaler or optimizer.scaler
        optimizer.scaler = None if skip else self._scaler
        self._is_skipped = skip

    def _clip_grad_norm(self, model: Any) -> Any:
        return torch.zeros(()) if self._is_skipped else super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]

    def _no_number(self, what: str) -> TrainingError:
        kept = newest(Path(str(self.args.output_dir)))
        where = f"; the last good checkpoint is {kept}" if kept else ""
        return TrainingError(f"{what} at step {self.state.global_step}{where}", hint=_NO_NUMBER)
