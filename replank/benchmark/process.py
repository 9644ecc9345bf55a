"""The near end of a benchmark's worker process: starts it, asks it, and leaves no child behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import replank.system.errors
from replank.benchmark.config import Variant
from replank.system.child_process import ChildProcess
from replank.system.errors import ReplankError

_STDERR_LINES = 5
_STDERR_BYTES = 4000
# -P: a module in the working directory must not be imported in place of a library.
_COMMAND = (sys.executable, "-P", "-c", "from replank.benchmark.worker import main; main()")


class WorkerProcess(ChildProcess):
    """A process that holds one loaded model. Entering starts it and waits until the model is loaded.

    :param texts: real texts, for cells without a length.
    """

    def __init__(self, variant: Variant, threads: int | None, texts: tuple[tuple[str, ...], ...] = ()) -> None:
        self.facts: dict[str, Any] = {}
        self.peak_memory_bytes = 0
        self._settings = {
            "model": variant.model,
            "device": variant.device,
            "mode": variant.mode,
            "threads": threads,
            "texts": texts,
        }
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
        """The system's number of the process."""
        return self._process.pid

    def measure(self, command: dict[str, Any]) -> tuple[list[float], float | None]:
        """Milliseconds of each run; and the joules of all, where the machine tells.

        :raises ReplankError: the worker's own error, or the last it said before it died.
        """
        answer = self._ask(command)
        self.peak_memory_bytes = answer["peak_memory_bytes"]
        samples: list[float] = answer["samples"]
        return samples, answer["joules"]

    def _begin(self) -> None:
        self.facts = self._ask(self._settings)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout  # noqa: S101 - both were asked for
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise self._death()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise _same_error(answer)
        return answer

    def _death(self) -> ReplankError:
        code = self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_BYTES))
        said = self._stderr.read().decode("utf-8", "replace").strip().splitlines()[-_STDERR_LINES:]
        last = "\n".join(said) or "it said nothing"
        return ReplankError(
            f"the process that measured {self._settings['model']} died ({how}):\n{last}",
            hint="signal 9 without a word often means too little memory" if code == -9 else None,
        )

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            try:
                if stream:
                    stream.close()
            except BrokenPipeError:  # a question that a dead worker never read
                pass


def _same_error(answer: dict[str, Any]) -> ReplankError:
    """The worker's error as one of the same class, with its exit code."""
    kind = getattr(replank.system.errors, answer["error"], ReplankError)
    error: ReplankError = kind(answer["message"], hint=answer["hint"])
    return error
