"""The search for the best model under a budget: estimates of all candidates first, training only for what can win."""

from __future__ import annotations

import shutil
from pathlib import Path

from replank.chain.budget import Budget
from replank.chain.result_cache import ResultCache
from replank.chain.search_choice import nearest
from replank.chain.search_plan import SearchPlan
from replank.chain.search_result import SearchResult
from replank.chain.search_run import SearchRun
from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST, Manifest, read_manifest
from replank.models.source import Source, require_kind, require_length
from replank.runtime.torch_model import require_head
from replank.system.errors import ModelError, QualityGateError, UsageError
from replank.system.files import replace_folder
from replank.system.json_files import write_json
from replank.system.locks import exclusive
from replank.system.processes import process_count

RESULT, WINNER = "search.json", "winner"
_CACHE, _PREDECESSOR = "journal.json", "predecessor"


def search(predecessor: Source, out: Path, plan: SearchPlan, budget: Budget, data_config: DataConfig) -> SearchResult:
    """Find the model with the best quality within a budget.

    Candidates are the predecessor's depth and its three largest proper divisors, each in fp32 and in INT8 by
    the plan's schemes. The choice is made by the headline metric on dev; reported metrics come from the held-out
    split. A repeated search, also with another budget, computes nothing twice.

    :param predecessor: a fine-tuned torch model.
    :param out: the folder of the depths, ``journal.json``, ``search.json`` and the artifact ``winner``.
    :raises QualityGateError: no candidate meets the budget; the message has the closest ones.
    :raises UsageError: ``out`` holds the search of another predecessor or with other settings, or files of its names
        that no search wrote; or another process writes it.
    """
    data = _require_sense(predecessor, data_config)
    with exclusive(out, inside=True):
        cache = ResultCache(out / _CACHE)
        _require_own(out, predecessor, cache)
        return _search(predecessor, out, plan, budget, data_config, data, cache)


def _search(
    predecessor: Source,
    out: Path,
    plan: SearchPlan,
    budget: Budget,
    data_config: DataConfig,
    data: Dataset,
    cache: ResultCache,
) -> SearchResult:
    cache.get(_PREDECESSOR, {}, lambda: predecessor.digest)
    found = SearchRun(predecessor, out, plan, budget, data_config, data, cache)
    try:
        found.estimate()
        found.train()
    finally:
        result = found.result()
        write_json(out / RESULT, result.to_json())
    if found.winner is None:
        misses = "; ".join(f"{entry.name}: {words}" for entry, words in nearest(found.candidates, budget))
        raise QualityGateError(
            f"no candidate meets the budget of {budget}; closest: {misses or 'none was finished'}",
            hint=f"{out / RESULT} says why each is out; raise the budget, or start from a smaller encoder",
        )
    _publish(found.folder(found.winner), out / WINNER, predecessor)
    return result


def _require_sense(predecessor: Source, data_config: DataConfig) -> Dataset:
    """Refuse what cannot be searched.

    :returns: the data.
    """
    require_kind(predecessor, "torch", "search")
    require_head(predecessor)
    require_length(predecessor, data_config.max_length)
    if process_count() > 1:
        raise UsageError("search works in one process")
    if predecessor.layers == 1:
        raise ModelError(f"{predecessor.name} has one layer; there is no smaller depth to search")
    data = data_config.load(predecessor.task)
    if data.task.is_per_token:
        raise UsageError(f"search is for whole texts, and the task is {data.task.kind}")
    return data


def _require_own(out: Path, predecessor: Source, cache: ResultCache) -> None:
    """Refuse, before any work, the search of another predecessor, and files that no search wrote.

    :raises UsageError: the message names the file or folder.
    """
    digest = cache.find(_PREDECESSOR)
    for name in (_CACHE, RESULT):
        if digest is None and (out / name).exists():
            raise UsageError(f"{out / name} is not of a search", hint="choose another `out`, or move it away")
    if digest not in (None, predecessor.digest):
        raise UsageError(f"{out} holds the search of another predecessor", hint="choose another `out`")
    _require_own_winner(out / WINNER, predecessor)


def _require_own_winner(target: Path, predecessor: Source) -> None:
    """Refuse to replace anything but an artifact that was made of the predecessor, and nothing beside it.

    :raises UsageError: it is something else.
    :raises ArtifactError: it is damaged.
    """
    if not target.is_symlink() and (not target.exists() or (target.is_dir() and not any(target.iterdir()))):
        return
    reason = None
    if target.is_symlink() or not (target / MANIFEST).is_file():
        reason = "is no artifact that a search put there"
    else:
        manifest = read_manifest(target)
        if foreign := {path.name for path in target.iterdir()} - {MANIFEST, *manifest.files}:
            reason = f"holds {min(foreign)} beside the artifact"
        elif predecessor.digest not in _ancestors(manifest):
            reason = f"was not made of {predecessor.short_name}"
    if reason:
        raise UsageError(
            f"{target} {reason}, and would be replaced by the winner", hint="choose another `out`, or move it away"
        )


def _ancestors(manifest: Manifest | None) -> list[str]:
    """The digests of the models that an artifact was made of, the nearest first."""
    found = []
    while manifest and manifest.parent:
        found.append(manifest.parent.digest)
        manifest = manifest.parent.manifest
    return found


def _publish(folder: Path, target: Path, predecessor: Source) -> None:
    """Copy an artifact to the winner's folder; an earlier winner is replaced once the copy is complete."""
    _require_own_winner(target, predecessor)
    if (target / MANIFEST).exists() and Artifact.open(target).manifest.digest == Artifact.open(folder).manifest.digest:
        return
    with replace_folder(target) as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        Artifact.open(copy)
