"""A manifest and an artifact written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from replank.models.artifact import Artifact, new_artifact, seal
from replank.models.manifest import FileFacts, Manifest, Parent
from replank.models.provenance import MadeBy
from replank.models.quality import Quality
from replank.models.training_facts import TrainingFacts
from replank.system.environment import Machine
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task

TASK = Task("mood", KINDS["classification"], ("bad", "good"), ("text",), "label", ("accuracy",), 32)


def make_manifest(**changes: Any) -> Manifest:
    """A manifest written by hand, of a model that a plain folder was made into."""
    made_by = MadeBy(
        stage="finetune",
        config={"epochs": 2.0, "seed": 42},
        facts=TrainingFacts(data={"train": "11" * 32}, steps=12, best_dev={"accuracy": 0.75}),
        versions={"replank": "0.1.0"},
        machine=Machine("a CPU", "x86_64", 2, (), 8.0, "Linux"),
        seconds=1.5,
        finished_at="2026-01-02T03:04:05+00:00",
    )
    values: dict[str, Any] = {
        "kind": "torch",
        "precision": "fp32",
        "task": TASK,
        "made_by": made_by,
        "parent": Parent("encoder", "22" * 32, None),
        "quality": Quality(split="dev", rows=8, data="33" * 32, metrics={"accuracy": 0.75}),
        "verification": None,
        "files": {"model.safetensors": FileFacts("44" * 32, 10)},
    }
    return Manifest(**values | changes)


def write(out: Path, content: str = "weights", *, force: bool = False) -> Artifact:
    """An artifact whose weights are a few letters."""
    with new_artifact(out, force=force) as folder:
        (folder / "model.safetensors").write_text(content, encoding="utf-8")
        (folder / "config.json").write_text("{}", encoding="utf-8")
        seal(folder, make_manifest(files={}))
    return Artifact.open(out)


def names(folder: Path) -> list[str]:
    """What lies in a folder, hidden names too."""
    return sorted(path.name for path in folder.iterdir())
