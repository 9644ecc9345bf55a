"""The folder of a training's checkpoints: the run that they belong to, and which of them it wrote.

``run.json`` names both. A checkpoint is entered before it is written: what is not entered there is somebody else's, and
is neither read nor deleted.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replank.system.errors import TrainingError
from replank.system.files import replace_file, sweep_leftovers
from replank_compress.training.internals import CHECKPOINT_FILES, RANDOM_STATES, STATE_FILE

ANSWERS, STATES = "answers.safetensors", "states.safetensors"
_RUN_FILE = "run.json"
_NAME = re.compile(r"checkpoint-\d+")


def claim(work: Path, fingerprint: dict[str, Any]) -> Path | None:
    """Take a folder for this run's checkpoints.

    :param fingerprint: the identity of the run: source, configuration, data, versions, processes.
    :returns: the checkpoint to resume from, if there is one.
    :raises TrainingError: the folder holds checkpoints of another run, or nothing but other files.
    """
    if work.exists() and not work.is_dir():
        raise TrainingError(f"{work} is needed for checkpoints and is a file", hint="choose another `out`")
    sweep_leftovers(work / _RUN_FILE)
    entered = _read(work)
    if entered is None and (foreign := _first_file(work)):
        raise TrainingError(
            f"{work} is needed for checkpoints and holds other files, such as {foreign}",
            hint="choose another `out`, or move them away",
        )
    wanted = json.loads(json.dumps(fingerprint))
    if entered and entered.fingerprint != wanted:
        if entered.newest(work):
            differ = _differences(entered.fingerprint, wanted)
            raise TrainingError(
                f"{work} holds checkpoints of a run with other data or settings (differs in: {', '.join(differ)})",
                hint=f"run it with the same ones to resume, or delete {work}",
            )
        clear(work)
    checkpoint = sweep(work)
    if checkpoint is None:
        work.mkdir(parents=True, exist_ok=True)
        _Run(wanted, ()).write(work)
    return checkpoint


def newest(work: Path) -> Path | None:
    """The newest complete checkpoint of the run."""
    entered = _read(work)
    return entered.newest(work) if entered else None


def announce(work: Path, step: int) -> None:
    """Enter the checkpoint that is about to be written.

    :raises TrainingError: something else has its name.
    """
    entered, path = _read(work), work / f"checkpoint-{step}"
    if entered is None:
        raise TrainingError(f"{work / _RUN_FILE} is gone or damaged", hint="leave the folder alone while a run trains")
    if path.name in entered.checkpoints:
        return
    if path.is_symlink() or path.exists():
        raise TrainingError(
            f"{path} is needed for a checkpoint and was not written by this run",
            hint="move it away and run the same again: it goes on from the last checkpoint",
        )
    _Run(entered.fingerprint, (*entered.checkpoints, path.name)).write(work)


def sweep(work: Path) -> Path | None:
    """Delete checkpoints that a kill or a full disk left incomplete, and the training's other files if none remains.

    :returns: the newest complete checkpoint.
    """
    entered = _read(work)
    if entered is None:
        return None
    for path in entered.paths(work):
        if not entered.is_whole(path):
            shutil.rmtree(path)
    checkpoint = entered.newest(work)
    if checkpoint is None:
        clear(work)
    return checkpoint


def keep_newest_and_best(work: Path, best: str | None) -> None:
    """Delete all checkpoints but two: the newest, and the best or else the one before.

    Trainer's own limit chooses by time of change, and among all that is called ``checkpoint-…``: a person's folder too.

    :param best: path of the best checkpoint so far; ``None`` before the first evaluation.
    """
    entered = _read(work)
    if entered is None:
        return
    *others, newest_one = entered.paths(work)
    kept = Path(best).name if best else others[-1].name if others else newest_one.name
    for path in others:
        if path.name != kept:
            shutil.rmtree(path)


def clear(work: Path) -> None:
    """Delete everything that a training wrote there, and the folder if nothing else is in it."""
    entered = _read(work)
    if entered is None:
        return
    for path in entered.paths(work):
        shutil.rmtree(path)
    if "answers" in entered.fingerprint:
        (work / ANSWERS).unlink(missing_ok=True)
    if "reference_tokens" in entered.fingerprint.get("config", {}):
        (work / STATES).unlink(missing_ok=True)
    (work / _RUN_FILE).unlink()
    if not work.is_symlink() and _first_file(work) is None:
        work.rmdir()


@dataclass(frozen=True)
class _Run:
    """The content of ``run.json``.

    :param checkpoints: the names of all that it has begun to write, in that order; most of them are deleted by now.
    """

    fingerprint: dict[str, Any]
    checkpoints: tuple[str, ...]

    def write(self, work: Path) -> None:
        replace_file(
            work / _RUN_FILE, json.dumps({"fingerprint": self.fingerprint, "checkpoints": list(self.checkpoints)})
        )

    def paths(self, work: Path) -> list[Path]:
        """The checkpoints that are there, by their steps."""
        found = [work / name for name in self.checkpoints if (work / name).is_dir()]
        return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))

    def newest(self, work: Path) -> Path | None:
        return next((path for path in reversed(self.paths(work)) if self.is_whole(path)), None)

    def is_whole(self, checkpoint: Path) -> bool:
        """Trainer writes its state last; all else must be there too, or a resumed run would be another one."""
        if len(list(checkpoint.glob(RANDOM_STATES))) < self.fingerprint.get("processes", 1):
            return False
        has_all = all((checkpoint / name).exists() for name in CHECKPOINT_FILES)
        return has_all and _json(checkpoint / STATE_FILE) is not None


def _read(work: Path) -> _Run | None:
    """What ``run.json`` holds; ``None`` if it is not there, or not one of ours."""
    values = _json(work / _RUN_FILE)
    match values:
        case {"fingerprint": dict(fingerprint), "checkpoints": list(names)}:
            if all(_NAME.fullmatch(str(name)) for name in names):
                return _Run(fingerprint, tuple(names))
    return None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _first_file(work: Path) -> str | None:
    """The name of something in the folder; ``None`` if it is empty or not there."""
    return min((path.name for path in work.iterdir()), default=None) if work.exists() else None


def _differences(entered: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """The names of what differs, such as ``config (seed)``."""
    found = []
    for name in sorted(entered.keys() | wanted.keys()):
        old, new = entered.get(name), wanted.get(name)
        if isinstance(old, dict) and isinstance(new, dict) and old != new:
            found.append(f"{name} ({', '.join(_differences(old, new))})")
        elif old != new:
            found.append(name)
    return found
