"""The manifest: what makes an artifact the same, and where it comes from."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from manifests import TASK, make_manifest
from replank.models.artifact import Artifact
from replank.models.facts import ExportFacts
from replank.models.int8_facts import Int8Facts
from replank.models.manifest import MANIFEST, SCHEMA, FileFacts, Manifest, Parent, manifest_text, read_manifest
from replank.models.provider_table import ProviderTable
from replank.models.quality import Differences
from replank.models.training_facts import TrainingFacts
from replank.system.environment import Processor
from replank.system.errors import ArtifactError

# The manifest


def test_a_manifest_survives_json() -> None:
    manifest = make_manifest()
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest
    assert manifest.to_json()["schema"] == SCHEMA


def test_rows_that_chose_are_found_in_the_whole_lineage() -> None:
    """The checkpoint was chosen on dev; of a model that somebody else trained, nobody knows."""
    facts = TrainingFacts(data={"train": "11" * 32, "dev": "55" * 32}, steps=1, best_dev={"accuracy": 0.5})
    tuned = make_manifest(made_by=replace(make_manifest().made_by, facts=facts))
    exported = ExportFacts(data={"dev": "66" * 32}, exporter="dynamo", fused={})
    export = replace(tuned.made_by, stage="export", facts=exported)
    onnx = make_manifest(made_by=export, parent=Parent("tuned", tuned.digest, tuned))
    assert [onnx.chose_on(rows * 32) for rows in ("55", "66", "11")] == [True, False, False]
    foreign = make_manifest(made_by=export, parent=Parent("theirs", "22" * 32, None))
    assert foreign.chose_on("55" * 32) is None


@pytest.mark.parametrize(
    ("data", "chosen"), [({"dev": "55" * 32, "test": "66" * 32}, "55"), ({"test": "66" * 32}, "66")]
)
def test_int8_chooses_on_dev_or_else_on_what_there_is(data: dict[str, str], chosen: str) -> None:
    facts = Int8Facts(
        data=data, scheme="dynamic", quantized={}, kept_in_float=(), instruction_sets=(), reduce_range=False
    )
    manifest = make_manifest(made_by=replace(make_manifest().made_by, stage="quantize", facts=facts))
    assert {rows for rows in ("55", "66") if manifest.chose_on(rows * 32)} == {chosen}


def test_the_digest_of_a_known_manifest_never_changes() -> None:
    """If this fails, every digest in the world has changed: raise SCHEMA, or undo the change."""
    assert make_manifest().digest == "981dee512bb624a05fd7c3a5191f6cb1aa0884ab7506a796c82935094d0df222"


def test_the_digest_names_neither_time_nor_machine() -> None:
    manifest = make_manifest()
    machine = replace(manifest.made_by.machine, cpu="another")
    elsewhere = replace(manifest.made_by, machine=machine, seconds=9.0, finished_at="2027-01-01T00:00:00+00:00")
    assert replace(manifest, made_by=elsewhere).digest == manifest.digest


def test_the_digest_of_a_child_names_neither_time_nor_machine_of_its_parent() -> None:
    parent = make_manifest()
    later = replace(parent, made_by=replace(parent.made_by, seconds=9.0))
    children = [
        make_manifest(parent=Parent(name, manifest.digest, manifest))
        for name, manifest in (("one", parent), ("other", later))
    ]
    assert children[0].digest == children[1].digest
    other = replace(parent, precision="int8")
    stranger = make_manifest(parent=Parent("one", other.digest, other))
    assert stranger.digest != children[0].digest


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "onnx"},
        {"precision": "int8"},
        {"task": replace(TASK, labels=("good", "bad"))},
        {"made_by": replace(make_manifest().made_by, stage="compress")},
        {"parent": None},
        {"quality": None},
        {"verification": Differences(tolerance=None, max_abs=0.0, cases=())},
        {"files": {"model.safetensors": FileFacts("45" * 32, 10)}},
    ],
)
def test_the_digest_changes_with_everything_else(changes: dict[str, Any]) -> None:
    assert make_manifest(**changes).digest != make_manifest().digest


def test_the_whole_lineage_travels(int8_artifact: Path) -> None:
    """A parent's digest is the digest of the manifest that lies beside it, down to the first."""
    manifest, generations = Artifact.open(int8_artifact).manifest, 0
    while manifest.parent and manifest.parent.manifest:
        assert manifest.parent.manifest.digest == manifest.parent.digest
        manifest, generations = manifest.parent.manifest, generations + 1
    assert generations == 3


# Reading


def written(folder: Path, values: dict[str, Any]) -> Path:
    (folder / MANIFEST).write_text(manifest_text(values), encoding="utf-8")
    return folder


def test_a_table_of_providers_survives_json_and_is_no_part_of_the_digest(tmp_path: Path) -> None:
    table = ProviderTable(
        Processor("a CPU", "x86_64", 2, ("avx2",)), {"replank": "0.1.0"}, 2, ((1, 16),), {"cpu": (1.5,)}, {}, "cpu"
    )
    manifest = make_manifest(providers=table)
    assert read_manifest(written(tmp_path, manifest.to_json())) == manifest
    assert manifest.digest == make_manifest().digest


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (
            ("made_by", "stage"),
            "shrink",
            "made_by.stage is 'shrink'; expected one of pretrain, finetune, compress, export",
        ),
        (("made_by", "steps"), "many", "made_by.steps is 'many'; expected an integer"),
        (("made_by", "machine", "cores"), None, "made_by.machine.cores is None; expected an integer"),
        (("quality", "metrics", "accuracy"), "high", "quality.metrics.accuracy is 'high'; expected a number"),
        (("quality", "rows"), 1.5, "quality.rows is 1.5; expected an integer"),
        (("parent",), [], "parent is []; expected an object"),
        (("files", "model.safetensors", "bytes"), True, "files.model.safetensors.bytes is True; expected an integer"),
        (("task", "labels"), "bad", "task.labels is 'bad'; expected a list"),
        (("task", "kind"), "guessing", "`task` is guessing; expected one of"),
        (("kind",), "tensorflow", "kind is 'tensorflow'; expected one of torch, onnx"),
        (("quality", "mood"), 1, "holds facts that this replank does not know"),
        (("made_by", "colour"), "red", "holds facts that this replank does not know"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    tmp_path: Path, place: tuple[str, ...], value: Any, expected: str
) -> None:
    values = json.loads(json.dumps(make_manifest().to_json()))
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ArtifactError, match=re.escape(expected)):
        read_manifest(written(tmp_path, values))
