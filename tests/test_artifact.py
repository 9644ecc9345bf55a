"""The artifact: written whole or not at all, and read only if every bit is as it was written."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Replank

from replank.artifact import MANIFEST, SCHEMA, Artifact, Manifest, new_artifact, require_free, seal
from replank.errors import ArtifactError, UsageError
from replank.tasks import Task

TASK = Task("mood", "classification", ("bad", "good"), ("text",), "label", ("accuracy",), 32)
TORCH_FILES = (
    "README.md",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
    "training.svg",
)
ONNX_FILES = ("README.md", "config.json", "model.onnx", "ort_config.json", "tokenizer.json", "tokenizer_config.json")


def make_manifest(**changes: Any) -> Manifest:
    """A manifest written by hand, of a model that a plain folder was made into."""
    made_by = {
        "stage": "finetune",
        "config": {"epochs": 2.0, "seed": 42},
        "data": {"train": "11" * 32},
        "versions": {"replank": "0.1.0"},
        "machine": {"cpu": "a CPU", "cores": 2},
        "seconds": 1.5,
        "finished_at": "2026-01-02T03:04:05+00:00",
    }
    values: dict[str, Any] = {
        "kind": "torch",
        "precision": "fp32",
        "task": TASK,
        "made_by": made_by,
        "parent": {"name": "encoder", "digest": "22" * 32, "manifest": None},
        "quality": {"split": "dev", "rows": 8, "data": "33" * 32, "metrics": {"accuracy": 0.75}},
        "verification": None,
        "files": {"model.safetensors": {"sha256": "44" * 32, "bytes": 10}},
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


# Writing


def test_a_written_artifact_is_read_back(tmp_path: Path) -> None:
    artifact = write(tmp_path / "deep" / "er" / "out")
    assert artifact.path == tmp_path / "deep" / "er" / "out"
    assert artifact.model_file.read_text(encoding="utf-8") == "weights"
    assert sorted(artifact.manifest.files) == ["README.md", "config.json", "model.safetensors"]
    assert artifact.bytes == sum(path.stat().st_size for path in artifact.path.iterdir() if path.name != MANIFEST)
    assert artifact.manifest.task == TASK
    assert names(artifact.path.parent) == ["out"]


def test_an_empty_folder_may_become_the_artifact(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write(tmp_path / "out").path == tmp_path / "out"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize("failure", [ValueError("broke"), KeyboardInterrupt()])
def test_a_failed_block_leaves_everything_as_it_was(tmp_path: Path, failure: BaseException, existed: bool) -> None:
    out = tmp_path / "out"
    before = write(out, "old").manifest.digest if existed else None
    with pytest.raises(type(failure)), new_artifact(out, force=existed) as folder:
        (folder / "model.safetensors").write_text("new", encoding="utf-8")
        raise failure
    assert names(tmp_path) == (["out"] if existed else [])
    if existed:
        assert Artifact.open(out).manifest.digest == before
        assert (out / "model.safetensors").read_text(encoding="utf-8") == "old"


def test_an_unsealed_folder_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ArtifactError, match="was not sealed"),
        new_artifact(tmp_path / "out", force=False) as folder,
    ):
        (folder / "model.safetensors").write_text("weights", encoding="utf-8")
    assert names(tmp_path) == []


@pytest.mark.parametrize("files", [(), ("model.onnx",), ("model.safetensors", "model.onnx")])
def test_exactly_one_model_of_the_right_kind_is_sealed(tmp_path: Path, files: tuple[str, ...]) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ArtifactError, match="an artifact of kind torch cannot hold"):
        seal(tmp_path, make_manifest())
    assert not (tmp_path / MANIFEST).exists()


def test_force_replaces_an_artifact_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    artifact = write(tmp_path / "out", "new", force=True)
    assert artifact.model_file.read_text(encoding="utf-8") == "new"
    assert names(tmp_path) == ["out"]


def test_force_replaces_what_a_link_points_to_and_keeps_the_link(tmp_path: Path) -> None:
    write(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", "new", force=True)
    assert names(tmp_path) == ["link", "real"]
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "model.safetensors").read_text(encoding="utf-8") == "new"


def test_an_artifact_is_kept_without_force(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    with pytest.raises(UsageError, match="out is not empty") as refusal:
        write(tmp_path / "out", "new")
    assert refusal.value.hint == "choose another folder, or replace it with --force"
    assert (tmp_path / "out" / "model.safetensors").read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize("inside", ["letters.txt", "replank.json/x", "model/x"])
def test_force_deletes_no_folder_but_an_artifact(tmp_path: Path, inside: str) -> None:
    precious = tmp_path / "home" / inside
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work", encoding="utf-8")
    with pytest.raises(UsageError, match="holds more than an artifact"):
        write(tmp_path / "home", force=True)
    assert precious.read_text(encoding="utf-8") == "years of work"


def test_force_does_not_delete_an_artifact_with_a_folder_in_it(tmp_path: Path) -> None:
    write(tmp_path / "out")
    write(tmp_path / "out" / "onnx")
    with pytest.raises(UsageError, match="holds more than an artifact"):
        require_free(tmp_path / "out", force=True)


def test_a_file_is_no_place_for_an_artifact(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="file is a file; expected a new or empty folder"):
        write(file, force=True)
    with pytest.raises(UsageError, match=r"cannot make .*file/out: .*file is a file"):
        write(file / "out")
    assert file.read_text(encoding="utf-8") == "mine"


def test_the_model_itself_is_no_place_for_what_is_made_of_it(tmp_path: Path) -> None:
    source = write(tmp_path / "model").path
    (tmp_path / "link").symlink_to(source)
    for out in (source, tmp_path / "link", tmp_path / "model" / ".." / "model"):
        with pytest.raises(UsageError, match="is the model itself"):
            require_free(out, force=True, source=source)
    require_free(tmp_path / "other", force=False, source=source)


def test_the_current_folder_is_refused_before_it_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UsageError, match="is the folder that you are in") as refusal:
        write(Path())
    assert refusal.value.hint == "choose a folder in it: model"
    assert write(Path("model")).path == Path("model")


def test_a_mount_point_is_refused_early() -> None:
    with pytest.raises(UsageError, match="/proc is a mount point"):
        require_free(Path("/proc"), force=False)


def test_an_unwritable_parent_is_refused_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere, so the answer of the system is given by hand.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(UsageError, match=f"cannot make {tmp_path}/a/b: {tmp_path} is not writable"):
        require_free(tmp_path / "a" / "b", force=False)


def test_a_folder_that_cannot_be_made_is_one_error() -> None:
    with pytest.raises(ArtifactError, match="cannot write /proc/replank-test: No such file"):
        write(Path("/proc/replank-test"))


# Runs that were killed


def dead_process() -> int:
    """The id of a process that is no more."""
    found = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return int(found.stdout)


@pytest.mark.parametrize("name", ["out", "out[1]", "o*"])
def test_leftovers_of_dead_runs_are_swept_and_of_live_ones_kept(tmp_path: Path, name: str) -> None:
    dead, live = dead_process(), os.getppid()
    for leftover in (
        f".{name}.{dead}.partial",
        f".{name}.{os.getpid()}.partial",  # as a container's next run finds it: every one is process 1
        f".{name}.{live}.partial",
        f".{name}.x.{dead}.partial",  # of another artifact
    ):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "model.safetensors").write_text("half", encoding="utf-8")
    write(tmp_path / name)
    assert names(tmp_path) == sorted([f".{name}.{live}.partial", f".{name}.x.{dead}.partial", name])


def test_an_artifact_set_aside_by_a_killed_run_is_put_back(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    (tmp_path / "out").rename(tmp_path / f".out.{dead_process()}.partial-old")
    with pytest.raises(UsageError, match="out is not empty"):
        write(tmp_path / "out", "new")
    assert names(tmp_path) == ["out"]
    assert Artifact.open(tmp_path / "out").model_file.read_text(encoding="utf-8") == "old"


def test_an_artifact_set_aside_is_deleted_once_the_new_one_is_there(tmp_path: Path) -> None:
    write(tmp_path / "out", "new")
    shutil.copytree(tmp_path / "out", tmp_path / f".out.{dead_process()}.partial-old")
    write(tmp_path / "out", "newer", force=True)
    assert names(tmp_path) == ["out"]


def test_a_run_that_dies_at_once_leaves_only_what_the_next_one_sweeps(tmp_path: Path) -> None:
    program = (
        "import os, pathlib; from replank.artifact import new_artifact\n"
        f"with new_artifact(pathlib.Path({str(tmp_path / 'out')!r}), force=False) as folder:\n"
        "    (folder / 'model.safetensors').write_text('half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    (leftover,) = names(tmp_path)
    assert leftover.startswith(".out.")
    assert leftover.endswith(".partial")
    write(tmp_path / "out")
    assert names(tmp_path) == ["out"]


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


# Reading


@pytest.fixture
def torch_copy(predecessor: Path, tmp_path: Path) -> Path:
    return shutil.copytree(predecessor, tmp_path / "model")


@pytest.fixture
def onnx_copy(int8_artifact: Path, tmp_path: Path) -> Path:
    return shutil.copytree(int8_artifact, tmp_path / "model")


def test_the_files_named_here_are_all_files(predecessor: Path, int8_artifact: Path) -> None:
    for folder, files in ((predecessor, TORCH_FILES), (int8_artifact, ONNX_FILES)):
        assert sorted(Artifact.open(folder).manifest.files) == sorted(files)
        assert names(folder) == sorted([*files, MANIFEST])


def flip_one_bit(file: Path, generator: random.Random) -> bytes:
    """Flip it, and give the content as it was."""
    content = file.read_bytes()
    position = generator.randrange(len(content))
    damaged = bytearray(content)
    damaged[position] ^= 1 << generator.randrange(8)
    file.write_bytes(damaged)
    return content


@pytest.mark.parametrize("name", [*TORCH_FILES, MANIFEST])
def test_one_flipped_bit_in_a_torch_artifact_is_noticed(torch_copy: Path, name: str) -> None:
    check_flipped_bits(torch_copy, name)


@pytest.mark.parametrize("name", [*ONNX_FILES, MANIFEST])
def test_one_flipped_bit_in_an_onnx_artifact_is_noticed(onnx_copy: Path, name: str) -> None:
    check_flipped_bits(onnx_copy, name)


def check_flipped_bits(folder: Path, name: str) -> None:
    generator = random.Random(name)  # noqa: S311 - positions to damage, no secret
    for _ in range(100 if name == MANIFEST else 20):
        whole = flip_one_bit(folder / name, generator)
        with pytest.raises(ArtifactError, match=f"{folder / name} (is damaged|has schema)"):
            Artifact.open(folder)
        (folder / name).write_bytes(whole)
    Artifact.open(folder)


@pytest.mark.parametrize("name", TORCH_FILES)
def test_a_missing_file_is_named(torch_copy: Path, name: str) -> None:
    (torch_copy / name).unlink()
    with pytest.raises(ArtifactError, match=f"{torch_copy / name} is missing"):
        Artifact.open(torch_copy)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b"null", b"[" * 100_000, b'{"schema": 1}'])
def test_what_is_no_manifest_is_damaged(torch_copy: Path, content: bytes) -> None:
    (torch_copy / MANIFEST).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{torch_copy / MANIFEST} is damaged"):
        Artifact.open(torch_copy)


def test_an_edited_manifest_is_noticed(torch_copy: Path) -> None:
    file = torch_copy / MANIFEST
    text = file.read_text(encoding="utf-8")
    assert text.count('"kind": "torch"') == 1
    file.write_text(text.replace('"kind": "torch"', '"kind": "onnx"'), encoding="utf-8")
    with pytest.raises(ArtifactError, match="was edited: its checksum does not match"):
        Artifact.open(torch_copy)


def test_an_unknown_schema_names_both(torch_copy: Path) -> None:
    file = torch_copy / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"schema": 99}), encoding="utf-8")
    with pytest.raises(ArtifactError, match="has schema 99; this replank reads schema 1") as refusal:
        Artifact.open(torch_copy)
    assert refusal.value.hint == "use the replank that wrote it"


def test_a_plain_folder_is_no_artifact(encoder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is no replank artifact: it has no replank\.json"):
        Artifact.open(encoder)


# A full disk


@contextmanager
def tiny_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """A file system of a few kibibytes."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a tiny file system takes root and the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(("stage", "source"), [("export", "successor"), ("quantize", "onnx")])
def test_a_full_disk_is_said_and_nothing_stays(
    replank: Replank, int8_artifact: Path, tmp_path: Path, stage: str, source: str
) -> None:
    with tiny_disk(tmp_path / "disk", 60) as disk:
        done = replank(stage, int8_artifact.with_name(source), disk / "out")
        assert (done.code, done.out) == (1, "")
        assert done.err.splitlines()[-2] == "error: the disk is full"
        assert done.err.splitlines()[-1].startswith("hint: free some space")
        assert names(disk) == []


def test_a_read_only_disk_is_said_early(replank: Replank, int8_artifact: Path, tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", 60) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = replank("export", int8_artifact.with_name("successor"), disk / "out")
        assert (done.code, done.out) == (2, "")
        assert done.err == f"error: cannot make {disk}/out: {disk} is not writable\n"
