"""The command line under test, and what it leaves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, its data, its talk."""

    code: int
    out: str
    err: str


def error_lines(done: Done) -> list[str]:
    """The lines of an error as it must be: one of what is wrong, at most one of what to try, and no data."""
    lines = [line for line in done.err.splitlines() if line.startswith(("error: ", "hint: "))]
    assert "Traceback" not in done.err
    assert done.out == ""
    assert 1 <= len(lines) <= 2, done.err
    assert lines[0].startswith("error: ")
    assert done.err.splitlines()[-len(lines) :] == lines
    return lines


Replank = Callable[..., Done]


def replank_process(*arguments: object, **settings: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own, which a test may interrupt."""
    program = [sys.executable, "-P", "-m", "replank"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*program, *map(str, arguments)], **pipes | settings)


def run_replank(*arguments: object, **settings: Any) -> Done:
    """The command line in a process of its own, to its end."""
    with replank_process(*arguments, **settings) as process:
        out, err = process.communicate()
    return Done(process.returncode, out, err)
