"""The house: who may import whom, what an entrance brings along, and what is in the wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
STAGES = {name: ROOT / name / f"replank_{name}" for name in ("compress", "export", "serve")}
PACKAGES = {"replank": ROOT / "replank"} | {f"replank_{name}": folder for name, folder in STAGES.items()}
HEAVY = ("torch", "transformers")


def test_every_import_is_within_the_contract() -> None:
    """Rooms, floors and circles: the contracts stand in pyproject.toml."""
    command: list[str | Path] = [Path(sys.executable).with_name("lint-imports"), "--no-logo"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter with a folder as its working directory."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.parametrize(
    "entrance",
    [
        "replank.cli.main",
        "replank_serve",
        "replank_serve.app, replank_serve.server, replank_serve.engine.engine",
        "replank.benchmarking.run",
        "replank.runtime.model",
    ],
)
def test_an_entrance_brings_no_heavy_library(tmp_path: Path, entrance: str) -> None:
    loaded = run(f"import {entrance}, sys; print(*sorted(sys.modules))", tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    modules = loaded.stdout.split()
    assert entrance.partition(",")[0] in modules
    assert not {*HEAVY, "onnx", "datasets", "sklearn", "scipy"} & set(modules)


def test_help_brings_no_runtime_either(tmp_path: Path) -> None:
    main = "import sys; from replank.cli.main import main"
    code = f"{main}\ntry: main(['--help'])\nfinally: print('onnxruntime' in sys.modules)"
    assert run(code, tmp_path).stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("name", ["compress", "export", "serve", "optimum"])
def test_a_package_of_somebody_elses_is_theirs_and_ours_works(tmp_path: Path, name: str) -> None:
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("WHOSE = 'theirs'", encoding="utf-8")
    code = f"import {name}, replank_serve, replank.cli.main; print({name}.WHOSE)"
    assert run(code, tmp_path).stdout == "theirs\n"


def test_the_command_does_not_mind_what_lies_in_its_folder(tmp_path: Path) -> None:
    """Its path begins with the folder of the script, not with the working directory."""
    (tmp_path / "serve.py").write_text("raise SystemExit('somebody else')", encoding="utf-8")
    command = Path(sys.executable).with_name("replank")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, cwd=tmp_path, check=False)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert (done.returncode, done.stdout, done.stderr) == (0, f"replank, version {version}\n", "")


def test_the_wheel_holds_the_four_packages_and_optimums_command_and_nothing_else(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "replank = replank.__main__:main" in archive.read(entry_points).decode()
    # Any other file there would take the namespace from the distributions that share it.
    command = "optimum/commands/register/register_replank.py"
    expected = {
        path.relative_to(folder.parent).as_posix()
        for folder in PACKAGES.values()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert set(names) == expected | {command}


def test_the_list_of_abuse_cases_is_complete_and_numbered() -> None:
    folder = ROOT / "tests" / "attacks"
    text = (folder / "CASES.md").read_text(encoding="utf-8")
    listed = re.findall(r"`(test_\w+)`", text)
    tests = [
        name for file in folder.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    ]
    assert sorted(listed) == sorted(tests)
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.M)]
    assert numbers == list(range(1, len(numbers) + 1))
