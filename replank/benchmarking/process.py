"""The parent's side of a benchmark's worker process: starts it, sends requests, and leaves no child behind."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import replank.system.errors
from replank.benchmarking.config import Variant
from replank.benchmarking.messages import Failure, Load, Samples, Turn
from replank.benchmarking.result import ModelFacts
from replank.runtime.clock import Clock
from replank.system.child_process import ChildProcess
from replank.system.errors import ReplankError
from replank.system.logs import LogMessage, log_level
from replank.system.typed_json import dataclass_from_json

_log = logging.getLogger(__name__)
Answer = TypeVar("Answer")
_STDERR_LINES = 5
_STDERR_BYTES = 4000
# -P: a module in the working directory must not be imported in place of a library.
_COMMAND = (sys.executable, "-P", "-c", "from replank.benchmarking.worker import main; main()")


class WorkerProcess(ChildProcess):
    """A process that holds one loaded model; entering it waits until the model is loaded.

    :param texts: real texts, for turns without a length.
    :param clock: what its samples are of.
    """

    facts: ModelFacts

    def __init__(
        self,
        variant: Variant,
        threads: int | None,
        texts: tuple[tuple[str, ...], ...] = (),
        clock: Clock = "wall",
    ) -> None:
        self.peak_memory_bytes: int = 0
        self._load = Load(variant.model, variant.device, variant.mode, threads, log_level(), texts, clock)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": path},
        )

    @property
    def process_id(self) -> int:
        """The process's id."""
        return self._process.pid

    def measure(self, turn: Turn) -> Samples:
        """Take one turn.

        :raises ReplankError: the worker's own error, or its last lines of stderr before it died.
        """
        samples = self._ask(turn, Samples)
        self.peak_memory_bytes = samples.peak_memory_bytes
        return samples

    def _begin(self) -> None:
        _log.debug("process %d measures %s on %s", self.process_id, self._load.model, self._load.device)
        self.facts = self._ask(self._load, ModelFacts)

    def _ask(self, request: Load | Turn, kind: type[Answer]) -> Answer:
        assert self._process.stdin  # noqa: S101 - it was asked for
        try:
            self._process.stdin.write(json.dumps(asdict(request)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # what it still said may be there
        while "logger" in (answer := self._next()):
            dataclass_from_json(LogMessage, answer).show()
        if "error" in answer:
            raise _same_error(dataclass_from_json(Failure, answer))
        return dataclass_from_json(kind, answer)

    def _next(self) -> dict[str, Any]:
        """The next line that it wrote."""
        assert self._process.stdout  # noqa: S101 - it was asked for
        line = self._process.stdout.readline()
        if not line:
            raise self._death()
        values: dict[str, Any] = json.loads(line)
        return values

    def _death(self) -> ReplankError:
        code = self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_BYTES))
        said = self._stderr.read().decode("utf-8", "replace").strip()
        _log.debug("the end of what process %d said:\n%s", self.process_id, said)
        last = "\n".join(said.splitlines()[-_STDERR_LINES:]) or "it said nothing"
        return ReplankError(
            f"the process that measured {self._load.model} died ({how}):\n{last}",
            hint="signal 9 without a message often means too little memory" if code == -9 else None,
        )

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            try:
                if stream:
                    stream.close()
            except BrokenPipeError:  # a request that a dead worker never read
                pass


def _same_error(failure: Failure) -> ReplankError:
    """The worker's error as one of the same class, with its exit code."""
    kind = getattr(replank.system.errors, failure.error, ReplankError)
    error: ReplankError = kind(failure.message, hint=failure.hint)
    return error
