"""The results of benchmarks/compression.py as tables and sentences, with what chance may do to them."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from compression_answers import decode, read_rows
from compression_suites import PREDECESSOR
from replank.resampling.estimate import Difference
from replank.resampling.macro import ScoredTask, macro_differences, macro_kept
from replank.resampling.task_runs import TaskRuns

RESULTS = Path(__file__).parent / "results"
METHODS = {
    "theseus": "**theseus**",
    "kd": "KD",
    "pkd": "PKD",
    "truncate": "truncate",
    "theseus-published": "theseus, as published",
    "kd-published": "KD, as published",
    "pkd-published": "PKD, as published",
    "truncate-published": "truncate, as published",
    "refbert": "RefBERT-style",
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
# The metrics whose mean is the score, by the paper's rule.
_METRICS = {"mrpc": ("f1", "accuracy"), "stsb": ("pearson", "spearman"), "cola": ("matthews",)}

# The cells of one task: by method and seed.
Cells = dict[str, dict[int, dict[str, Any]]]


def read_cells(results: Path) -> list[dict[str, Any]]:
    """Every cell that is done.

    :raises ValueError: cells of one table were made from different predecessors, or with different settings.
    """
    cells = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
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
    """A cell's score in points: the mean of both metrics for MRPC and STS-B."""
    wanted = _METRICS.get(cell["task"], ("accuracy",))
    return 100 * statistics.mean([float(cell["metrics"][name]) for name in wanted])


@dataclass(frozen=True)
class MethodsTable:
    """The methods that are done on all tasks on which replacing is, by one encoder.

    :param tasks: the cells of each task, those of the predecessor among them, of the seeds that all methods have.
    """

    results: Path
    methods: tuple[str, ...]
    tasks: dict[str, Cells]

    @classmethod
    def of(cls, results: Path, encoder: str) -> MethodsTable:
        """The table of an encoder, as far as it is done."""
        cells = {
            (cell["method"], cell["task"], cell["seed"]): cell
            for cell in read_cells(results)
            if cell["encoder"] == encoder
        }
        chains: dict[str, set[tuple[str, int]]] = defaultdict(set)
        for method, task, seed in cells:
            chains[method].add((task, seed))
        shown = chains[PREDECESSOR] & chains["theseus"]
        methods: list[str] = []
        for method in METHODS:
            common = shown & chains[method]
            # A method may lack seeds, but no task.
            if {task for task, _ in common} == {task for task, _ in shown} and common:
                shown, methods = common, [*methods, method]
        tasks: dict[str, Cells] = {task: defaultdict(dict) for task, _ in sorted(shown)}
        for (task, seed), method in product(sorted(shown), (PREDECESSOR, *methods)):
            tasks[task][method][seed] = cells[method, task, seed]
        return cls(results, tuple(methods), tasks)

    @property
    def seeds(self) -> str:
        """How many seeds the tasks have."""
        counts = sorted({len(cells[PREDECESSOR]) for cells in self.tasks.values()})
        return f"seeds: {counts[0]}" if len(counts) == 1 else f"seeds: {counts[0]} to {counts[-1]}"

    def markdown(self) -> str:
        """Methods by tasks, what each keeps of the predecessor, and what it costs."""
        scored = self._scored()
        rows = []
        for method in (PREDECESSOR, *self.methods):
            means = [statistics.mean(map(score, cells[method].values())) for cells in self.tasks.values()]
            row = [METHODS.get(method, method), *(f"{mean:.1f}" for mean in means), f"{statistics.mean(means):.1f}"]
            if method == PREDECESSOR:
                row += ["100"]
            else:
                kept = macro_kept(scored, method).macro
                row += [f"{100 * kept.value:.1f} ({100 * kept.low:.1f} to {100 * kept.high:.1f})"]
            rows.append([*row, self._mean(method, "processor_seconds"), self._mean(method, "layer_steps")])
        return markdown(["", *self.tasks, "mean", "kept, %", "processor seconds", "layers x steps"], rows)

    def kept_sentence(self, method: str) -> str:
        """What a method keeps over all tasks."""
        kept = macro_kept(self._scored(), method).macro
        return (
            f"keeps **{100 * kept.value:.1f} %** of its predecessors' score ({100 * kept.low:.1f} to "
            f"{100 * kept.high:.1f}; with 95 % confidence {100 * kept.lower_bound:.1f} or more)"
        )

    def differences(self, method: str, baselines: Iterable[str]) -> str:
        """A method's macro score beside those of the baselines that are done; p-values hold for all of them at once."""
        found = macro_differences(self._scored(), method, [name for name in baselines if name in self.methods])
        return "; ".join(
            f"{METHODS[name].split(',')[0]} {_points(difference.macro)}, p {difference.corrected_p_value:.3f}"
            for name, difference in found.items()
        )

    def _mean(self, method: str, name: str) -> str:
        """The mean over tasks and seeds, but for trainings that were interrupted."""
        values = [cell[name] for cells in self.tasks.values() for cell in cells[method].values()]
        known = [float(value) for value in values if value is not None]
        return f"{statistics.mean(known):,.0f}" if known else ""

    def _scored(self) -> list[ScoredTask]:
        return [
            ScoredTask(
                TaskRuns(
                    {name: read_rows(self.results, task, list(cells[name].values())) for name in self.methods},
                    read_rows(self.results, task, list(cells[PREDECESSOR].values())),
                ),
                _METRICS.get(task, ("accuracy",)),
            )
            for task, cells in self.tasks.items()
        ]


