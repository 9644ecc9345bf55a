"""A model beside other busy processes: the session whose threads spin while they wait, or one whose threads sleep.

Where others run too, spinning threads of a session take the time that its working ones need: on two cores beside one
busy process, two of them take twice the time of one. Threads that sleep take no longer than one, and on a machine
without other work longer than those that spin.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from replank.runtime.load import can_sleep, sleeping_predictor
from replank.runtime.model import Model
from replank.runtime.predictors import Logits, Predictor
from replank.system.errors import ReplankError
from replank.text.padding import Batch
from replank_serve.engine.batching import BATCH_TOKENS
from replank_serve.engine.spinning_policy import SpinningPolicy

_log = logging.getLogger(__name__)


def adaptive(model: Model) -> Predictor:
    """A predictor of a model that adapts to other work of the machine, where that is possible; else the model's own."""
    if not can_sleep(model):
        return model.predictor
    return SpinningChoice(model.predictor, partial(sleeping_predictor, model), model.source.name)


class SpinningChoice:
    """A predictor that runs each batch by one of two. One thread calls it.

    The second is opened in the background when it is wanted, and closed when it is not: it has weights of its own.

    :param spinning: the predictor whose threads spin.
    :param open_sleeping: opens the same model with threads that sleep.
    :param name: of the model, for the log.
    """

    def __init__(self, spinning: Predictor, open_sleeping: Callable[[], Predictor], name: str) -> None:
        self._spinning = spinning
        self._sleeping: Predictor | None = None
        self._open_sleeping = open_sleeping
        self._opener: threading.Thread | None = None
        self._policy = SpinningPolicy()
        self._name = name
        self._fails = False

    @property
    def spins(self) -> bool:
        """Whether threads spin while they wait, between trials."""
        return self._policy.spins

    @property
    def opener(self) -> threading.Thread | None:
        """The thread that opens a session now, if one does."""
        return self._opener

    def __call__(self, batch: Batch) -> Logits:
        """Run one batch, and learn from the time it took."""
        policy = self._policy
        if not self._fails and policy.wants_trial(time.monotonic()) and self._has_sleeping():
            policy.begin_trial()
        predictor = self._spinning if policy.next_spins or self._sleeping is None else self._sleeping
        spun, processor_began, began = policy.spins, time.thread_time(), time.monotonic()
        logits = predictor(batch)
        ended, processor_ended = time.monotonic(), time.thread_time()
        tokens = batch.input_ids.size + BATCH_TOKENS
        if policy.record(tokens, ended - began, processor_ended - processor_began, ended):
            if policy.spins:
                self._sleeping = None
            if policy.spins != spun:
                self._tell()
        return logits

    def _has_sleeping(self) -> bool:
        """Whether the second predictor is there already; if not, it is opened."""
        # In this order: whoever opens sets what was opened, and then ends.
        opener = self._opener
        if self._sleeping is not None:
            return True
        if opener is None and not self._fails:
            # No daemon: a process that ends meanwhile would abort in ONNX Runtime. It ends by itself.
            self._opener = threading.Thread(target=self._open, name="replank-session")
            self._opener.start()
        return False

    def _open(self) -> None:
        try:
            self._sleeping = self._open_sleeping()
        except ReplankError as error:
            self._fails = True
            _log.warning("the machine is busy, and %s cannot be opened for that: %s", self._name, error.message)
        finally:
            self._opener = None

    def _tell(self) -> None:
        way = "spin" if self._policy.spins else "sleep"
        _log.info(
            "threads of %s %s from now on while they wait: sleeping takes %.2f of the time of spinning",
            self._name,
            way,
            self._policy.gain,
        )
