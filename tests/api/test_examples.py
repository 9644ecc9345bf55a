"""The examples in docstrings of the interface, run as they stand on tiny models under the names that they use."""

from __future__ import annotations

import doctest
import inspect
import shutil
from pathlib import Path
from typing import Any

import pytest

import replank
from family import write_family
from replank import api
from replank.data.config import DataConfig

# A server without end, an account of somebody's, or minutes.
NOT_HERE = {"run", "run_file", "search", "serve", "loadtest", "push_to_hub"}
EXAMPLES = {
    test.name: test
    for name, function in vars(api).items()
    if inspect.isfunction(function)
    for test in doctest.DocTestFinder().find(function, name)
    if test.examples
}


@pytest.fixture
def names(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoder: Path,
    masked_lm: Path,
    int8_artifact: Path,
    relation_model: Path,
    data: DataConfig,
) -> dict[str, Any]:
    """A working folder with the artifacts of a chain, and what the examples take as known."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(encoder, tmp_path / "encoder")
    shutil.copytree(masked_lm, tmp_path / "masked-lm")
    for name in ("predecessor", "successor", "onnx", "int8"):  # copies: loading writes down which device is the fastest
        shutil.copytree(int8_artifact.with_name(name), tmp_path / name)
    shutil.copytree(relation_model, tmp_path / "relations")
    shutil.copytree(int8_artifact, tmp_path / "plain", ignore=shutil.ignore_patterns("replank.json", "model.onnx"))
    (tmp_path / "plain" / "onnx").mkdir()
    shutil.copy(int8_artifact / "model.onnx", tmp_path / "plain" / "onnx" / "model_int8.onnx")
    write_family(tmp_path / "graph")
    (tmp_path / "texts.jsonl").write_text('{"sentence": "a warm film"}\n', encoding="utf-8")
    (tmp_path / "texts.txt").write_text("a warm film\nthe plot is dull\n", encoding="utf-8")
    return {"replank": replank, "data": data}


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - NOT_HERE))
def test_an_example_runs_as_it_stands(name: str, names: dict[str, Any]) -> None:
    example = EXAMPLES[name]
    example.globs = names
    said: list[str] = []
    runner = doctest.DocTestRunner()
    runner.run(example, out=said.append, clear_globs=False)
    assert runner.failures == 0, "".join(said)


def test_every_function_of_the_interface_has_an_example() -> None:
    without = {"doctor", "quickstart", "report"}
    assert set(EXAMPLES) | without == {name for name in replank.__all__ if getattr(api, name, None) and name.islower()}


@pytest.mark.parametrize("name", sorted(NOT_HERE))
def test_an_example_that_does_not_run_here_names_what_exists(name: str) -> None:
    for step in EXAMPLES[name].examples:
        compile(step.source, name, "exec")
        for part in step.source.split("replank.")[1:]:
            assert part.partition("(")[0] in replank.__all__
