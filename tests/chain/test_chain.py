"""The stages one after the other on a tiny encoder: what each promises of its artifact."""

from __future__ import annotations

from pathlib import Path

from replank.models.artifact import Artifact


def test_the_predecessor_learns_and_says_so(predecessor: Path) -> None:
    quality = Artifact.open(predecessor).manifest.quality
    assert quality is not None
    assert (quality.split, quality.rows) == ("test", 64)
    assert quality.metrics["accuracy"] >= 0.9


def test_the_lineage_travels_to_the_end(encoder: Path, int8_artifact: Path) -> None:
    manifest = Artifact.open(int8_artifact).manifest.to_json()
    stages = []
    while manifest["parent"]["manifest"] is not None:
        stages.append(manifest["made_by"]["stage"])
        manifest = manifest["parent"]["manifest"]
    assert [*stages, manifest["made_by"]["stage"]] == ["quantize", "export", "compress", "finetune"]
    assert manifest["parent"]["name"] == encoder.name
