"""What a report is made of: the artifacts of a folder, their trainings, and what was measured of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from replank.benchmarking.result import Benchmark
from replank.benchmarking.summary import SUMMARY, Summary
from replank.models.artifact import MANIFEST, TRAINING, Artifact, Manifest
from replank.system.errors import DataError, UsageError

BENCHMARK = "benchmark.json"
Result = TypeVar("Result", Benchmark, Summary)


@dataclass(frozen=True)
class Stage:
    """One artifact.

    :param curve: the entries of its training's log; empty where nothing was trained.
    :param model_bytes: of the weights or the graph.
    """

    name: str
    manifest: Manifest
    curve: list[dict[str, Any]]
    model_bytes: int


@dataclass(frozen=True)
class Facts:
    """All of it.

    :param stages: each after what it was made of.
    :param summary: what ``run`` compared at its end; ``None`` in a folder that it did not fill.
    :param benchmark: a benchmark's result; ``None`` without one.
    """

    name: str
    stages: list[Stage]
    summary: Summary | None
    benchmark: Benchmark | None


def read_facts(out: Path, benchmark: Path | None = None) -> Facts:
    """Read a folder of artifacts.

    :param benchmark: what ``replank benchmark --json`` printed; where ``None``, ``benchmark.json`` in ``out``, if any.
    :raises UsageError: there is no artifact in it, or it is one.
    :raises ArtifactError: one is damaged.
    :raises DataError: a result is not what it should be.
    """
    if (out / MANIFEST).is_file():
        raise UsageError(f"{out} is an artifact, whose files are sealed", hint="give the folder that it lies in")
    folders = sorted(path.parent for path in out.glob(f"*/{MANIFEST}"))
    if not folders:
        raise UsageError(f"{out} holds no artifact", hint="expected a folder that replank run filled")
    stages = sorted((_read_stage(folder) for folder in folders), key=_depth)
    given = benchmark or (out / BENCHMARK if (out / BENCHMARK).is_file() else None)
    return Facts(
        out.resolve().name,
        stages,
        _read(Summary, out / SUMMARY) if (out / SUMMARY).is_file() else None,
        _read(Benchmark, given) if given else None,
    )


def _read_stage(folder: Path) -> Stage:
    artifact = Artifact.open(folder)
    file = folder / TRAINING
    curve = json.loads(file.read_text(encoding="utf-8"))["curve"] if TRAINING in artifact.manifest.files else []
    return Stage(folder.resolve().name, artifact.manifest, curve, artifact.model_file.stat().st_size)


def _depth(stage: Stage) -> int:
    """How many artifacts it comes from."""
    depth, parent = 0, stage.manifest.parent
    while parent:
        depth, parent = depth + 1, (parent["manifest"] or {}).get("parent")
    return depth


def _read(kind: type[Result], file: Path) -> Result:
    try:
        return kind.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} is no result that can be shown: {type(error).__name__}: {error}") from None
    except DataError as error:
        raise DataError(f"{file} is no result that can be shown: {error.message}", hint=error.hint) from None
