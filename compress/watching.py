"""What a person sees of a training, and how a person stops it."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

from transformers import TrainerCallback

from replank.progress import Advance, progress

_log = logging.getLogger(__name__)


class Watcher(TrainerCallback):
    """Progress for the person, and a clean end on Ctrl-C.

    As a context it takes over SIGINT and SIGTERM: the first ends the present step and writes a checkpoint, the second
    stops at once.

    :param title: of the progress.
    :raises KeyboardInterrupt: when the context ends, if it was asked to stop.
    """

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, total
        self._stop = False
        self.has_begun = False
        self._note = ""
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
        _log.warning("stopping after this step, with a checkpoint; again to stop at once")

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Trainer's call: show where it begins, which after a resume is not 0."""
        self.has_begun = True
        self._context = progress(self._title, state.max_steps, state.global_step)
        self._advance = self._context.__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Trainer's call: go on, or save and stop."""
        if self._advance:
            self._advance(1, self._note)
        if self._stop:
            control.should_save = True
            control.should_evaluate = False
            control.should_training_stop = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Trainer's call: note loss and dev metric."""
        logs: dict[str, float] = kwargs.get("logs") or {}
        shown = {"loss": "loss", "eval_headline": "dev"}
        known = [f"{short} {logs[key]:.4f}" for key, short in shown.items() if key in logs]
        self._note = " ".join(known) or self._note
