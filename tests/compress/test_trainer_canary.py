"""What replank relies on in transformers beyond its documentation, checked against the installed release.

A failure here says that a release changed something that training builds on, before any training goes quietly wrong.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import DefaultFlowCallback, Trainer, TrainerCallback, TrainingArguments

from replank_compress.training.callbacks import CheckpointLimit
from replank_compress.training.internals import (
    ACTIVATION_CHECKPOINTING,
    CHECKPOINT_FILES,
    RANDOM_STATES,
    STATE_FILE,
    LengthGroupedSampler,
    MeanLossTrainer,
    supports_activation_checkpointing,
    use_one_device,
)
from small_models import make_model

ROWS, MICRO_BATCHES = 8, 4


def changed(what: str) -> str:
    """The message of a failure."""
    return f"transformers {transformers.__version__}: {what}; see compress/replank_compress/training"


@dataclass
class Observed:
    """A training of two epochs, one optimizer step each.

    :param events: the hooks in the order of their calls, with the optimizer steps done.
    :param epochs: ``state.epoch`` at the beginning of each epoch.
    """

    events: list[tuple[str, int]]
    epochs: list[float]
    weights: dict[str, torch.Tensor]
    checkpoint: Path


class Observer(TrainerCallback):
    """Notes the hooks that training uses."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.epochs: list[float] = []

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.epochs.append(state.epoch or 0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.events.append(("begin", state.global_step))

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.events.append(("optimizer", state.global_step))


class ObservedTrainer(MeanLossTrainer):
    """Notes the micro-batches too, and has a loss of its own as methods have."""

    observer: Observer

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        self.observer.events.append(("micro-batch", self.state.global_step))
        return super().training_step(model, inputs, num_items_in_batch)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        loss: torch.Tensor = model(**inputs).loss
        return loss


def observe(micro_batches: int, folder: Path) -> Observed:
    """Train on eight rows a step, in so many parts."""
    generator = torch.Generator().manual_seed(0)
    rows = [
        {
            "input_ids": torch.randint(5, 40, (6,), generator=generator),
            "attention_mask": torch.ones(6, dtype=torch.long),
            "labels": torch.tensor(row % 2),
        }
        for row in range(ROWS)
    ]
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=2,
        per_device_train_batch_size=ROWS // micro_batches,
        gradient_accumulation_steps=micro_batches,
        learning_rate=0.1,
        optim="sgd",
        save_steps=2,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    observer = Observer()
    model = make_model()
    trainer = ObservedTrainer(model=model, args=arguments, train_dataset=rows, callbacks=[observer])
    trainer.observer = observer
    trainer.train()
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    return Observed(observer.events, observer.epochs, weights, folder / "checkpoint-2")


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Observed]:
    return {parts: observe(parts, tmp_path_factory.mktemp("canary")) for parts in (1, MICRO_BATCHES)}


def test_a_step_begins_once_before_its_micro_batches(observed: dict[int, Observed]) -> None:
    expected = [
        event
        for step in range(2)
        for event in [("begin", step), *[("micro-batch", step)] * MICRO_BATCHES, ("optimizer", step)]
    ]
    assert observed[MICRO_BATCHES].events == expected, changed("callbacks or training_step are called in another order")


def test_a_loss_is_divided_by_the_micro_batches(observed: dict[int, Observed]) -> None:
    whole, parts = observed[1].weights, observed[MICRO_BATCHES].weights
    start = make_model().state_dict()
    assert max(float((whole[name] - start[name]).abs().max()) for name in whole) > 1e-3
    difference = max(float((parts[name] - whole[name]).abs().max()) for name in whole)
    assert difference < 1e-5, changed(
        "the loss of a micro-batch is scaled in another way (loss_is_scaled_for_ga, model_accepts_loss_kwargs)"
    )


def test_the_switches_of_loss_scaling_are_there(tmp_path: Path) -> None:
    trainer = Trainer(model=make_model(), args=TrainingArguments(output_dir=str(tmp_path), report_to="none"))
    assert hasattr(trainer, "model_accepts_loss_kwargs"), changed("Trainer has no model_accepts_loss_kwargs")
    assert getattr(Trainer, "loss_is_scaled_for_ga", None) is None, changed("loss_is_scaled_for_ga has another default")


