"""The results of benchmarks/compression.py as tables, beside the paper's."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
# GLUE's task behind a folder's name.
TASKS = {"sst2_sent": "sst2", "qnli_10k": "qnli", "mnli_10k": "mnli"}
PREDECESSOR = "predecessor"
METHODS = {
    PREDECESSOR: "predecessor",
    "theseus": "**theseus**",
    "truncate": "truncate the predecessor",
    "kd": "KD",
    "pkd": "PKD",
    "truncate-pretrained": "truncate the pretrained encoder",
}
# Schedules and depths, on one task.
SCHEDULES = {
    "theseus": "**linear, then all of it trains (the default)**",
    "no-second-phase": "linear over the whole training, no second phase",
    "constant": "constant",
    "anti-curriculum": "anti-curriculum",
}
DEPTHS = {
    PREDECESSOR: "12 layers, the predecessor",
    "theseus": "6 layers, **theseus**",
    "truncate": "6 layers, truncate the predecessor",
    "theseus-4-layers": "4 layers, **theseus**",
    "truncate-4-layers": "4 layers, truncate the predecessor",
    "theseus-3-layers": "3 layers, **theseus**",
    "truncate-3-layers": "3 layers, truncate the predecessor",
}
_METRICS = {"mrpc": ("f1", "accuracy"), "stsb": ("pearson", "spearman"), "cola": ("matthews",)}

Scores = dict[tuple[str, str], dict[int, float]]


def read_cells() -> list[dict[str, Any]]:
    """Every cell that is done.

    :raises ValueError: cells of one table were made from different predecessors, or with different settings.
    """
    cells = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((RESULTS / "compression").glob("*.json"))]
    predecessors = {_chain(cell): cell["digest"] for cell in cells if cell["method"] == PREDECESSOR}
    settings: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in cells:
        if cell["method"] != PREDECESSOR and predecessors.get(_chain(cell)) != cell["parent"]:
            raise ValueError(f"{_chain(cell)} {cell['method']} was not made from the predecessor of the table")
        config = cell["config"] | {"seed": None}
        if settings.setdefault((cell["encoder"], cell["method"]), config) != config:
            raise ValueError(
                f"{_chain(cell)} {cell['method']} was made with other settings than elsewhere in the table"
            )
    return cells


def _chain(cell: dict[str, Any]) -> tuple[str, str, int]:
    return cell["encoder"], cell["task"], cell["seed"]


def score(cell: dict[str, Any]) -> float:
    """A cell's score in points, by the paper's rule: the mean of both metrics for MRPC and STS-B."""
    wanted = _METRICS.get(cell["task"], ("accuracy",))
    return 100 * statistics.mean([float(cell["metrics"][name]) for name in wanted])


def scores_of(cells: Iterable[dict[str, Any]], encoder: str) -> Scores:
    """``{(method, task): {seed: score}}`` of one encoder."""
    scores: Scores = defaultdict(dict)
    for cell in cells:
        if cell["encoder"] == encoder:
            scores[cell["method"], cell["task"]][cell["seed"]] = score(cell)
    return scores


def shown_tasks(cells: list[dict[str, Any]], encoder: str) -> list[str]:
    """The tasks on which a predecessor and the successor by replacing are done."""
    scores = scores_of(cells, encoder)
    return sorted({task for _, task in scores if {(PREDECESSOR, task), ("theseus", task)} <= scores.keys()})


def methods_table(cells: list[dict[str, Any]], encoder: str, names: dict[str, str], tasks: Sequence[str]) -> str:
    """Methods by tasks, and how much of the predecessor of the same seed each keeps; blank where a cell is not done."""
    scores = scores_of(cells, encoder)
    rows = []
    for method, title in names.items():
        done = [(task, scores[method, task]) for task in tasks if (method, task) in scores]
        columns = [_spread(list(scores[method, task].values())) if (method, task) in scores else "" for task in tasks]
        mean = kept = ""
        if len(done) == len(tasks):
            whole = {task: scores[PREDECESSOR, task] for task in tasks}
            seeds = set.intersection(*(set(values) for _, values in done))
            kept_by_seed = [
                100 * statistics.mean(values[seed] / whole[task][seed] for task, values in done) for seed in seeds
            ]
            mean = f"{statistics.mean(statistics.mean(values.values()) for _, values in done):.1f}"
            kept = f"{_spread(kept_by_seed)}%"
        rows.append([title, *columns, mean, kept])
    return _markdown(["", *tasks, "mean", "kept"], rows)


def paper_table(tasks: Sequence[str]) -> str:
    """The paper's figures for some of its tasks."""
    paper = json.loads((RESULTS / "paper.json").read_text(encoding="utf-8"))
    indices = [paper["tasks"].index(task) for task in tasks]
    rows = []
    for method, values in paper["scores"].items():
        chosen = [values[index] for index in indices]
        kept = statistics.mean(
            value / whole
            for value, whole in zip(chosen, (paper["scores"]["predecessor"][index] for index in indices), strict=True)
        )
        macro = statistics.mean(chosen)
        rows.append([METHODS[method], *(f"{value:.1f}" for value in chosen), f"{macro:.1f}", f"{kept:.1%}"])
    return _markdown(["", *tasks, "mean", "kept"], rows)


def defaults_table(runs: list[dict[str, Any]]) -> str:
    """The runs by which the defaults were chosen: what differs in each, and its metrics on every task."""
    tasks = sorted({run["task"] for run in runs})
    names = list(dict.fromkeys(run["name"] for run in runs))
    found = {(run["name"], run["task"]): run for run in runs}
    rows = []
    for name in names:
        cells = []
        for task in tasks:
            metrics = found[name, task]["metrics"] if (name, task) in found else {}
            cells.append(", ".join(f"{metric} {100 * value:.1f}" for metric, value in metrics.items()))
        rows.append([name, *cells])
    return _markdown(["", *tasks], rows)


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f} ({len(values)})"


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
