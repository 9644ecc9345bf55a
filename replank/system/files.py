"""Replacing files and folders as a whole: written beside their place, synced to disk, and renamed.

A process that is killed leaves either the old content or the new one, and at most a hidden leftover beside it, which
the next writer of the same path deletes.
"""

from __future__ import annotations

import ctypes
import glob
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from replank.system.errors import ReplankError

# Of linux/fs.h and linux/fcntl.h.
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100


# The file by which a folder is known as an artifact, and that which tells people of a model.
MANIFEST = "replank.json"
CARD = "README.md"
# See :func:`file_identity`: of each file its name, its number on the disk, its bytes, and when it was written.
FileIdentity = tuple[tuple[str, int, int, int], ...]


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


def file_identity(file: Path) -> FileIdentity:
    """What tells a file from one that takes its place; likewise of those beside it whose names begin with its own.

    ONNX keeps large weights in such files. Nothing of what is not there.
    """
    found = sorted((each.name, each.stat()) for each in file.parent.glob(f"{glob.escape(file.name)}*"))
    return tuple((name, status.st_ino, status.st_size, status.st_mtime_ns) for name, status in found)
