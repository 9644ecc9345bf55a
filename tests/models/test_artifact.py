"""Writing artifacts: whole or not at all, whatever kills the run or fills the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands import Replank
from manifests import TASK, make_manifest, names, write
from replank.models.artifact import Artifact, new_artifact, require_free, seal
from replank.models.manifest import MANIFEST
from replank.system.errors import ArtifactError, ReplankError, UsageError
from replank.system.locks import exclusive

# Writing


def test_a_written_artifact_is_read_back(tmp_path: Path) -> None:
    artifact = write(tmp_path / "deep" / "er" / "out")
    assert artifact.path == tmp_path / "deep" / "er" / "out"
    assert artifact.model_file.read_text(encoding="utf-8") == "weights"
    assert sorted(artifact.manifest.files) == ["README.md", "config.json", "model.safetensors"]
    assert artifact.bytes == sum(path.stat().st_size for path in artifact.path.iterdir() if path.name != MANIFEST)
    assert artifact.manifest.task == TASK
    assert names(artifact.path.parent) == ["out"]


def test_it_is_shown_in_a_line(tmp_path: Path) -> None:
    artifact = write(tmp_path / "out")
    assert repr(artifact) == f"Artifact('{tmp_path / 'out'}', torch, fp32, classification)"


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
    assert refusal.value.hint == "choose another folder, or replace it with `force`"
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
    with pytest.raises(ReplankError, match="cannot write /proc/replank-test: No such file"):
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
        "import os, pathlib; from replank.models.artifact import new_artifact\n"
        f"with new_artifact(pathlib.Path({str(tmp_path / 'out')!r}), force=False) as folder:\n"
        "    (folder / 'model.safetensors').write_text('half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    leftover, lock = names(tmp_path)
    assert lock == ".out.replank-lock"
    assert leftover.startswith(".out.")
    assert leftover.endswith(".partial")
    write(tmp_path / "out")
    assert names(tmp_path) == ["out"]


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


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with exclusive(tmp_path / "out"), pytest.raises(UsageError, match=r"another process writes .*out: process"):
        new_artifact(tmp_path / "out", force=False).__enter__()
    assert names(tmp_path) == []