def test_an_epoch_begins_at_its_number(observed: dict[int, Observed]) -> None:
    assert observed[MICRO_BATCHES].epochs == [0, 1], changed("state.epoch counts in another way")


def test_a_checkpoint_has_the_files_that_resuming_needs(observed: dict[int, Observed]) -> None:
    checkpoint = observed[1].checkpoint
    found = {path.name: path.stat().st_mtime_ns for path in checkpoint.iterdir()}
    assert set(CHECKPOINT_FILES) <= set(found), changed(f"a checkpoint holds {sorted(found)}")
    assert len(list(checkpoint.glob(RANDOM_STATES))) == 1, changed("the random states have another name")
    parts = [*CHECKPOINT_FILES, *(path.name for path in checkpoint.glob(RANDOM_STATES))]
    assert max(parts, key=lambda name: (found[name], name == STATE_FILE)) == STATE_FILE, changed(
        f"{STATE_FILE} is not written last"
    )


def test_the_argument_for_activation_checkpointing() -> None:
    names = {field.name for field in fields(TrainingArguments)}
    assert ACTIVATION_CHECKPOINTING in names, changed("the argument that recomputes activations was renamed")


def test_models_say_whether_they_recompute_activations() -> None:
    found = (supports_activation_checkpointing(make_model()), supports_activation_checkpointing(make_model("mpnet")))
    assert found == (True, False), changed("supports_gradient_checkpointing was renamed, or MPNet supports it now")


def test_a_process_can_be_kept_to_one_device(tmp_path: Path) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), per_device_train_batch_size=4, report_to="none")
    # Otherwise they are looked for later, and found anew.
    assert arguments.device is not None
    arguments._n_gpu = 3
    assert arguments.train_batch_size == 12, changed("TrainingArguments._n_gpu does not multiply the batch")
    use_one_device(arguments)
    assert (arguments.n_gpu, arguments.train_batch_size) == (1, 4), changed("TrainingArguments._n_gpu was renamed")


def test_a_sampler_groups_by_length_in_an_order_of_the_generator() -> None:
    lengths = [index % 7 for index in range(100)]

    def order(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        try:
            return list(LengthGroupedSampler(10, lengths=lengths, generator=generator))
        except TypeError as error:
            raise AssertionError(changed(f"LengthGroupedSampler takes other arguments ({error})")) from error

    assert sorted(order(0)) == list(range(100)), changed("LengthGroupedSampler leaves out rows")
    assert order(0) == order(0) != order(1), changed("LengthGroupedSampler does not use its generator")
    batches = [[lengths[row] for row in order(0)[start : start + 10]] for start in range(10, 100, 10)]
    spread = sum(max(batch) - min(batch) for batch in batches) / len(batches)
    assert spread < 5, changed("LengthGroupedSampler does not group by length")


@pytest.mark.parametrize(
    ("hook", "parameters"),
    [
        ("training_step", ("model", "inputs", "num_items_in_batch")),
        ("compute_loss", ("model", "inputs", "return_outputs", "num_items_in_batch")),
        ("log", ("logs", "start_time")),
        ("create_optimizer", ("model",)),
        ("get_train_dataloader", ()),
    ],
)
def test_the_hooks_that_are_overridden_take_the_same_arguments(hook: str, parameters: tuple[str, ...]) -> None:
    found = tuple(inspect.signature(getattr(Trainer, hook)).parameters)[1:]
    assert found == parameters, changed(f"Trainer.{hook} takes {found}, not {parameters}")


def test_a_loss_of_nan_is_passed_over_by_the_log(tmp_path: Path) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), report_to="none")
    assert arguments.logging_nan_inf_filter is True, changed("NaN losses are logged")


def test_callbacks_learn_of_a_checkpoint_before_it_is_written(tmp_path: Path) -> None:
    """Trainer's own callback, which decides, comes first."""
    arguments = TrainingArguments(output_dir=str(tmp_path), report_to="none")
    found = Trainer(model=make_model(), args=arguments, callbacks=[CheckpointLimit()]).callback_handler.callbacks
    types = [type(callback) for callback in found]
    assert types.index(DefaultFlowCallback) < types.index(CheckpointLimit), changed("callbacks come in another order")
    assert arguments.save_total_limit is None, changed("Trainer deletes checkpoints by default")
