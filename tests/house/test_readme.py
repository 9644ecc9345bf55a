"""The README is one screen, and what it says is so."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from documents import COMMAND_LINE, ROOT, read

README = read(ROOT / "README.md")


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 120


def test_two_commands_come_first() -> None:
    lines = [line for line in COMMAND_LINE.findall(README) if not line.startswith("replank ")]
    assert lines[:2] == ["make demo", "make test"]


def test_the_numbers_are_those_of_the_results() -> None:
    check = [sys.executable, str(ROOT / "benchmarks" / "readme.py"), "--check"]
    assert subprocess.run(check, check=False).returncode == 0, "run: python benchmarks/readme.py"


def test_the_first_table_is_whole_rows() -> None:
    _, _, after = README.partition("<!-- headline -->")
    rows = after.partition("<!-- /headline -->")[0].strip().partition("\n\n")[0].splitlines()
    assert len(rows) > 5
    assert [row for row in rows if not (row.startswith("|") and row.endswith("|") and row.count("|") == 3)] == []


def test_changelog_and_citation_are_of_this_version() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    changelog = [line.split()[1] for line in read(ROOT / "CHANGELOG.md").splitlines() if line.startswith("## ")]
    assert changelog[0] == project["version"]
    assert yaml.safe_load(read(ROOT / "CITATION.cff"))["version"] == project["version"]


def test_issue_forms_are_read_by_github() -> None:
    """The keys that its schema of issue forms requires."""
    for path in Path(ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(read(path))
        if path.name == "config.yml":
            continue
        assert {"name", "description", "body"} <= set(form), path
        for field in form["body"]:
            assert field["type"] in {"textarea", "dropdown", "input", "checkboxes", "markdown"}
            assert field["attributes"]["label"], path
