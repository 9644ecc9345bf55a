"""The only writer of a path: other processes and threads, the dead, and file systems without locks."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from replank.system.errors import ReplankError, UsageError
from replank.system.locks import exclusive


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


HOLD = "with locks.exclusive(path):\n print(os.getpid(), flush=True); input()"


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is the only writer of a path until it gets a line, or is killed."""
    code = f"import os, pathlib\nfrom replank.system import locks\npath = pathlib.Path({str(path)!r})\n{HOLD}"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        try:
            yield process
        finally:
            process.kill()


def test_a_second_writer_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    out = tmp_path / "above" / "out"
    (tmp_path / "link").symlink_to(out)
    with holder(out) as first:
        who = f"another process writes .*: process {first.pid} on {socket.gethostname()}$"
        for path in (out, tmp_path / "link"):
            with pytest.raises(UsageError, match=who), exclusive(path):
                pytest.fail("there were two writers")
        with exclusive(tmp_path / "above" / "other"):
            pass
        assert first.stdin is not None
        print(file=first.stdin, flush=True)
        first.wait()
        assert names(tmp_path / "above") == []
        with exclusive(out):
            assert names(tmp_path / "above") == [".out.replank-lock"]


def test_a_dead_writer_leaves_no_lock(tmp_path: Path) -> None:
    with holder(tmp_path / "out") as first:
        first.kill()
        first.wait()
    with exclusive(tmp_path / "out"):
        pass
    assert names(tmp_path) == []


def test_two_threads_are_two_writers(tmp_path: Path) -> None:
    with exclusive(tmp_path / "out"), ThreadPoolExecutor(1) as pool:
        second = pool.submit(lambda: exclusive(tmp_path / "out").__enter__())
        assert isinstance(second.exception(), UsageError)


def test_the_processes_of_one_run_do_not_lock_each_other_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with exclusive(tmp_path / "out"):
        monkeypatch.setenv("RANK", "1")
        with exclusive(tmp_path / "out"):
            pass
        assert len(names(tmp_path)) == 1


def test_a_folder_that_stays_has_its_lock_inside(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with exclusive(tmp_path / "out", inside=True):
        assert (names(tmp_path), names(tmp_path / "out")) == (["out"], [".replank-lock"])
    assert names(tmp_path / "out") == []


def test_a_lock_that_its_holder_deleted_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ends between the second's opening of the file and its locking."""
    real, path = fcntl.flock, tmp_path / ".out.replank-lock"
    path.touch()

    def late(file: IO[str], how: int) -> None:
        if path.exists() and path.stat().st_size == 0 and not found:
            found.append(path.stat().st_ino)
            path.unlink()
        real(file, how)

    found: list[int] = []
    monkeypatch.setattr(fcntl, "flock", late)
    with exclusive(tmp_path / "out"):
        assert found
        assert path.read_text(encoding="utf-8").startswith(f"process {os.getpid()} ")


def test_without_locks_a_warning_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with exclusive(tmp_path / "out"):
        assert f"the file system of {tmp_path / 'out'} has no locks" in caplog.text
    assert names(tmp_path) == []


def test_where_nothing_can_be_written_there_is_no_writer() -> None:
    with pytest.raises(ReplankError, match="cannot write /proc/replank-test: No such file"):
        exclusive(Path("/proc/replank-test")).__enter__()
