"""The child process of a load test, as its parent sees it."""

from __future__ import annotations

import multiprocessing
from typing import Any

from replank.system.child_process import ChildProcess
from replank.system.errors import ReplankError
from replank.system.logs import log_level
from replank_serve.loadtest.mlperf import run_child
from replank_serve.loadtest.result import RunResult, RunSettings
from replank_serve.loadtest.target import Samples


class LoadProcess(ChildProcess):
    """A child process for the load generator, which cannot be interrupted, and for the engine under test.

    Entering the context starts it and waits until the target answers.

    :param name: a URL, a folder, or a hub name.
    """

    def __init__(self, name: str, device: Any, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._name = name
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=run_child, args=(theirs, name, device, threads, log_level()), daemon=True
        )
        self._theirs = theirs
        self.facts: dict[str, Any] = {}
        self.width = 1

    def send_samples(self, samples: Samples) -> None:
        """Send the samples; once, before the first run."""
        self._pipe.send(samples)

    def run(self, settings: RunSettings) -> RunResult:
        """Do one run.

        :raises ReplankError: the target is gone, or the process died.
        """
        self._pipe.send(settings)
        result: RunResult = self._receive()
        return result

    def _begin(self) -> None:
        self._process.start()
        self._theirs.close()
        self.facts, self.width = self._receive()

    def _receive(self) -> Any:
        try:
            received = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise ReplankError(
                f"the process that tested {self._name} died (exit code {self._process.exitcode}); stderr may say why"
            ) from None
        if isinstance(received, ReplankError):
            raise received
        return received

    def _end(self) -> None:
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()
        self._process.close()
        self._pipe.close()
        self._theirs.close()
