"""Replacing files and folders as a whole: written beside their place, synced to disk, and renamed.

A process that is killed leaves either the old content or the new one, and at most a hidden leftover beside it, which
the next writer of the same path deletes. Whoever works on a path for long is its only writer for that time.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import logging
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from replank.system.errors import ReplankError, UsageError
from replank.system.processes import is_first_process

_LOCK = ".replank-lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
# Of linux/fs.h and linux/fcntl.h.
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100
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


# The file by which a folder is known as an artifact.
MANIFEST = "replank.json"


def replace_file(path: Path, content: str | bytes) -> None:
    """Replace a file, or make a new one.

    :param content: text is written as UTF-8.
    :raises OSError: the file cannot be written; an old one is as it was.
    """
    with replacing_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing_file(path: Path) -> Iterator[IO[bytes]]:
    """An open file, which becomes ``path`` when the block ends well; of a link, what it points to.

    :raises OSError: the file cannot be written; an old one is as it was.
    """
    target = path.resolve()
    _sweep(target.parent, target.name, target)
    partial = target.with_name(f".{target.name}.{threading.get_native_id()}.partial")
    with partial.open("xb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, partial)
            partial.rename(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    _sync(target.parent)


@contextmanager
def replace_folder(target: Path, *, beside: Path | None = None) -> Iterator[Path]:
    """A new folder to fill, which becomes ``target`` when the block ends well; of a link, what it points to.

    An old folder is kept until the new one is whole, and takes its place in one step where the system can do that. When
    the block raises, the new one is deleted.

    :param beside: a folder above ``target`` next to which the new folder is filled, for a target in a folder that
        somebody watches; by default it is filled next to ``target``.
    :raises ReplankError: no folder can be made there, or somebody wrote into the old one meanwhile.
    """
    target = target.resolve()
    sweep_leftovers(target, beside=beside)
    known = _names(target)
    parent, name = _hidden_place(target, beside)
    partial, old = (parent / f".{name}.{threading.get_native_id()}.{suffix}" for suffix in ("partial", "partial-old"))
    try:
        partial.mkdir(parents=True)
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReplankError(f"cannot write {target}: {error.strerror}", hint="choose another `out`") from error
    try:
        yield partial
        for path in [*partial.rglob("*"), partial]:
            _sync(path)
        if added := sorted(_names(target) - known):
            raise ReplankError(
                f"{target / added[0]} was written meanwhile, and would be lost with the old {target.name}",
                hint="move it away, and run the same again",
            )
        _swap(partial, target, old)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def sweep_leftovers(target: Path, *, beside: Path | None = None) -> None:
    """Delete what killed writers of a file or a folder left; a writer that is still alive keeps its own.

    A writer that was killed between its two renames left the old folder aside: it is put back.

    :param beside: as in :func:`replace_folder`.
    """
    target = target.resolve()
    _sweep(*_hidden_place(target, beside), target)


def _hidden_place(target: Path, beside: Path | None) -> tuple[Path, str]:
    if beside is None:
        return target.parent, target.name
    above = beside.resolve()
    return above.parent, f"{above.name}.{target.name}"


def _sweep(parent: Path, name: str, target: Path) -> None:
    ours = re.compile(rf"\.{re.escape(name)}\.(\d+)\.partial(-old)?")
    for leftover in list(parent.glob(f".{glob.escape(name)}.*")):
        match = ours.fullmatch(leftover.name)
        # In a container every run may have the same id: a name that has ours is a dead run's.
        if not match or (int(match[1]) != threading.get_native_id() and Path(f"/proc/{match[1]}").exists()):
            continue
        if match[2] and not target.exists():
            leftover.rename(target)
        elif leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


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


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _swap(partial: Path, target: Path, old: Path) -> None:
    """Put a folder into its place; an old one is then in the new one's.

    Where two folders cannot change places in one step, the old one steps aside, and comes back if that fails.
    """
    steps_aside = bool(_names(target))
    if steps_aside and _exchange(partial, target):
        _sync(target.parent)
        return
    if steps_aside:
        target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        if steps_aside:
            old.rename(target)
        raise
    _sync(target.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; ``False`` if the system or the file system cannot do that."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 is None:
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return bool(renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
