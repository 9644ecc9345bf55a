"""Throughput, latency and processor time of this server and others with the same model, under 8, 32 and 128 clients.

    python benchmarks/servers.py [MODEL] [--layers 3] [--precision int8] [--data FOLDER] [--out FILE]
        [--mosec PYTHON] [--litserve PYTHON] [--infinity PYTHON]

MODEL is an ONNX artifact of single texts; without one, the first layers of all-MiniLM-L6-v2 with a new head. In each
round each server has its turn at each number of clients, one right after the other, while all others are stopped.
Ratios are medians over the rounds. "engine" is replank's engine without HTTP, in the clients' process.

Clients and servers share the cores, and clients take some of the time: `alone_per_second` is the throughput that the
server would have if that were its own. Processor time for each text, of the server and of its clients, hardly depends
on what else the machine does. Other projects have their own environments:

    python -m venv /tmp/mosec && /tmp/mosec/bin/pip install mosec onnxruntime tokenizers numpy
    python -m venv /tmp/litserve && /tmp/litserve/bin/pip install litserve onnxruntime tokenizers numpy
    python -m venv /tmp/infinity && /tmp/infinity/bin/pip install "infinity-emb[server,optimum]==0.0.78" \\
        "torch>=2.11,<2.14" "transformers<5" optimum==2.1.0 optimum-onnx==0.1.0 onnxruntime "click<8.2"

The result, with every round and the machine, is written to benchmarks/results.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from closed_loop import HttpClient, Load, closed_loop
from replank.data.demo import demo_encoder, write_demo_data
from replank.data.tables import SUFFIXES, read_table
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.system.environment import available_cores, machine, versions
from replank.text.tokenizer_files import save_tokenizer
from replank_serve.engine.engine import Engine
from replank_serve.engine.limits import EngineLimits
from server_processes import OURS, ServerProcess, environments

RESULTS = Path(__file__).parent / "results"
ENGINE = "engine"
_TEXT_COLUMNS = ("text", "sentence", "sentence1")
_TEXTS = 2000
_ANSWER_SECONDS = 60.0
_MEASURED = ("per_second", "alone_per_second", "p50_ms", "p99_ms")
_COMPARED: dict[str, Callable[[dict[str, Any]], float]] = {
    "per_second": lambda row: row["per_second"],
    "alone_per_second": lambda row: row["alone_per_second"],
    "p99_ms": lambda row: row["p99_ms"],
    "processor_ms": lambda row: row["processor_ms"]["server"],
}


@click.command(help=__doc__)
@click.argument("model", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Data set with the texts.")
@click.option("--layers", default=6, show_default=True, type=click.IntRange(1, 6), help="Of the model that is made.")
@click.option("--precision", default="int8", show_default=True, type=click.Choice(("int8", "fp32")), help="Likewise.")
@click.option("--clients", multiple=True, default=(8, 32, 128), show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=5.0, show_default=True, help="Of each turn.")
@click.option("--mosec", help="Python of an environment with mosec.")
@click.option("--litserve", help="Python of an environment with LitServe.")
@click.option("--infinity", help="Python of an environment with infinity-emb.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="[default: benchmarks/results/servers_PRECISION_LAYERS.json]"
)
def main(
    model: Path | None,
    data: Path | None,
    layers: int,
    precision: str,
    clients: tuple[int, ...],
    rounds: int,
    seconds: float,
    out: Path | None,
    **peers: Any,
) -> None:
    """Measure, print, and write the result."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = (model or make_model(Path(scratch), layers, precision)).resolve()
        loaded = load_model(open_source(folder))
        texts = read_texts(data, Path(scratch))
        measured = measure(loaded, folder, environments(**peers), texts, clients, rounds, seconds)
        lengths = sorted(len(tokens) for tokens in loaded.text_encoder.tokenize(texts))
    rows = summary(measured)
    result = {
        "model": {"name": folder.name, "precision": loaded.source.precision, "layers": loaded.source.layers},
        "texts": {
            "of": data.name if data else "demo",
            "tokens": {f"p{part}": lengths[len(lengths) * part // 100] for part in (5, 25, 50, 75, 95, 99)},
        },
        "seconds": seconds,
        "rounds": measured,
        "summary": rows,
        "machine": asdict(machine()),
        "versions": versions(),
    }
    out = out or RESULTS / f"servers_{loaded.source.precision}_{loaded.source.layers}.json"
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(json.dumps(row))


def measure(
    model: Model,
    folder: Path,
    pythons: dict[str, str],
    texts: list[str],
    clients: tuple[int, ...],
    rounds: int,
    seconds: float,
) -> list[dict[str, Any]]:
    """One row per round, number of clients and server, with the load average before it."""
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        servers: dict[str, ServerProcess] = {}
        for name, python in pythons.items():
            servers[name] = ServerProcess(name, python, folder, available_cores())
            stack.callback(servers[name].end)
        for number in range(rounds):
            for count in clients:
                # Shuffled, so that no server always follows the same other.
                for name in random.Random(number).sample((ENGINE, *servers), len(servers) + 1):  # noqa: S311
                    busy = os.getloadavg()[0]
                    turn = (
                        ask_engine(model, texts, count, seconds)
                        if name == ENGINE
                        else ask_server(servers[name], texts, count, seconds)
                    )
                    load = asyncio.run(turn)
                    row = {"round": number, "clients": count, "server": name, "busy": busy} | asdict(load)
                    rows.append(row | {"alone_per_second": alone(load)})
                    print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


async def ask_engine(model: Model, texts: list[str], clients: int, seconds: float) -> Load:
    """A load on the engine with the server's default limits."""
    engine = Engine(model, EngineLimits())
    engine.start()
    await engine.started()
    try:
        asks = [lambda text: engine.infer([text], timeout=_ANSWER_SECONDS)] * clients
        # Its clients are a few microseconds of each text.
        return await closed_loop(asks, texts, seconds / 5, seconds, {"server": time.process_time})
    finally:
        await engine.close(0)


async def ask_server(server: ServerProcess, texts: list[str], clients: int, seconds: float) -> Load:
    """A load on a server, over kept-alive connections."""
    server.go_on()
    try:
        meters = {"server": server.processor_seconds, "clients": time.process_time}
        return await ask_http(server.port, server.kind.path, server.kind.body, texts, clients, seconds, meters)
    finally:
        server.pause()


async def ask_http(
    port: int,
    path: str,
    body: Callable[[str], object],
    texts: list[str],
    clients: int,
    seconds: float,
    meters: Mapping[str, Callable[[], float]] | None = None,
) -> Load:
    """A load on a port of this machine, over kept-alive connections.

    :param body: the JSON body for a text.
    :param meters: whose processor time is told, see :func:`closed_loop`.
    """
    connections = [HttpClient(port, path, body) for _ in range(clients)]
    try:
        asks = [connection.ask for connection in connections]
        return await closed_loop(asks, texts, seconds / 5, seconds, meters or {})
    finally:
        for connection in connections:
            connection.close()


def alone(load: Load) -> float:
    """Texts per second, if the clients' processor time had been the server's."""
    cores = available_cores()
    left = cores - load.per_second * load.processor_ms.get("clients", 0) / 1e3
    return load.per_second * cores / left


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians per server, and ratios of ours to it: above 1, ours has more throughput, a longer p99, or costs more."""
    cells: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row["clients"], row["server"]), []).append(row)
    return [
        {
            "clients": clients,
            "server": name,
            **{
                key: _median(row[key] for row in cell) for key in ("per_second", "alone_per_second", "p50_ms", "p99_ms")
            },
            "processor_ms": {who: _median(row["processor_ms"][who] for row in cell) for who in cell[0]["processor_ms"]},
            "errors": sum(row["errors"] for row in cell),
            **{
                f"ours_of_its_{key}": _median(
                    read(ours) / read(row) for ours, row in zip(cells[clients, OURS], cell, strict=True)
                )
                for key, read in _COMPARED.items()
                if name != OURS
            },
        }
        for (clients, name), cell in sorted(cells.items())
    ]


def _median(values: Any) -> float:
    return float(round(statistics.median(values), 3))


def make_model(scratch: Path, layers: int, precision: str) -> Path:
    """The first layers of all-MiniLM-L6-v2 with a new head of three labels, as ONNX."""
    import torch
    from transformers import BertForSequenceClassification

    from replank_export.convert import ExportConfig, export
    from replank_export.int8 import DynamicInt8
    from replank_export.quantize import quantize

    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(demo_encoder(), num_labels=3, num_hidden_layers=layers)
    model.save_pretrained(scratch / "torch")
    save_tokenizer(demo_encoder(), scratch / "torch")
    made = export(open_source(scratch / "torch"), scratch / "minilm", ExportConfig())
    if precision == "int8":
        made = quantize(open_source(made.path), scratch / "minilm-int8", DynamicInt8())
    return made.path


def read_texts(data: Path | None, scratch: Path) -> list[str]:
    """Texts of the dev split, shuffled with a fixed seed."""
    if data is None:
        data = scratch / "demo"
        write_demo_data(data, {"train": 1, "dev": _TEXTS, "test": 1})
    path = next(data / f"dev{suffix}" for suffix in SUFFIXES if (data / f"dev{suffix}").exists())
    table = read_table(path)
    texts = table.texts(next(name for name in _TEXT_COLUMNS if name in table.columns))
    return random.Random(0).sample(texts, min(_TEXTS, len(texts)))  # noqa: S311


if __name__ == "__main__":
    main()
