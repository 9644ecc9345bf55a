"""The folder of a batch run's parts: the run that they belong to, and nobody else's files."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

from replank.batch.output import SUFFIXES
from replank.system.errors import UsageError
from replank.system.files import replace_file, sweep_leftovers

_JOB = "job.json"
# A part, and what a kill in the middle of a write leaves of one.
_SUFFIX = "|".join(map(re.escape, SUFFIXES))
_PART = re.compile(rf"\d{{8}}({_SUFFIX})|\.\d{{8}}({_SUFFIX})\.\d+\.partial")
_log = logging.getLogger(__name__)


def claim(work: Path, identity: dict[str, Any], *, force: bool) -> None:
    """Take the folder of the parts for a run; those of an equal one stay.

    :param identity: the facts that must be equal for a run to go on with the parts of another.
    :param force: discard the parts of another run.
    :raises UsageError: it holds the parts of another run, or files that no run wrote.
    """
    if work.exists() and not work.is_dir():
        raise UsageError(f"{work} is needed for the parts of {work.stem} and is a file")
    work.mkdir(exist_ok=True)
    sweep_leftovers(work / _JOB)
    wanted = json.loads(json.dumps(identity))
    found = _found_identity(work)
    if found is None and (foreign := _first_file(work)):
        raise UsageError(
            f"{work} is needed for the parts of {work.stem} and holds other files, such as {foreign}",
            hint="choose another `out`, or move them away",
        )
    if found is not None and found != wanted:
        if not force:
            differ = ", ".join(name for name in wanted if found.get(name) != wanted[name])
            raise UsageError(
                f"{work} holds parts of a run with another model, file or choice of columns (differs in: {differ})",
                hint="choose another `out`, or discard those parts with `force=True`",
            )
        _delete_parts(work)
    if found != wanted:
        replace_file(work / _JOB, json.dumps(wanted))


def clear(work: Path) -> None:
    """Delete what a run wrote there, and the folder if nothing else is in it."""
    _delete_parts(work)
    (work / _JOB).unlink()
    if foreign := _first_file(work):
        _log.warning("%s is kept, as it holds other files, such as %s", work, foreign)
    elif not work.is_symlink():
        work.rmdir()


def _found_identity(work: Path) -> dict[str, Any] | None:
    """The run that the parts are of; ``None`` if there is no file that says so, or it is not one of ours."""
    try:
        found = json.loads((work / _JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_ours = isinstance(found, dict) and {"model", "file", "columns", "config"} <= found.keys()
    return found if is_ours else None


def _delete_parts(work: Path) -> None:
    for path in [path for path in work.iterdir() if _PART.fullmatch(path.name)]:
        path.unlink()


def _first_file(work: Path) -> str | None:
    return min((path.name for path in work.iterdir()), default=None)
