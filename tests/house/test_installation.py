"""The wheel and the source distribution: installed and run where the source tree is out of reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
PACKAGES = ("replank", "replank_compress", "replank_export", "replank_serve")
WHERE = f"""
import importlib, importlib.metadata, json
places = {{name: importlib.import_module(name).__file__ for name in {PACKAGES}}}
page = importlib.resources.files("replank_serve").joinpath("page/index.html").is_file()
print(json.dumps([places, page, importlib.metadata.version("replank")]))
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (built,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("sdist")), versions=["standard"])
    return Path(built)


def run(command: Sequence[str | Path], folder: Path) -> str:
    """What a command writes, in a folder and an environment in which nothing points to the source tree."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_runs_where_it_is_installed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, int8_artifact: Path
) -> None:
    """In a new environment that sees the dependencies of this one, and not its link to the source tree."""
    distribution: Path = request.getfixturevalue(kind)
    environment = tmp_path / "environment"
    run([sys.executable, "-m", "venv", "--without-pip", environment], tmp_path)
    python = environment / "bin" / "python"
    own = Path(run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], tmp_path).strip())
    # A path alone: the .pth files in it, of which an editable installation is one, are not read.
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
    run([sys.executable, "-m", "pip", "--python", python, *install, distribution], tmp_path)

    places, has_page, version = json.loads(run([python, "-c", WHERE], tmp_path))
    assert all(Path(place).is_relative_to(own) for place in places.values())
    assert has_page
    command = environment / "bin" / "replank"
    assert run([command, "--version"], tmp_path) == f"replank, version {version}\n"
    answer = json.loads(run([command, "predict", int8_artifact, "a warm and lovely film", "--json"], tmp_path))
    assert answer["label"] == "positive"


def test_the_source_distribution_makes_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    build = ["wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", tmp_path]
    run([sys.executable, "-m", "pip", *map(str, build), sdist], tmp_path)
    (again,) = tmp_path.glob("*.whl")
    contents = []
    for file in (again, wheel):
        with zipfile.ZipFile(file) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist()})
    assert contents[0] == contents[1]
