"""The public interface: what it promises, what an import of it costs, and that type checkers see the same."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import replank
from replank.cli.main import COMMANDS

# Commands whose function has another name, or that are for people only.
ROOT = Path(replank.__file__).parents[1]
OTHER_NAMES = {"batch": "predict_file", "push": "push_to_hub", "predict": "load", "inspect": None}
FUNCTIONS = sorted(name for name in replank.__all__ if inspect.isfunction(getattr(replank, name)))


def test_every_public_name_is_where_type_checkers_look() -> None:
    tree = ast.parse(Path(replank.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.asname: (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(imported) == set(replank.__all__) - {"__version__"}
    for name, (module, attribute) in imported.items():
        assert getattr(replank, str(name)) is getattr(import_module(str(module)), attribute), name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_python_call(command: str) -> None:
    name = OTHER_NAMES.get(command, command)
    assert name is None or name in replank.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'quantise'"):
        replank.quantise  # noqa: B018 - the access is the test
    assert set(replank.__all__) <= set(dir(replank))


def test_an_import_is_light() -> None:
    """Neither a framework nor a runtime; seconds are for a benchmark, modules are counted here."""
    code = "import sys, replank; print(len([n for n in sys.modules if n.startswith('replank')]), *sorted(sys.modules))"
    count, *modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert count == "1"
    assert not {"torch", "transformers", "onnxruntime", "numpy", "click"} & set(modules)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_documented(name: str) -> None:
    text = inspect.getdoc(getattr(replank, name)) or ""
    first = text.partition("\n\n")[0]
    assert first.endswith(".")
    assert "\n" not in first.strip() or len(first) < 200


def test_every_public_type_is_complete() -> None:
    """What a user's own type checker sees of the interface has no gap."""
    checker = Path(sys.executable).with_name("basedpyright")
    flags = ["--verifytypes", "replank", "--ignoreexternal", "--outputjson"]
    # An editable installation is a hook of the interpreter's, which type checkers do not see.
    sources = os.pathsep.join(str(ROOT / name) for name in ("", "compress", "export", "serve"))
    environment = os.environ | {"PYTHONPATH": sources}
    done = subprocess.run([checker, *flags], capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    report = json.loads(done.stdout)["typeCompleteness"]
    gaps = {
        symbol["name"]: [entry["message"] for entry in symbol["diagnostics"]]
        for symbol in report["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"]
    }
    assert not gaps
    assert report["completenessScore"] == 1.0
