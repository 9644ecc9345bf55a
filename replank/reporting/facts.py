"""The input of a report: the artifacts of a folder, their training logs, and their measurements."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from replank.benchmarking.result import Benchmark
from replank.benchmarking.summary import SUMMARY, Summary
from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST, TRAINING, Manifest
from replank.resampling.answers_file import answers_of
from replank.robustness.result import ATTACK, AttackResult, read_attack
from replank.runtime.evaluate import RowAnswers
from replank.system.errors import DataError, UsageError

BENCHMARK = "benchmark.json"
Result = TypeVar("Result", Benchmark, Summary)


@dataclass(frozen=True)
class Stage:
    """One artifact.

    :param curve: the entries of its training log; empty if it was not trained.
    :param model_bytes: bytes of the weights or the graph.
    :param answers: those by which the quality was computed; ``None`` where they were not kept.
    """

    name: str
    manifest: Manifest
    curve: list[dict[str, Any]]
    model_bytes: int
    answers: RowAnswers | None


@dataclass(frozen=True)
class Facts:
    """The facts about a folder of artifacts.

    :param name: of the folder.
    :param stages: each after the artifact that it was made from.
    :param summary: of the whole chain; ``None`` in a folder that ``run`` did not fill.
    :param benchmark: the result of a benchmark; ``None`` if there is none.
    :param attack: the models under attack; ``None`` if they were not.
    """

    name: str
    stages: list[Stage]
    summary: Summary | None
    benchmark: Benchmark | None
    attack: AttackResult | None = None


def read_facts(out: Path, benchmark: Path | None = None) -> Facts:
    """Read a folder of artifacts.

    :param benchmark: a benchmark's result in JSON; ``None`` for ``benchmark.json`` in ``out``, if it exists.
    :raises UsageError: it holds no artifact, or is one itself.
    :raises ArtifactError: an artifact is damaged.
    :raises DataError: a summary or benchmark cannot be read.
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
        read_attack(out / ATTACK) if (out / ATTACK).is_file() else None,
    )


def _read_stage(folder: Path) -> Stage:
    artifact = Artifact.open(folder)
    file = folder / TRAINING
    curve = json.loads(file.read_text(encoding="utf-8"))["curve"] if TRAINING in artifact.manifest.files else []
    return Stage(folder.resolve().name, artifact.manifest, curve, artifact.weights.bytes, answers_of(artifact))


def _depth(stage: Stage) -> int:
    """The number of its ancestors."""
    depth, parent = 0, stage.manifest.parent
    while parent:
        depth, parent = depth + 1, parent.manifest.parent if parent.manifest else None
    return depth


def _read(kind: type[Result], file: Path) -> Result:
    try:
        return kind.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} is no result that can be shown: {type(error).__name__}: {error}") from None
    except DataError as error:
        raise DataError(f"{file} is no result that can be shown: {error.message}", hint=error.hint) from None
