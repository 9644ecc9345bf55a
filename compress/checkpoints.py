"""The folder of a training's checkpoints: whose it is, and which of them is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from replank.errors import TrainingError

_RUN_FILE = "run.json"
# What a checkpoint must hold to be resumed from exactly.
_PARTS = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state*.pth", "trainer_state.json")


def claim(work: Path, fingerprint: dict[str, Any]) -> Path | None:
    """Make a folder the one of this run's checkpoints.

    :param fingerprint: what makes the run this run: source, configuration, data.
    :returns: the checkpoint to resume from, if there is one.
    :raises TrainingError: the folder holds checkpoints of another run.
    """
    checkpoint = sweep(work)
    run = work / _RUN_FILE
    if checkpoint and _read(run) != fingerprint:
        raise TrainingError(
            f"{work} holds checkpoints of a run with other data or settings",
            hint=f"run it with the same ones to resume, or delete {work}",
        )
    work.mkdir(parents=True, exist_ok=True)
    run.write_text(json.dumps(fingerprint), encoding="utf-8")
    return checkpoint


def newest(work: Path) -> Path | None:
    """The newest whole checkpoint."""
    return next((path for path in reversed(_checkpoints(work)) if _is_whole(path)), None)


def sweep(work: Path) -> Path | None:
    """Delete what a kill or a full disk left half written, and the folder if nothing whole remains.

    :returns: the newest whole checkpoint.
    """
    for path in _checkpoints(work):
        if not _is_whole(path):
            shutil.rmtree(path)
    checkpoint = newest(work)
    if checkpoint is None:
        shutil.rmtree(work, ignore_errors=True)
    return checkpoint


def _checkpoints(work: Path) -> list[Path]:
    return sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))


def _is_whole(checkpoint: Path) -> bool:
    """Trainer writes its state last; all else must be there too, or a resumed run would be another one."""
    return all(any(checkpoint.glob(part)) for part in _PARTS) and _read(checkpoint / "trainer_state.json") is not None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
