"""The only writer of a path: whoever works on a file or folder for long locks all others out for that time."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from replank.system.errors import ReplankError, UsageError
from replank.system.processes import is_first_process

_LOCK = ".replank-lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
_log = logging.getLogger(__name__)


@contextmanager
def exclusive(out: Path, *, inside: bool = False) -> Iterator[None]:
    """The right to write a file or a folder, for as long as the block lasts; whoever reads it needs none.

    The kernel gives it, for a hidden file, and takes it back when the process ends, however it does. On NFS it is the
    server's, so that other machines count too; where a file system has no locks, a warning says so. Of the processes
    of ``torchrun`` the first has it for all of them.

    :param inside: the hidden file lies in ``out``, a folder that is never replaced, and not beside it.
    :raises UsageError: another process has it; the message names that.
    :raises ReplankError: nothing can be written there.
    """
    if not is_first_process():
        yield
        return
    target = out.resolve()
    path = target / _LOCK if inside else target.with_name(f".{target.name}{_LOCK}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _locked(path, out)
    except OSError as error:
        raise ReplankError(f"cannot write {out}: {error.strerror}", hint="choose another `out`") from error
    with file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path, out: Path) -> IO[str]:
    """The open file, which is locked until it is closed, and names this process."""
    while True:
        file = path.open("a+", encoding="utf-8")  # which keeps the name of whoever has it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            with file:
                raise UsageError(
                    f"another process writes {out}: {file.read() or 'it began just now'}",
                    hint="wait until it has ended, or choose another `out`",
                ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.close()
                raise
            _log.warning("the file system of %s has no locks: make sure that no other process writes it", out)
        # The one that had it may have deleted it since it was opened here.
        if _is_at(file, path):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            return file
        file.close()


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
