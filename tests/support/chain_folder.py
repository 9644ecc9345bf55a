"""A folder of artifacts as a chain leaves it, and changes of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST, Manifest, manifest_text

STAGES = ("predecessor", "successor", "onnx", "int8")


def metrics_of(artifact: Artifact) -> dict[str, float]:
    assert artifact.manifest.quality is not None
    return artifact.manifest.quality.metrics


def summary(folder: Path) -> dict[str, Any]:
    artifacts = [Artifact.open(folder / name) for name in STAGES]
    made_by = artifacts[-1].manifest.made_by
    return {
        "task": artifacts[0].manifest.task.to_json(),
        "split": "test",
        "rows": 64,
        "length": 9,
        "disturbed": True,
        "machine": asdict(made_by.machine),
        "versions": made_by.versions,
        "models": [
            {
                "name": f"the {artifact.path.name}",
                "folder": artifact.path.name,
                "metrics": metrics_of(artifact),
                "bytes": artifact.model_file.stat().st_size,
                "p50_ms": 8.0 / 2**number,
                "speed_up": 2.0**number,
            }
            for number, artifact in enumerate(artifacts)
        ],
    }


def change(artifact: Path, change_manifest: Any) -> None:
    """Another manifest in place of an artifact's."""
    values = Artifact.open(artifact).manifest.to_json()
    change_manifest(values)
    (artifact / MANIFEST).write_text(manifest_text(Manifest.from_json(values).to_json()), encoding="utf-8")
