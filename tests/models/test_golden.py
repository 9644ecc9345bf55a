"""Artifacts of earlier releases, as these wrote them: they open, keep their identity, and answer as they did.

Each ``golden/VERSION/NAME.json`` holds the digest and the answers of ``replank predict --json`` of that version; of
``NAME.replank.json``, a manifest without its model, the digest only. ``early-successor`` was made before the training
curve moved from the manifest to a file.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from commands import Replank
from replank import load
from replank.models.artifact import Artifact
from replank.models.card import lineage
from replank.models.manifest import manifest_text, read_manifest

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = sorted(path for path in GOLDEN.glob("*/*") if path.is_dir())
MANIFESTS = sorted(GOLDEN.glob("*/*.replank.json"))


def recorded(folder: Path) -> Any:
    return json.loads(folder.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(params=FOLDERS, ids=lambda path: f"{path.parent.name}-{path.name}")
def folder(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_release_with_artifacts_is_here() -> None:
    assert {path.parent.name for path in FOLDERS} == {"0.1.0", "0.2.0", "0.3.0", "0.4.0"}


def test_it_opens_with_the_digest_that_it_had(folder: Path) -> None:
    manifest = Artifact.open(folder).manifest
    assert manifest.digest == recorded(folder)["digest"]
    assert manifest.made_by.versions["replank"] == folder.parent.name


def test_its_manifest_is_written_again_byte_for_byte(folder: Path) -> None:
    manifest = Artifact.open(folder).manifest
    assert manifest_text(manifest.to_json()) == (folder / "replank.json").read_text(encoding="utf-8")


def test_its_lineage_is_whole(folder: Path) -> None:
    manifest = Artifact.open(folder).manifest
    stages = ["encoder", "finetune", "compress", "export", "quantize"]
    steps = lineage(manifest)
    assert len(steps) == (5 if folder.name == "int8" else 3)
    for stage, step in zip(stages, steps, strict=False):
        assert stage in step
        assert not set(step) & set("={}[]")
    while manifest.parent and manifest.parent.manifest:
        assert manifest.parent.manifest.digest == manifest.parent.digest
        manifest = manifest.parent.manifest


def test_it_answers_as_it_did(folder: Path) -> None:
    expected = recorded(folder)["answers"]
    answers = load(folder, device="cpu").predict([answer["text"] for answer in expected])
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer.label == wanted["label"]
        assert answer.scores == pytest.approx(wanted["scores"], abs=1e-5)


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_other_facts_of_a_manifest_are_kept(tmp_path: Path, file: Path) -> None:
    """A table of providers, a successor that started from another model, and what fp16 left in fp32."""
    shutil.copyfile(file, tmp_path / "replank.json")
    manifest = read_manifest(tmp_path)
    pinned = json.loads(file.with_name(file.name.replace(".replank", "")).read_text(encoding="utf-8"))
    assert manifest.digest == pinned["digest"]
    assert manifest_text(manifest.to_json()) == file.read_text(encoding="utf-8")


def test_inspect_shows_it(replank: Replank, folder: Path) -> None:
    done = replank("inspect", folder)
    assert done.code == 0, done.err
    assert recorded(folder)["digest"] in done.out


@pytest.mark.parametrize("release", ["0.1.0", "0.2.0", "0.3.0"])
def test_a_report_is_made_of_them(replank: Replank, tmp_path: Path, release: str) -> None:
    """Each section reads facts that the release may not have had yet."""
    out = shutil.copytree(GOLDEN / release, tmp_path / "out", ignore=shutil.ignore_patterns("*.replank.json"))
    done = replank("report", out)
    assert done.code == 0, done.err
    text = (out / "report.md").read_text(encoding="utf-8")
    for folder in (path for path in FOLDERS if path.parent.name == release):
        assert recorded(folder)["digest"][:12] in text