def _points(difference: Difference) -> str:
    return f"{100 * difference.value:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"


def scores_table(cells: Iterable[dict[str, Any]], names: dict[str, str], tasks: Sequence[str]) -> str:
    """Scores of one seed by method and task."""
    scores = {(cell["method"], cell["task"]): score(cell) for cell in cells}
    rows = [[title, *(f"{scores[name, task]:.1f}" for task in tasks)] for name, title in names.items()]
    return markdown(["", *tasks], rows)


def trials_table(cells: Iterable[dict[str, Any]]) -> str:
    """The trials by which the defaults were chosen: of each the metrics, and how many answers are the predecessor's."""
    found: dict[str, dict[tuple[str, int], dict[str, Any]]] = defaultdict(dict)
    for cell in cells:
        found[cell["method"]][cell["task"], cell["seed"]] = cell
    whole = found[PREDECESSOR]
    columns = sorted({column for cells_of in found.values() for column in cells_of})

    def shown(name: str, column: tuple[str, int]) -> str:
        if column not in found[name]:
            return ""
        cell = found[name][column]
        agreement = np.mean(decode(cell["answers"]) == decode(whole[column]["answers"]))
        return ", ".join(f"{100 * value:.1f}" for value in (*cell["metrics"].values(), agreement))

    names = sorted(found, key=lambda name: (name != PREDECESSOR, name))
    rows = [[name, *(shown(name, column) for column in columns)] for name in names]
    heads = [
        f"{task}, seed {seed}: {', '.join((*whole[task, seed]['metrics'], 'agreement'))}" for task, seed in columns
    ]
    return markdown(["", *heads], rows)


def paper_table() -> str:
    """The paper's figures."""
    paper = json.loads((RESULTS / "paper.json").read_text(encoding="utf-8"))
    whole = paper["scores"][PREDECESSOR]
    rows = []
    for method, values in paper["scores"].items():
        kept = statistics.mean(value / of for value, of in zip(values, whole, strict=True))
        shown = [f"{value:.1f}" for value in (*values, statistics.mean(values))]
        rows.append([METHODS.get(method, method).split(",")[0], *shown, f"{kept:.1%}"])
    return markdown(["", *paper["tasks"], "mean", "kept"], rows)


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
    return markdown(["", *tasks], rows)


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table whose columns but the first are numbers."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
