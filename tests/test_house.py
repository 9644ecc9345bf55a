"""The house: who may import whom, what an entrance brings along, and what is in the wheel."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent
STAGES = ("compress", "export", "serve")
PACKAGES = ("replank", *STAGES)
HEAVY = ("torch", "transformers")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# Where replank may import a stage, inside functions.
DOORS = ("replank/cli/", "replank/pipeline.py", "replank/search")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports when it runs, and whether at its top level.

    What stands under ``if TYPE_CHECKING`` never runs.
    """

    def visit(node: ast.AST, top: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            yield from ((f"{node.module}.{alias.name}", top) for alias in node.names)
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            inside = top and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            for child in ast.iter_child_nodes(node):
                yield from visit(child, inside)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), True)


def package_of(module: str) -> str:
    return module.partition(".")[0]


def test_the_modules_are_found() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == set(PACKAGES)
    assert ("replank.errors.ReplankError", True) in list(imports(ROOT / "replank" / "cli" / "main.py"))
    assert ("compress.finetune.finetune", False) in list(imports(ROOT / "replank" / "cli" / "stages.py"))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_arrows_point_to_the_contract(path: Path) -> None:
    """Stages import replank and themselves; replank imports a stage at its doors only, inside functions."""
    home = path.relative_to(ROOT).parts[0]
    for module, top in imports(path):
        if home in STAGES:
            assert package_of(module) not in set(STAGES) - {home}, f"a stage imports the stage {module}"
            assert not module.startswith(("replank.cli", "replank.pipeline")), f"a stage imports {module}"
        elif package_of(module) in STAGES:
            assert name_of(path).startswith(DOORS), f"the contract imports the stage {module}"
            assert not top, f"{module} is imported when the command line starts"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_libraries_stay_where_they_belong(path: Path) -> None:
    name, home = name_of(path), path.relative_to(ROOT).parts[0]
    for module, top in imports(path):
        if package_of(module) in HEAVY:
            assert home != "serve", f"the server imports {module}"
            assert home != "replank" or not top, f"the contract imports {module} at once"
            assert home != "export" or name == "export/trace.py", f"{module} belongs into export/trace.py"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter with a folder as its working directory."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.parametrize(
    "entrance",
    ["replank.cli.main", "serve", "serve.app, serve.server, serve.engine", "serve.benchmark", "replank.runtime"],
)
def test_an_entrance_brings_no_heavy_library(tmp_path: Path, entrance: str) -> None:
    loaded = run(f"import {entrance}, sys; print(*sorted(sys.modules))", tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    modules = loaded.stdout.split()
    assert package_of(entrance) in modules
    assert not {*HEAVY, "onnx", "datasets", "sklearn", "scipy"} & set(modules)


def test_help_brings_no_runtime_either(tmp_path: Path) -> None:
    main = "import sys; from replank.cli.main import main"
    code = f"{main}\ntry: main(['--help'])\nfinally: print('onnxruntime' in sys.modules)"
    assert run(code, tmp_path).stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("shape", ["{}.py", "{}/__init__.py"])
@pytest.mark.parametrize("way", [("-c", "from replank.cli.main import main"), ("-m", "replank.cli.main")])
def test_a_module_that_hides_ours_is_said(tmp_path: Path, stage: str, shape: str, way: tuple[str, str]) -> None:
    """A user's own serve.py in the working directory comes before ours there."""
    hiding = tmp_path / shape.format(stage)
    hiding.parent.mkdir(exist_ok=True)
    hiding.write_text("raise SystemExit('somebody else')", encoding="utf-8")
    done = subprocess.run([sys.executable, *way], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: replank's package {stage!r} is hidden by {hiding}; "
        "run the `replank` command instead of `python -m`, or from another folder"
    )


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
        assert "replank = replank.cli.main:main" in archive.read(entry_points).decode()
    assert {package_of(name.replace("/", ".")) for name in names} == {*PACKAGES, "optimum"}
    # Any other file there would take the namespace from the distributions that share it.
    command = ["optimum/commands/register/register_replank.py"]
    assert [name for name in names if name.startswith("optimum/")] == command
    assert sorted(name for name in names if name.endswith(".py")) == sorted([*map(name_of, MODULES), *command])
    pages = [name_of(path) for path in (ROOT / "serve" / "page").iterdir()]
    assert set(pages) <= set(names)
