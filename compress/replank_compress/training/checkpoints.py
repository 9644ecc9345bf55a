"""The folder of a training's checkpoints: the run that they belong to, and which of them are complete."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from replank.system.errors import TrainingError
from replank.system.files import replace_file, sweep_leftovers
from replank.system.processes import process_count
from replank_compress.training.internals import CHECKPOINT_FILES, RANDOM_STATES, STATE_FILE

_RUN_FILE = "run.json"


def claim(work: Path, fingerprint: dict[str, Any]) -> Path | None:
    """Take a folder for this run's checkpoints.

    :param fingerprint: the identity of the run: source, configuration, data.
    :returns: the checkpoint to resume from, if there is one.
    :raises TrainingError: the folder holds checkpoints of another run, or other files.
    """
    run = work / _RUN_FILE
    sweep_leftovers(run)
    if not run.exists() and work.exists() and any(work.iterdir()):
        raise TrainingError(
            f"{work} is needed for checkpoints and holds other files", hint="choose another `out`, or move them away"
        )
    checkpoint = sweep(work)
    if checkpoint and _read(run) != fingerprint:
        raise TrainingError(
            f"{work} holds checkpoints of a run with other data or settings",
            hint=f"run it with the same ones to resume, or delete {work}",
        )
    work.mkdir(parents=True, exist_ok=True)
    replace_file(run, json.dumps(fingerprint))
    return checkpoint


def newest(work: Path) -> Path | None:
    """The newest complete checkpoint."""
    return next((path for path in reversed(_checkpoints(work)) if _is_whole(path)), None)


def sweep(work: Path) -> Path | None:
    """Delete checkpoints that a kill or a full disk left incomplete, and the training's other files if none remains.

    :returns: the newest complete checkpoint.
    """
    for path in _checkpoints(work):
        if not _is_whole(path):
            shutil.rmtree(path)
    checkpoint = newest(work)
    if checkpoint is None:
        clear(work)
    return checkpoint


def keep_newest_and_best(work: Path, best: str | None) -> None:
    """Delete all checkpoints but two: the newest, and the best or else the one before.

    Trainer's own limit chooses by time of change, and among all that is called ``checkpoint-…``: a person's folder too.

    :param best: path of the best checkpoint so far; ``None`` before the first evaluation.
    """
    *others, newest_one = _checkpoints(work)
    kept = Path(best).name if best else others[-1].name if others else newest_one.name
    for path in others:
        if path.name != kept:
            shutil.rmtree(path)


def clear(work: Path) -> None:
    """Delete everything that a training wrote there, and the folder if nothing else is in it."""
    for path in _checkpoints(work):
        shutil.rmtree(path)
    (work / _RUN_FILE).unlink(missing_ok=True)
    if work.is_dir() and not any(work.iterdir()):
        work.rmdir()


def _checkpoints(work: Path) -> list[Path]:
    found = [path for path in work.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdecimal()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def _is_whole(checkpoint: Path) -> bool:
    """Trainer writes its state last; all else must be there too, or a resumed run would be another one."""
    if len(list(checkpoint.glob(RANDOM_STATES))) < process_count():
        return False
    return all((checkpoint / name).exists() for name in CHECKPOINT_FILES) and _read(checkpoint / STATE_FILE) is not None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
