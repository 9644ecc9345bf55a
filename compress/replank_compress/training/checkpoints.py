"""The folder of a training's checkpoints: whose it is, and which of them is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from replank.system.errors import TrainingError
from replank.system.files import replace_file, sweep_leftovers
from replank.system.processes import process_count

_RUN_FILE = "run.json"
# What a checkpoint must hold to be resumed from exactly, beside a state of random numbers for each process.
_PARTS = ("model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json")


def claim(work: Path, fingerprint: dict[str, Any]) -> Path | None:
    """Make a folder the one of this run's checkpoints.

    :param fingerprint: what makes the run this run: source, configuration, data.
    :returns: the checkpoint to resume from, if there is one.
    :raises TrainingError: the folder holds checkpoints of another run, or what is not a training's.
    """
    run = work / _RUN_FILE
    sweep_leftovers(run)
    if not run.exists() and work.exists() and any(work.iterdir()):
        raise TrainingError(
            f"{work} is wanted for checkpoints and holds other files", hint="choose another OUT, or move them away"
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
    """The newest whole checkpoint."""
    return next((path for path in reversed(_checkpoints(work)) if _is_whole(path)), None)


def sweep(work: Path) -> Path | None:
    """Delete what a kill or a full disk left half written, and everything if nothing whole remains.

    :returns: the newest whole checkpoint.
    """
    for path in _checkpoints(work):
        if not _is_whole(path):
            shutil.rmtree(path)
    checkpoint = newest(work)
    if checkpoint is None:
        clear(work)
    return checkpoint


def clear(work: Path) -> None:
    """Delete all that a training put there, and the folder, unless somebody else put something there too."""
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
    if len(list(checkpoint.glob("rng_state*.pth"))) < process_count():
        return False
    return all((checkpoint / part).exists() for part in _PARTS) and _read(checkpoint / _PARTS[-1]) is not None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
