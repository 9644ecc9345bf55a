"""The folder of a search: what is used again, and what no search wrote."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replank.chain.budget import Budget
from replank.chain.result_cache import ResultCache
from replank.chain.search_choice import FP32
from replank.chain.search_probes import Probes
from replank.chain.search_run import SearchRun
from replank.data.config import DataConfig
from replank.models.source import open_source
from replank.runtime.evaluate import evaluate
from replank.runtime.load import load_model
from replank.system.errors import UsageError
from replank.system.locks import exclusive
from searches import PLAN, run

pytestmark = pytest.mark.usefixtures("quiet_machine")


def test_an_edited_dev_file_is_evaluated_again(
    predecessor: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a search that was interrupted once it knew the predecessor's quality."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SearchRun, "_finish", interrupted)
    own = shutil.copytree(str(data.data), tmp_path / "data")
    config, found = replace(data, data=own), []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(predecessor, tmp_path / "out", Budget(max_bytes=10**9, length=16), config)
        found.append(json.loads((tmp_path / "out" / "search.json").read_text(encoding="utf-8"))["reference"])
        file = next(own.glob("dev.*"))
        header, *rows = file.read_text(encoding="utf-8").splitlines()
        label = rows[0].rpartition("\t")[2]
        edited = ["\t".join((row.rpartition("\t")[0], label)) for row in rows]
        file.write_text("\n".join([header, *edited]) + "\n", encoding="utf-8")
    quality = evaluate(load_model(open_source(predecessor)), config.load(open_source(predecessor).task), "dev")
    assert found[1] == quality.metrics["accuracy"] != found[0]


def _with_notes(winner: Path, predecessor: Path) -> None:
    shutil.copytree(predecessor, winner)
    (winner / "notes.txt").write_text("mine", encoding="utf-8")


FOREIGN: dict[str, tuple[str, Callable[[Path, Path], Any], str]] = {
    "a file": ("winner", lambda path, _: path.write_text("mine"), "is no artifact that a search put there"),
    "a folder": ("winner/notes", lambda path, _: path.mkdir(parents=True), "is no artifact that a search put there"),
    "a link": ("winner", lambda path, model: path.symlink_to(model), "is no artifact that a search put there"),
    "a broken link": ("winner", lambda path, _: path.symlink_to("nowhere"), "is no artifact that a search put there"),
    "more than an artifact": ("winner", _with_notes, r"holds notes\.txt beside the artifact"),
    "another model": ("winner", lambda path, model: shutil.copytree(model, path), "was not made of predecessor"),
    "another journal": ("journal.json", lambda path, _: path.write_text('{"monday": "rain"}'), "is not of a search"),
    "another result": ("search.json", lambda path, _: path.write_text("[]"), "is not of a search"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_no_search_wrote_is_not_replaced(predecessor: Path, data: DataConfig, tmp_path: Path, what: str) -> None:
    name, put, message = FOREIGN[what]
    put(tmp_path / name, predecessor)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=message):
        run(predecessor, tmp_path, Budget(max_bytes=10**9, length=16), data)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_second_search_in_the_same_folder_is_refused(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    with exclusive(tmp_path, inside=True), pytest.raises(UsageError, match=f"another process writes {tmp_path}: "):
        run(predecessor, tmp_path, Budget(max_bytes=10**9, length=16), data)


def test_probes_of_other_versions_are_made_again(
    predecessor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe() -> Path:
        source, cache = open_source(predecessor), ResultCache(tmp_path / "journal.json")
        return Probes(source, tmp_path, cache, Budget(max_bytes=1, length=16), PLAN.export, PLAN.int8)._probe(1, FP32)

    first = probe()
    assert probe() == first
    monkeypatch.setattr("replank.chain.search_probes.versions", lambda: {"onnxruntime": "9.9"})
    assert probe() != first
