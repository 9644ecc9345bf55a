"""The block of the README's first screen: how fast a chain gets, what it keeps, and where that was measured."""

from __future__ import annotations

from block_text import RESULTS, machine_line, read_result
from compression_table import MethodsTable
from quality_blocks import ENCODERS
from replank.benchmarking.result import Benchmark
from replank.benchmarking.summary import Summary

_SPEED, _CHAIN, _SERVERS = "bert_base_speed", "quickstart", "servers_fp32_6"
# The shape that the README names: one text of 128 tokens.
_BATCH_SIZE, _LENGTH = 1, 128


def headline_block(_: str) -> str:
    """A number a line, each with the page that has the rest, and the machines."""
    lines = ["| | |", "|---|---|", *_speed_lines(), _quality_line(), *_compression_lines(), _servers_line()]
    machines = {"Speed": _SPEED, "Tweets": _CHAIN, "Servers": _SERVERS}
    told = "\n".join(f"{what}: {machine_line(read_result(name))}" for what, name in machines.items())
    return "\n".join([*lines, "", told.replace(": Measured", ": measured")])


def _speed_lines() -> list[str]:
    """INT8 of half the layers against torch's best with as many layers, and with all."""
    result = Benchmark.from_json(read_result(_SPEED))
    cells = [cell for cell in result.cells if (cell.batch_size, cell.length) == (_BATCH_SIZE, _LENGTH)]
    gains = {cell.model: cell.ratio.median for cell in cells}
    fastest: dict[int, float] = {}
    for model in result.models:
        if model.kind == "torch" and model.layers is not None:
            fastest[model.layers] = max(gains[model.name], fastest.get(model.layers, 0.0))
    (int8,) = [gains[model.name] for model in result.models if model.precision == "int8"]
    half, whole = sorted(fastest)
    shape = f"BERT-base's shape, {_BATCH_SIZE} x {_LENGTH} tokens"
    return [
        f"| **{int8 / fastest[whole]:.1f}x** faster | the whole chain: {whole} layers in torch, {half} in INT8; "
        f"[{shape}](docs/results/speed.md) |",
        f"| **{int8 / fastest[half]:.1f}x** faster | at the same depth: {half} layers in torch, {half} in INT8; "
        "the same run |",
    ]


def _quality_line() -> str:
    """What the last model of the quickstart keeps of the first."""
    summary = Summary.from_json(read_result(_CHAIN))
    kept = summary.retention(summary.models[-1])
    if kept is None:
        raise ValueError(f"{_CHAIN}.json does not tell what is kept")
    return (
        f"| **{kept:.1%}** kept | of the {summary.task.metrics[0]}: {summary.models[-1].name}, beside its "
        f"{summary.models[0].name}; [tweets, {summary.rows:,} rows of {summary.split}](docs/results/index.md) |"
    )


def _compression_lines() -> list[str]:
    """What replacing keeps over all tasks, of each encoder that was measured."""
    tables = {title: MethodsTable.of(RESULTS / "compression", name) for name, title in ENCODERS.items()}
    return [
        f"| quality | replacing {table.kept_sentence('theseus')}; [{title}, {len(table.tasks)} "
        "tasks](docs/results/quality.md) |"
        for title, table in tables.items()
        if table.tasks
    ]


def _servers_line() -> str:
    """Throughput against the fastest of the other servers, under the most clients."""
    rows = read_result(_SERVERS)["summary"]
    clients = max(row["clients"] for row in rows)
    others = [
        row["ours_of_its_per_second"]
        for row in rows
        if row["clients"] == clients and row["server"] not in ("engine", "replank")
    ]
    return (
        f"| **{min(others):.1f}x** the texts | a second of the fastest of {len(others)} other servers, same graph, "
        f"{clients} clients; [serving](docs/results/serving.md) |"
    )
