"""transformers' Trainer, asking a method how each step goes.

Only documented hooks of Trainer are overridden here; the rest that is relied on is in internals.py.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from replank.system.errors import TrainingError
from replank_compress.training.batches import LengthGrouped
from replank_compress.training.callbacks import Spending, StepBegin
from replank_compress.training.checkpoints import newest
from replank_compress.training.internals import MeanLossTrainer
from replank_compress.training.method import Method
from replank_compress.training.targets import have_loss


class MethodTrainer(MeanLossTrainer):
    """Trainer whose steps are a method's, and which stops when a loss or a weight becomes NaN or infinite.

    :param total: optimizer steps of the whole training.
    :param batch_size: examples of one optimizer step, over all processes and micro-batches together.
    """

    def __init__(self, method: Method, total: int, batch_size: int, spending: Spending, **arguments: Any) -> None:
        super().__init__(model=method.model, **arguments)
        self._method, self._total, self._batch_size, self._spending = method, total, batch_size, spending
        self._is_skipped, self._last_loss = False, math.nan
        self.add_callback(StepBegin(self._begin_step))

    def get_train_dataloader(self) -> Any:
        """The training batches of this process, in the order of :class:`LengthGrouped`."""
        examples: Any = self.train_dataset
        loader: DataLoader[Any] = DataLoader(
            examples,
            batch_size=self.args.train_batch_size,
            # A resumed epoch begins at a fraction.
            sampler=LengthGrouped(
                self._batch_size, examples.lengths, self.args.seed, lambda: int((self.state.epoch or 0) + 1e-6)
            ),
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Trainer's AdamW, which does nothing in a skipped step."""
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        optimizer.register_step_pre_hook(self._drop_gradients)
        return optimizer

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of one micro-batch, unless the step is skipped."""
        if self._is_skipped:
            self._leave_a_gradient()
            # Not a loss of 0, which would make the curve look better than it is; Trainer's log passes over NaN.
            return torch.tensor(self._last_loss, device=self.args.device)
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise self._diverged(f"the loss is {loss.item()}")
        self._last_loss = float(loss)
        return loss

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The method's loss in training, the model's own in evaluation."""
        taught = inputs.get("taught")
        if not have_loss(inputs["labels"]).any() and (taught is None or taught.isnan().all()):
            # Blank texts, or words beyond the maximal length: the mean over no target would be NaN.
            unasked = ("labels", "taught")
            outputs = model(**{name: value for name, value in inputs.items() if name not in unasked})
            loss = outputs.logits.sum() * 0
            return (loss, {"loss": loss, "logits": outputs.logits}) if return_outputs else loss
        if return_outputs:
            return super().compute_loss(model, inputs, return_outputs)
        # accelerate wraps the trained model in autocast, but not the model that teaches it.
        with self.accelerator.autocast():
            return self._method.loss(model, inputs)

    def evaluation_loop(self, *arguments: Any, **settings: Any) -> Any:
        """Trainer's, unless a weight is NaN or infinite: then no checkpoint is to be written."""
        if not all(torch.isfinite(parameter).all() for parameter in self._method.model.parameters()):
            raise self._diverged("a weight became NaN or infinite")
        return super().evaluation_loop(*arguments, **settings)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Trainer's, with the replacing rate, seconds and joules."""
        # The log is of the step before, the last one done.
        rate = self._method.replacing_rate(max(0, self.state.global_step - 1), self._total)
        rates = {} if rate is None or "loss" not in logs else {"replacing_rate": rate}
        super().log({**logs, **rates, **self._spending.so_far()}, start_time)

    def _begin_step(self, step: int) -> None:
        self._is_skipped = not self._method.before_step(step, self._total)

    def _leave_a_gradient(self) -> None:
        """Give the smallest parameter a gradient of zeros: fp16's gradient scaler demands one of each step."""
        optimizer: Any = self.optimizer
        smallest = min((each for group in optimizer.param_groups for each in group["params"]), key=torch.Tensor.numel)
        smallest.grad = torch.zeros_like(smallest)

    def _drop_gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Before the optimizer's step: without gradients, neither momentum nor weight decay moves a parameter."""
        if self._is_skipped:
            optimizer.zero_grad()

    def _diverged(self, what: str) -> TrainingError:
        kept = newest(Path(str(self.args.output_dir)))
        where = f"; the last good checkpoint is {kept}" if kept else ""
        return TrainingError(
            f"{what} at step {self.state.global_step}{where}",
            hint="choose a smaller `learning_rate`, or `precision='fp32'`, and another `out`",
        )
