"""The server's engine beside another busy process: with one thread, with threads that spin, and as it adapts.

    python benchmarks/busy_server.py [MODEL] [--layers 3] [--precision int8] [--clients 8] [--rounds 15] [--seconds 2]

MODEL is an ONNX artifact of single texts; without one, the first layers of all-MiniLM-L6-v2 with a new head. The
machine must be quiet: every other process is one more neighbour. Three phases: alone, beside a process that does
nothing but run, and alone again. In each, the adapting engine gets time to settle, then the engines have their turns,
one right after the other. Ratios of throughput are medians over the rounds. To hold: the adapting engine is at most
10 % slower than one thread beside the neighbour, and at most 2 % slower than the spinning one alone.

The result, with every round and the machine, is written to benchmarks/results/busy_server.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from closed_loop import Load, closed_loop
from replank.models.source import Source, open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.system.environment import available_cores, machine, versions
from replank_serve.engine.engine import Engine
from replank_serve.engine.limits import EngineLimits
from replank_serve.engine.spinning_policy import MOST_TRIAL_SECONDS
from servers import make_model, read_texts

RESULT = Path(__file__).parent / "results" / "busy_server.json"
ONE, SPINNING, ADAPTING = "one thread", "spinning", "adapting"
PHASES = {"alone": 0, "beside a busy process": 1, "alone again": 0}
_ANSWER_SECONDS = 60.0
# As long as the engine may wait before it tries again, and some more.
_SETTLING_SECONDS = 1.2 * MOST_TRIAL_SECONDS


@click.command(help=__doc__)
@click.argument("model", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
@click.option("--layers", default=3, show_default=True, type=click.IntRange(1, 6), help="Of the model that is made.")
@click.option("--precision", default="int8", show_default=True, type=click.Choice(("int8", "fp32")), help="Likewise.")
@click.option("--clients", default=8, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=15, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=2.0, show_default=True, help="Of each turn.")
@click.option(
    "--settling", default=_SETTLING_SECONDS, show_default=True, help="Seconds of each phase before its turns."
)
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, show_default=True)
def main(
    model: Path | None,
    layers: int,
    precision: str,
    clients: int,
    rounds: int,
    seconds: float,
    settling: float,
    out: Path,
) -> None:
    """Measure, print, and write the result."""
    if available_cores() < 2:
        raise click.UsageError("one core has no threads to choose between")
    with tempfile.TemporaryDirectory() as scratch:
        source = open_source((model or make_model(Path(scratch), layers, precision)).resolve())
        texts = read_texts(None, Path(scratch))
        rows = asyncio.run(measure(source, texts, clients, rounds, seconds, settling))
    found = summary(rows)
    result = {
        "model": {"name": source.folder.name, "precision": source.precision, "layers": source.layers},
        "clients": clients,
        "seconds": seconds,
        "rounds": rows,
        "summary": found,
        "machine": asdict(machine()),
        "versions": versions(),
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for row in found:
        print(json.dumps(row))


async def measure(
    source: Source, texts: list[str], clients: int, rounds: int, seconds: float, settling: float
) -> list[dict[str, Any]]:
    """One row per phase, round and engine, with the load average before it."""
    models = {
        ONE: load_model(source, threads=1),
        SPINNING: only_spinning(load_model(source)),
        ADAPTING: load_model(source),
    }
    engines = {name: Engine(model, EngineLimits()) for name, model in models.items()}
    for engine in engines.values():
        engine.start()
        await engine.started()
    rows: list[dict[str, Any]] = []
    for phase, neighbours in PHASES.items():
        with busy(neighbours):
            await ask(engines[ADAPTING], texts, clients, settling)
            for number in range(rounds):
                # Shuffled, so that no engine always follows the same other.
                for name in random.Random(number).sample(list(engines), len(engines)):  # noqa: S311
                    load = os.getloadavg()[0]
                    row = {"phase": phase, "round": number, "engine": name, "load_average": load}
                    rows.append(row | asdict(await ask(engines[name], texts, clients, seconds)))
                    rows[-1]["spins"] = engines[name].spins
                    print(json.dumps(rows[-1]), file=sys.stderr)
    for engine in engines.values():
        await engine.close(0)
    return rows


def only_spinning(model: Model) -> Model:
    """A model that the engine does not adapt: its predictor is not known to be ONNX Runtime's."""
    run = model.predictor
    return replace(model, predictor=lambda batch: run(batch))


async def ask(engine: Engine, texts: list[str], clients: int, seconds: float) -> Load:
    """A closed loop on an engine."""
    asks = [lambda text: engine.infer([text], timeout=_ANSWER_SECONDS)] * clients
    return await closed_loop(asks, texts, seconds / 5, seconds, {})


@contextmanager
def busy(neighbours: int) -> Iterator[None]:
    """So many processes that do nothing but run."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(neighbours)]
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians per phase: throughput of each engine, and the adapting one's as a part of that of the others."""
    found = []
    for phase in PHASES:
        cells = {
            name: [row["per_second"] for row in rows if (row["phase"], row["engine"]) == (phase, name)]
            for name in (ONE, SPINNING, ADAPTING)
        }
        ratios = {
            name: statistics.median(ours / its for ours, its in zip(cells[ADAPTING], cells[name], strict=True))
            for name in (ONE, SPINNING)
        }
        spins = [row["spins"] for row in rows if (row["phase"], row["engine"]) == (phase, ADAPTING)]
        found.append(
            {
                "phase": phase,
                "per_second": {name: round(statistics.median(values), 1) for name, values in cells.items()},
                "adapting_of": {name: round(value, 3) for name, value in ratios.items()},
                "spins": round(statistics.mean(spins), 3),
            }
        )
    return found


if __name__ == "__main__":
    main()
