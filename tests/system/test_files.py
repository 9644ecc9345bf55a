"""Files and folders that are replaced as a whole: killed in the middle, without permission, through links, at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from replank.system import files
from replank.system.errors import ReplankError
from replank.system.files import replace_file, replace_folder, replacing_file, sweep_leftovers


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed(program: str, path: Path) -> None:
    """Run a program that kills itself with SIGKILL."""
    code = (
        f"import os, pathlib, signal\nfrom replank.system import files\npath = pathlib.Path({str(path)!r})\n{program}"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL


KILL = "os.kill(os.getpid(), signal.SIGKILL)"


def dead_process() -> int:
    """The id of a process that has ended."""
    found = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return int(found.stdout)


# Files


@pytest.mark.parametrize("content", ["new é\n", b"\xff\x00"])
def test_a_file_is_made_and_replaced(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "a.txt"
    replace_file(path, "old")
    assert path.read_text(encoding="utf-8") == "old"
    replace_file(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert names(tmp_path) == ["a.txt"]


def test_a_kill_in_the_middle_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    killed(f"with files.replacing_file(path) as file:\n file.write(b'ne'); file.flush(); {KILL}", path)
    assert path.read_text(encoding="utf-8") == "old"
    assert len(names(tmp_path)) == 2
    replace_file(path, "new")
    assert names(tmp_path) == ["a.txt"], "the next writer sweeps what the killed one left"


def test_an_error_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), replacing_file(path) as file:
        file.write(b"ne")
        raise KeyboardInterrupt
    assert (path.read_text(encoding="utf-8"), names(tmp_path)) == ("old", ["a.txt"])


def test_a_folder_in_the_place_of_a_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "a.txt", "new")
    assert names(tmp_path) == ["a.txt"]


def test_a_file_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "nowhere" / "a.txt", "new")
    with pytest.raises(OSError, match="No such file"):
        replace_file(Path("/proc/replank-test"), "new")


def test_of_a_link_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data" / "a.txt")
    for content in ("old", "new"):
        replace_file(tmp_path / "link", content)
        assert (tmp_path / "data" / "a.txt").read_text(encoding="utf-8") == content
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "data") == ["a.txt"]


def test_the_permissions_of_a_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    replace_file(path, "new")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["a.txt", "a[1]*"])
def test_only_leftovers_of_the_dead_are_swept(tmp_path: Path, name: str) -> None:
    dead, alive = dead_process(), os.getppid()
    strangers = [
        f".{name}.{alive}.partial",
        f".{name}.x.{dead}.partial",  # of another file
        f".{name}.{dead}.partial.bak",
        f".{name}.partial",
        f"{name}.{dead}.partial",
    ]
    for leftover in (*strangers, f".{name}.{dead}.partial", f".{name}.{os.getpid()}.partial"):
        (tmp_path / leftover).write_text("half", encoding="utf-8")
    replace_file(tmp_path / name, "new")
    assert names(tmp_path) == sorted([*strangers, name])


def test_writers_at_the_same_time_each_leave_a_whole_file(tmp_path: Path) -> None:
    path, contents = tmp_path / "a.txt", [letter * 100_000 for letter in "abcd"]
    meet = threading.Barrier(len(contents))

    def write(content: str) -> None:
        for _ in range(10):
            with replacing_file(path) as file:
                file.write(content.encode())
                meet.wait()  # all of them are in the middle

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text(encoding="utf-8") in contents
    assert names(tmp_path) == ["a.txt"]


# Folders


def fill(target: Path, text: str, beside: Path | None = None) -> None:
    with replace_folder(target, beside=beside) as folder:
        (folder / "1").mkdir()
        (folder / "1" / "model").write_text(text, encoding="utf-8")


def text_of(target: Path) -> str:
    return (target / "1" / "model").read_text(encoding="utf-8")


def test_a_folder_is_made_with_those_above_it_and_replaced(tmp_path: Path) -> None:
    target = tmp_path / "above" / "out"
    fill(target, "old")
    (target / "more").write_text("gone with the old folder", encoding="utf-8")
    fill(target, "new")
    assert (text_of(target), names(target), names(tmp_path / "above")) == ("new", ["1"], ["out"])


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    fill(tmp_path / "out", "new")
    assert text_of(tmp_path / "out") == "new"


def test_of_a_link_the_folder_it_points_to_is_replaced(tmp_path: Path) -> None:
    fill(tmp_path / "real", "old")
    (tmp_path / "out").symlink_to(tmp_path / "real")
    fill(tmp_path / "out", "new")
    assert (tmp_path / "out").is_symlink()
    assert text_of(tmp_path / "real") == "new"


def test_a_folder_is_filled_beside_the_one_that_is_watched(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    fill(repository / "other", "other", beside=repository)
    with replace_folder(repository / "out", beside=repository) as folder:
        assert folder.parent == tmp_path
        assert names(repository) == ["other"]
        (folder / "model").touch()
    assert (names(tmp_path), names(repository)) == (["repository"], ["other", "out"])


def test_an_error_in_the_middle_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path / "out", "old")
    with pytest.raises(KeyboardInterrupt), replace_folder(tmp_path / "out") as folder:
        (folder / "half").touch()
        raise KeyboardInterrupt
    assert (text_of(tmp_path / "out"), names(tmp_path)) == ("old", ["out"])


def test_a_kill_in_the_middle_leaves_the_old_folder_whole(tmp_path: Path) -> None:
    fill(tmp_path / "out", "old")
    killed(f"with files.replace_folder(path) as folder:\n (folder / 'half').touch(); {KILL}", tmp_path / "out")
    assert (text_of(tmp_path / "out"), len(names(tmp_path))) == ("old", 2)
    fill(tmp_path / "out", "new")
    assert (text_of(tmp_path / "out"), names(tmp_path)) == ("new", ["out"])


def test_a_folder_that_a_kill_left_aside_is_put_back(tmp_path: Path) -> None:
    """Killed between the two renames, on a file system where folders cannot change places."""
    fill(tmp_path / "out", "old")
    rename = "pathlib.Path.rename"
    program = "files._exchange = lambda *_: False\n"
    program += f"real = {rename}\ndef once(path, to): real(path, to); {KILL}\n{rename} = once\n"
    killed(program + "with files.replace_folder(path) as folder:\n (folder / 'new').touch()", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    sweep_leftovers(tmp_path / "out")
    assert (text_of(tmp_path / "out"), names(tmp_path)) == ("old", ["out"])


def test_readers_never_miss_a_folder_that_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one and the new one change places: nothing is renamed away first."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    if not files._exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("folders cannot change places on this file system")
    fill(tmp_path / "out", "old")

    def refused(path: Path, to: Path) -> Path:
        raise AssertionError(f"{path} was renamed")

    monkeypatch.setattr(Path, "rename", refused)
    fill(tmp_path / "out", "new")
    assert (text_of(tmp_path / "out"), names(tmp_path)) == ("new", ["one", "other", "out"])


def test_what_somebody_put_into_a_folder_meanwhile_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ReplankError, match=r"out/notes\.txt was written meanwhile"), replace_folder(tmp_path / "out"):
        (tmp_path / "out" / "notes.txt").write_text("mine", encoding="utf-8")
    assert (names(tmp_path), names(tmp_path / "out")) == (["out"], ["notes.txt"])


def test_a_folder_that_cannot_be_renamed_into_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_exchange", lambda *_: False)
    fill(tmp_path / "out", "old")
    rename = Path.rename

    def refused(path: Path, to: Path) -> Path:
        if path.name.endswith(".partial"):
            raise OSError("refused")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(OSError, match="refused"):
        fill(tmp_path / "out", "new")
    assert (text_of(tmp_path / "out"), names(tmp_path)) == ("old", ["out"])


def test_a_folder_that_cannot_be_made_is_one_error() -> None:
    with pytest.raises(ReplankError, match="cannot write /proc/replank-test: No such file") as refusal:
        fill(Path("/proc/replank-test"), "new")
    assert refusal.value.hint == "choose another `out`"
