"""Whether `replank search` finds what trying everything finds, and what that costs beside it.

    python benchmarks/search.py PREDECESSOR WORK --data FOLDER --task NAME --max-bytes 20MB

The budget is one of size, as noise would decide one of time. The search runs first, in a folder of its own. Then every
depth is trained, exported, quantized in both ways, evaluated on dev and timed by the stages' own commands. Both are
compared by the clock and by processor time, on which other work of the machine has less influence; the result is
written to benchmarks/results/search.json.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from replank.chain.budget import Budget
from replank.chain.costs import measure_costs
from replank.chain.result_cache import ResultCache
from replank.chain.search_choice import FP32, Candidate, best_of, depths_of, int8_name
from replank.models.source import open_source
from replank.system.environment import machine, versions
from replank.system.units import size_in_bytes
from replank.tasks.task import headline
from replank_export.int8 import SCHEMES

RESULT = Path(__file__).parent / "results" / "search.json"
Result = TypeVar("Result")


@click.command(help=__doc__)
@click.argument("predecessor", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("work", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False))
@click.option("--task", required=True)
@click.option("--max-bytes", required=True)
@click.option("--min-retention", default=0.95, show_default=True)
@click.option("--epochs", default=5.0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, show_default=True)
def main(
    predecessor: Path,
    work: Path,
    data: str,
    task: str,
    max_bytes: str,
    min_retention: float,
    epochs: float,
    out: Path,
) -> None:
    """Search, try everything, compare and keep."""
    about = ("--task", task, "--data", data)
    budget = Budget(max_bytes=size_in_bytes(max_bytes, "max_bytes"), min_retention=min_retention)
    limits = ("--max-bytes", max_bytes, "--min-retention", str(min_retention))

    def search() -> dict[str, Any]:
        return replank("search", predecessor, work / "search", *limits, "--epochs", str(epochs), *about)

    searched, search_cost = timed(search)
    tried, everything_cost = timed(lambda: try_everything(predecessor, work / "everything", budget, epochs, about))
    winner = best_of(tried, budget)
    result = {
        "predecessor": predecessor.name,
        "task": task,
        "budget": str(budget),
        "epochs": epochs,
        "search": {"winner": searched["winner"], **search_cost},
        "everything": {"winner": winner.name if winner else None, **everything_cost},
        "part_of_the_time": {name: search_cost[name] / everything_cost[name] for name in search_cost},
        "candidates": {"search": searched["candidates"], "everything": [asdict(entry) for entry in tried]},
        "machine": asdict(machine()),
        "versions": versions(),
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: result[name] for name in ("search", "everything", "part_of_the_time")}, indent=1))


def try_everything(
    predecessor: Path, work: Path, budget: Budget, epochs: float, about: tuple[str, ...]
) -> list[Candidate]:
    """All candidates, finished."""
    reference = dev(predecessor, about)
    candidates = []
    for depth in depths_of(open_source(predecessor).layers):
        folder, model = work / str(depth), predecessor
        if depth != depths_of(open_source(predecessor).layers)[0]:
            model = folder / "successor"
            replank("compress", predecessor, model, "--layers", str(depth), "--epochs", str(epochs), *about)
        replank("export", model, folder / FP32, *about)
        for scheme in SCHEMES:
            replank(
                "quantize",
                folder / FP32,
                folder / int8_name(scheme),
                "--scheme",
                scheme,
                "--allow-slower",
                *about,
                gate=True,
            )
        made = [path for path in (folder / name for name in (FP32, *map(int8_name, SCHEMES))) if path.exists()]
        costs = measure_costs(made, budget, ResultCache(work / "journal.json"))
        for path in made:
            score = dev(path, about)
            measured = replace(costs[path.name], retention=score / reference)
            candidates.append(Candidate(depth, path.name, measured=measured, dev=score))
    return candidates


def dev(model: Path, about: tuple[str, ...]) -> float:
    """The headline metric on dev."""
    metrics = replank("evaluate", model, "--split", "dev", *about)["metrics"]
    return headline(metrics)[1]


def replank(command: str, *arguments: object, gate: bool = False) -> dict[str, Any]:
    """What a command prints as JSON.

    :param gate: whether it may miss its quality gate, and then prints nothing.
    """
    program = [sys.executable, "-P", "-c", "from replank.cli.main import main; main()"]
    done = subprocess.run([*program, command, *map(str, arguments), "--json"], stdout=subprocess.PIPE, check=False)
    if done.returncode == 3 and gate:
        return {}
    done.check_returncode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def timed(work: Callable[[], Result]) -> tuple[Result, dict[str, float]]:
    """Seconds by the clock, and of processors, of this process and its children."""
    before, began = processor_seconds(), time.perf_counter()
    result = work()
    wall = time.perf_counter() - began
    return result, {"seconds": round(wall, 1), "processor_seconds": round(processor_seconds() - before, 1)}


def processor_seconds() -> float:
    """Of this process and all its ended children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
