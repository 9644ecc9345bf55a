"""The tables of benchmarks/embeddings.py: what successors keep of embedding models and of rerankers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

Cells = Mapping[str, Sequence[dict[str, Any]]]
PREDECESSOR = "predecessor"
VECTORS = {"theseus": "replacing", "kd": "KD", "truncate": "truncation", "int8": "replacing, INT8"}
RERANKERS = {"reranker-successor": "replacing", "reranker-int8": "replacing, INT8"}
SPEARMAN = ("stsb", "spearman")
_NAME = re.compile(r"(?P<model>[^-]+)-(?P<method>.+?)(-(?P<seed>\d+))?\.json")


def read_results(folder: Path, model: str) -> Cells:
    """The results of a model's cells, those of all seeds by method."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        match = _NAME.fullmatch(path.name)
        if match and match["model"] == model:
            found.setdefault(match["method"], []).append(json.loads(path.read_text(encoding="utf-8")))
    return found


def vectors_table(cells: Cells) -> str:
    """Spearman on STS-B's test split and nDCG@10 on WikiQA's, in points, and how much of the predecessor's that is."""
    columns = {"STS-B, Spearman": SPEARMAN, "WikiQA, nDCG@10": ("wikiqa", "ndcg_at_10")}
    return _table(cells, {PREDECESSOR: "all layers", **VECTORS}, PREDECESSOR, columns)


def rerankers_table(cells: Cells) -> str:
    """MAP, MRR@10 and nDCG@10 on WikiQA's test split, likewise."""
    columns = {"MAP": ("map",), "MRR@10": ("mrr_at_10",), "nDCG@10": ("ndcg_at_10",)}
    before = "reranker-predecessor"
    return _table(cells, {before: "all layers", **RERANKERS}, before, columns)


def _table(cells: Cells, names: Mapping[str, str], before: str, columns: Mapping[str, tuple[str, ...]]) -> str:
    lines = ["|  | " + " | ".join(columns) + " | steps | seeds |", "|---" + "|--:" * (len(columns) + 2) + "|"]
    for method, name in names.items():
        if runs := cells.get(method):
            shown = [_shown(runs, cells.get(before, ()), path) for path in columns.values()]
            steps = str(runs[0].get("steps", ""))
            lines.append(f"| {name} | {' | '.join(shown)} | {steps} | {len(runs)} |")
    return "\n".join(lines)


def _shown(runs: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]], path: tuple[str, ...]) -> str:
    """The mean over seeds in points, with the part of the predecessor's that it is."""
    shown = f"{100 * _mean(runs, path):.1f}"
    return shown if not before or before is runs else f"{shown} ({kept(runs, before, path):.1%})"


def kept(runs: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]], path: tuple[str, ...]) -> float:
    """The part of the predecessor's mean over seeds that a method's is."""
    return _mean(runs, path) / _mean(before, path)


def _mean(runs: Sequence[dict[str, Any]], path: tuple[str, ...]) -> float:
    def metric(run: dict[str, Any]) -> float:
        values: Any = run["metrics"]
        for key in path:
            values = values[key]
        return float(values)

    return fmean(map(metric, runs))
