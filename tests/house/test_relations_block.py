"""The table of a graph's models, by hand."""

from __future__ import annotations

from relations_block import graph_table
from replank.benchmarking.summary import Summary, SummaryModel
from replank.system.environment import machine, versions
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task

METRICS = ("mrr", "hits@1", "hits@10", "auc_pr")
GRAPH = Task("kin", KINDS["relation-prediction"], (), ("question", "context"), "", METRICS)


def test_what_halving_keeps_stands_beside_what_needs_no_model() -> None:
    metrics = {"mrr": 0.5, "hits@1": 0.4, "hits@10": 0.7, "auc_pr": 0.9}
    halves = metrics | {"mrr": 0.45, "hits@1": 0.3}
    models = [
        SummaryModel(name, name, found, bytes=1, p50_ms=1.0, speed_up=1.0)
        for name, found in (("predecessor", metrics), ("successor", halves))
    ]
    summary = Summary(
        task=GRAPH,
        split="test",
        rows=10,
        length=30,
        is_disturbed=False,
        machine=machine(),
        versions=versions(),
        models=tuple(models),
        baselines={"ceiling": {"mrr": 0.8, "hits@1": 0.75, "hits@10": 0.8}},
    )
    lines = graph_table(summary).splitlines()
    assert lines[0] == "|  | Hits@1 | Hits@10 | MRR | AUC-PR | Hits@1 kept | MRR kept |"
    assert lines[2:] == [
        "| ceiling | 75.0 | 80.0 | 80.0 |  |  |  |",
        "| predecessor | 40.0 | 70.0 | 50.0 | 90.0 | 100.0% | 100.0% |",
        "| successor | 30.0 | 70.0 | 45.0 | 90.0 | 75.0% | 90.0% |",
    ]
