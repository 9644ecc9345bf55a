"""The workflows of GitHub: what they call exists, and they may do no more than they must."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
WORKFLOWS: dict[str, Any] = {
    file.name: yaml.safe_load(file.read_text(encoding="utf-8"))
    for file in sorted((ROOT / ".github" / "workflows").iterdir())
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
STEPS = [step for workflow in WORKFLOWS.values() for job in workflow["jobs"].values() for step in job["steps"]]


def test_lint_types_tests_docs_wheels_and_image_are_checked() -> None:
    assert set(WORKFLOWS["checks.yaml"]["jobs"]) == {"lint", "types", "tests", "docs", "wheels", "image"}


def test_every_target_of_make_exists() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    asked = {name for step in STEPS for name in re.findall(r"\bmake (\w+)", step.get("run", ""))}
    assert len(asked) > 4
    assert asked <= set(targets)


def test_a_workflow_only_reads() -> None:
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {"contents": "read"}, name
        # YAML 1.1 takes `on` for true.
        assert "pull_request_target" not in workflow[True], name


def test_actions_are_githubs_own_and_of_a_version() -> None:
    used = {step["uses"] for step in STEPS if "uses" in step}
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", action) for action in used), used


def test_the_pythons_are_those_that_are_promised() -> None:
    tested = WORKFLOWS["checks.yaml"]["jobs"]["tests"]["strategy"]["matrix"]["python"]
    promised = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: Python :: 3\.\d", line)]
    assert tested == promised


@pytest.mark.parametrize("requirement", PROJECT["optional-dependencies"]["all"])
def test_the_extra_of_all_names_extras(requirement: str) -> None:
    parsed = Requirement(requirement)
    assert parsed.name == PROJECT["name"]
    left_out = set(PROJECT["optional-dependencies"]) - parsed.extras
    # One of cpu and gpu; the others are for those who work on replank.
    assert left_out - {"docs"} == {"all", "gpu", "dev"}
