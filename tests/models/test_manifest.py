"""The manifest: what makes an artifact the same, and where it comes from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from manifests import TASK, make_manifest
from replank.models.artifact import Artifact
from replank.models.manifest import SCHEMA, Manifest

# The manifest


def test_a_manifest_survives_json() -> None:
    manifest = make_manifest()
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest
    assert manifest.to_json()["schema"] == SCHEMA


def test_the_digest_of_a_known_manifest_never_changes() -> None:
    """If this fails, every digest in the world has changed: raise SCHEMA, or undo the change."""
    assert make_manifest().digest == "52dbafe46723a24b345163e2d89ab721c3f4d5294ba09dca1bab6b7fa1d0f7da"


def test_the_digest_names_neither_time_nor_machine() -> None:
    manifest = make_manifest()
    elsewhere = {"machine": {"cpu": "another"}, "seconds": 9.0, "finished_at": "2027-01-01T00:00:00+00:00"}
    assert replace(manifest, made_by=manifest.made_by | elsewhere).digest == manifest.digest


def test_the_digest_of_a_child_names_neither_time_nor_machine_of_its_parent() -> None:
    parent = make_manifest()
    later = replace(parent, made_by=parent.made_by | {"seconds": 9.0})
    children = [
        make_manifest(parent={"name": name, "digest": manifest.digest, "manifest": manifest.to_json()})
        for name, manifest in (("one", parent), ("other", later))
    ]
    assert children[0].digest == children[1].digest
    other = replace(parent, precision="int8")
    stranger = make_manifest(parent={"name": "one", "digest": other.digest, "manifest": other.to_json()})
    assert stranger.digest != children[0].digest


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "onnx"},
        {"precision": "int8"},
        {"task": replace(TASK, labels=("good", "bad"))},
        {"made_by": {"stage": "compress"}},
        {"parent": None},
        {"quality": None},
        {"verification": {"max_abs": 0.0}},
        {"files": {"model.safetensors": {"sha256": "45" * 32, "bytes": 10}}},
    ],
)
def test_the_digest_changes_with_everything_else(changes: dict[str, Any]) -> None:
    assert make_manifest(**changes).digest != make_manifest().digest


def test_the_whole_lineage_travels(int8_artifact: Path) -> None:
    """A parent's digest is the digest of the manifest that lies beside it, down to the first."""
    manifest, generations = Artifact.open(int8_artifact).manifest, 0
    while manifest.parent and manifest.parent["manifest"]:
        parent = Manifest.from_json(manifest.parent["manifest"])
        assert parent.digest == manifest.parent["digest"]
        manifest, generations = parent, generations + 1
    assert generations == 3
