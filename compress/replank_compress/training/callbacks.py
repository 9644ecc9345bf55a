"""Callbacks of Trainer: progress, Ctrl-C, early stopping, time and energy, checkpoints, and the beginning of a step."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback

from replank.models.provenance import Stopwatch
from replank.system.energy import EnergyMeter
from replank.system.processes import is_first_process
from replank.system.progress import Advance, progress
from replank_compress.training.checkpoints import announce, keep_newest_and_best
from replank_compress.training.processes import any_process

_log = logging.getLogger(__name__)


class StepBegin(TrainerCallback):
    """A function that is called once at the beginning of each optimizer step, however many micro-batches it has.

    :param call: takes the number of optimizer steps done before.
    """

    def __init__(self, call: Callable[[int], None]) -> None:
        self._call = call

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Call the function."""
        self._call(state.global_step)


class CheckpointLimit(TrainerCallback):
    """Two checkpoints on disk at a time, however many are written, and none in the place of somebody else's folder.

    It comes after those that decide whether one is written.
    """

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Enter the checkpoint that is written next."""
        if control.should_save and is_first_process():
            announce(Path(args.output_dir), state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Delete the others, once a further one is written."""
        if is_first_process():
            keep_newest_and_best(Path(args.output_dir), state.best_model_checkpoint)


class Watcher(TrainerCallback):
    """A progress bar, and a clean end on Ctrl-C.

    As a context it takes over SIGINT and SIGTERM: the first ends the present step and writes a checkpoint, the second
    stops at once.

    :param title: title of the progress bar.
    :raises KeyboardInterrupt: when the context ends, if it was asked to stop.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._stop = False
        self.has_begun = False
        self._note = ""
        self._known: dict[str, float] = {}
        self._context: Any = None
        self._advance: Advance | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._context:
            self._context.__exit__(None, None, None)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._stop and kind is None:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True
        _log.warning("stopping after this step, with a checkpoint; press Ctrl-C again to stop at once")

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show the progress from where it begins, which after a resume is not 0."""
        self.has_begun = True
        if not is_first_process():
            return
        self._context = progress(self._title, state.max_steps, state.global_step)
        self._advance = self._context.__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Go on, or save and stop."""
        # The last step is shown with the evaluation that follows it.
        if self._advance and state.global_step < state.max_steps:
            self._advance(1, self._note)
        # A signal reaches several processes at different steps; they must stop at the same one.
        self._stop = any_process(self._stop)
        if self._stop:
            control.should_save = True
            control.should_training_stop = True
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show what the training ended with."""
        if self._advance:
            self._advance(int(state.global_step == state.max_steps), self._note)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show loss, replacing rate and dev metric."""
        logs: dict[str, float] = kwargs.get("logs") or {}
        shown = {"loss": "loss", "replacing_rate": "rate", "eval_headline": "dev"}
        self._known |= {short: logs[key] for key, short in shown.items() if key in logs}
        self._note = " ".join(f"{short} {self._known[short]:.3f}" for short in shown.values() if short in self._known)


class EarlyStopping(TrainerCallback):
    """Early stopping on the dev metric.

    It reads Trainer's own log, so that a resumed run stops where an uninterrupted one does.

    :param patience: evaluations in a row without a better dev metric.
    :param may_stop: whether the training may end after so many steps; evaluations before that do not count.
    """

    def __init__(self, patience: int, may_stop: Callable[[int], bool]) -> None:
        self._patience, self._may_stop = patience, may_stop

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Stop if it is over; called after each evaluation too."""
        control.should_training_stop |= self.is_over(state.log_history)
        return control

    def is_over(self, history: list[dict[str, Any]]) -> bool:
        """Whether a training with this log has ended."""
        evaluated = [entry for entry in history if "eval_headline" in entry and self._may_stop(entry["step"])]
        metrics = [entry["eval_headline"] for entry in evaluated]
        return bool(metrics) and len(metrics) - 1 - metrics.index(max(metrics)) >= self._patience


class Spending(TrainerCallback):
    """Time and energy of a training over all its runs: Trainer's log holds those of the runs before this one."""

    def __init__(self) -> None:
        self._before: dict[str, float] = {}
        self._stopwatch, self._meter = Stopwatch(), EnergyMeter()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start from where the log of a resumed run ends."""
        self._before = next((entry for entry in reversed(state.log_history) if "seconds" in entry), {})
        self._stopwatch, self._meter = Stopwatch(), EnergyMeter()

    def so_far(self) -> dict[str, float]:
        """``seconds``, and ``joules`` where the machine can measure them."""
        now = {"seconds": self._stopwatch.seconds, "joules": self._meter.joules()}
        return {name: round(self._before.get(name, 0.0) + value, 2) for name, value in now.items() if value is not None}
