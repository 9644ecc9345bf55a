"""The near end of a load test's process: starts it, asks it for runs, and leaves no child behind."""

from __future__ import annotations

import multiprocessing
from typing import Any

from replank.system.child_process import ChildProcess
from replank.system.errors import ReplankError
from replank_serve.loadtest.mlperf import Run, answer_runs
from replank_serve.loadtest.target import Texts


class LoadProcess(ChildProcess):
    """A process of its own for the load generator, which cannot be interrupted, and for the engine that it asks.

    Entering starts it and waits until the target answers.

    :param name: a URL, a folder, or a name on the hub.
    """

    def __init__(self, name: str, device: Any, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._name = name
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=answer_runs, args=(theirs, name, device, threads), daemon=True)
        self._theirs = theirs
        self.facts: dict[str, Any] = {}
        self.width = 1

    def take_texts(self, texts: Texts) -> None:
        """Say what is asked; before the first run, once."""
        self._pipe.send(texts)

    def run(self, run: Run) -> dict[str, Any]:
        """Do one run.

        :raises ReplankError: the target is gone, or the process died.
        """
        self._pipe.send(run)
        found: dict[str, Any] = self._receive()
        return found

    def _begin(self) -> None:
        self._process.start()
        self._theirs.close()
        self.facts, self.width = self._receive()

    def _receive(self) -> Any:
        try:
            answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise ReplankError(
                f"the process that tested {self._name} died (exit code {self._process.exitcode}); stderr may say why"
            ) from None
        if isinstance(answer, ReplankError):
            raise answer
        return answer

    def _end(self) -> None:
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()
        self._process.close()
        self._pipe.close()
        self._theirs.close()
