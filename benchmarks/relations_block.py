"""The block of benchmarks/relations.py: encoders, their halves and INT8 on graphs that they have not seen."""

from __future__ import annotations

import json
from typing import Any

from block_text import RESULTS, machine_line
from replank.benchmarking.summary import Summary

METRICS = {"hits@1": "Hits@1", "hits@10": "Hits@10", "mrr": "MRR", "auc_pr": "AUC-PR"}
# What halving and INT8 keep is told of these.
KEPT = ("hits@1", "mrr")
ENCODERS = {"minilm": "all-MiniLM-L6-v2", "e5": "e5-small"}


def relations_block(name: str) -> str:
    """A table for each graph and encoder."""
    parts = []
    for path in sorted((RESULTS / name).glob("*.json")):
        values = json.loads(path.read_text(encoding="utf-8"))
        graph, encoder = path.stem.rsplit("-", 1)
        title = (
            f"{graph}, {ENCODERS[encoder]}: {values['train_questions']} training triples asked, then "
            f"{values['test_questions']} of the other graph, from both sides:"
        )
        parts += [title, graph_table(Summary.from_json(values)), machine_line(values)]
    return "\n\n".join(parts or ["These tables are being measured: no graph is done yet."])


def graph_table(summary: Summary) -> str:
    """What needs no model, and each model with the part of the first one's metrics that it keeps."""
    kept = [f"{METRICS[metric]} kept" for metric in KEPT]
    lines = [
        "|  | " + " | ".join([*METRICS.values(), *kept]) + " |",
        "|---" + "|--:" * (len(METRICS) + len(KEPT)) + "|",
    ]
    for name, metrics in (summary.baselines or {}).items():
        lines.append(f"| {name} | {' | '.join([*_points(metrics), *('' for _ in KEPT)])} |")
    first = summary.models[0].metrics
    for model in summary.models:
        parts = [f"{model.metrics[metric] / first[metric]:.1%}" for metric in KEPT]
        lines.append(f"| {model.name} | {' | '.join([*_points(model.metrics), *parts])} |")
    return "\n".join(lines)


def _points(metrics: dict[str, Any]) -> list[str]:
    return [f"{100 * metrics[metric]:.1f}" if metric in metrics else "" for metric in METRICS]
