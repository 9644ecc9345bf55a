"""The block of the README's first screen: how fast a chain gets, what it keeps, and where that was measured."""

from __future__ import annotations

from block_text import RESULTS, machine_line, read_result
from compression_table import MethodsTable
from embeddings_table import PREDECESSOR, SPEARMAN, kept, read_results
from quality_blocks import EMBEDDERS, ENCODERS
from replank.benchmarking.result import Benchmark, BenchmarkModel, Shape
from replank.benchmarking.summary import Summary
from replank.benchmarking.times import time_name
from replank.runtime.torch_modes import DEFAULT_MODE
from replank.system.json_files import read_json
from robustness_block import SIGNIFICANT, corrected_p_values
from speed_blocks import best_of_torch, fused_attention_range, mode_name, whole_in_torch

_SPEED, _CHAIN, _SERVERS = "bert_base_speed", "quickstart", "servers_int8_3"
_OTHER_SHAPES = {"modernbert_base_speed": "ModernBERT-base's", "deberta_base_speed": "DeBERTa-v3-base's"}
_GRAPHS, _ROBUSTNESS = "relations", "robustness_mr"
# The shape that the README names: one text of 128 tokens.
_BATCH_SIZE, _LENGTH = 1, 128


def headline_block(_: str) -> str:
    """A number a line, each with the page that has the rest, and the machines."""
    quality = [_quality_line(), *_compression_lines(), *_embeddings_lines(), *_graphs_line(), *_robustness_line()]
    lines = [
        "| | |",
        "|---|---|",
        *_speed_lines(),
        _other_shapes_line(),
        _attention_line(),
        *quality,
        _servers_line(),
    ]
    machines = {"Speed": _SPEED, "Tweets": _CHAIN, "Servers": _SERVERS}
    told = "\n".join(f"{what}: {machine_line(read_result(name))}" for what, name in machines.items())
    return "\n".join([*lines, "", told.replace(": Measured", ": measured")])


def _speed_lines() -> list[str]:
    """INT8 of half the layers against torch: eager with all layers, its best mode with all, eager with as many."""
    result = Benchmark.from_json(read_result(_SPEED))
    shape = Shape(_BATCH_SIZE, _LENGTH)
    gains = {cell.model: cell.ratio.median for cell in result.at(shape)}
    whole = whole_in_torch(result)
    (int8,) = [model for model in result.models if (model.kind, model.precision) == ("onnx", "int8")]
    (eager,) = [model for model in result.models if (model.mode, model.layers) == (DEFAULT_MODE, int8.layers)]
    by = f"{time_name(result.clock)}, " if result.clock == "processor" else ""
    lines = [
        f"| **{gains[int8.name]:.1f}x** faster | the whole chain: {whole[0].layers} layers in {_torch(whole[0])}, "
        f"{int8.layers} in INT8; {by}[BERT-base's shape, {shape}](docs/results/speed.md) |"
    ]
    if len(whole) > 1:
        best, gain = best_of_torch(result, shape, whole)
        lines.append(
            f"| **{gain:.1f}x** faster | than the best of torch with {best.layers} layers: {mode_name(best)} |"
        )
    return [
        *lines,
        f"| **{gains[int8.name] / gains[eager.name]:.1f}x** faster | at the same depth: {eager.layers} layers in "
        f"{_torch(eager)}, {int8.layers} in INT8; the same run |",
    ]


def _other_shapes_line() -> str:
    """The whole chain's gain on other base-sized encoders."""
    shape = Shape(_BATCH_SIZE, _LENGTH)
    gains = []
    for name, title in _OTHER_SHAPES.items():
        result = Benchmark.from_json(read_result(name))
        whole, int8 = result.models[0], result.models[-1]
        gain = {cell.model: cell.ratio.median for cell in result.at(shape)}[int8.name]
        gains.append(f"**{gain:.1f}x** on {title} ({whole.layers} layers into {int8.layers})")
    return f"| other shapes | the whole chain in the same way: {', '.join(gains)}; [speed](docs/results/speed.md) |"


def _attention_line() -> str:
    """How much faster the fused operator of attention is than its parts, over all encoders, shapes and versions."""
    low, high = fused_attention_range("attention")
    return (
        f"| attention | one fused operator has **{low:.2f}x to {high:.2f}x** the speed of its parts, by encoder, shape "
        "and version of ONNX Runtime; [the table](benchmarks/log.md#attention-on-the-cpu-one-operator-or-its-parts) |"
    )


def _torch(model: BenchmarkModel) -> str:
    return f"torch ({mode_name(model)})"


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


def _embeddings_lines() -> list[str]:
    """What INT8 of half the layers, made without labels, keeps of embedding models."""
    page = "docs/results/quality.md#embedding-models-and-rerankers"
    found = {title: read_results(RESULTS / "embeddings", name) for name, title in EMBEDDERS.items()}
    return [
        f"| **{kept(cells['int8'], cells[PREDECESSOR], SPEARMAN):.1%}** kept | of STS-B's rank correlation by an "
        f"embedding model's vectors, halved without labels, in INT8; [{title}]({page}) |"
        for title, cells in found.items()
        if "int8" in cells
    ]


def _graphs_line() -> list[str]:
    """What INT8 of half the layers keeps on graphs."""
    results = [Summary.from_json(read_json(path)) for path in sorted((RESULTS / _GRAPHS).glob("*.json"))]
    kept = [summary.retention(summary.models[-1]) for summary in results]
    shown = sorted(part for part in kept if part is not None)
    if not shown:
        return []
    return [
        f"| **{shown[0]:.1%}** to {shown[-1]:.1%} kept | of the MRR, half the layers in INT8: [relations of entities "
        f"that training never saw](docs/results/knowledge_graphs.md), {len(shown)} pairs of graph and encoder |"
    ]


def _robustness_line() -> list[str]:
    """The accuracy under the strongest attack of predecessor, successor and INT8, and whether a difference is shown."""
    if not (RESULTS / f"{_ROBUSTNESS}.json").exists():
        return []
    attack = list(read_result(_ROBUSTNESS)["attacks"].values())[-1]
    victims = attack["victims"]
    shown = [
        f"{name} {victims[victim]['measures']['accuracy_after']['value']:.1%}"
        for victim, name in (("predecessor", "the predecessor"), ("theseus", "its successor"), ("int8", "INT8"))
    ]
    models = {"predecessor", "theseus", "int8"}
    p_values = [value for pair, value in corrected_p_values(attack).items() if models.issuperset(pair)]
    verdict = "they differ" if min(p_values) < SIGNIFICANT else "no difference is shown"
    return [f"| robustness | accuracy under [BERT-Attack](docs/results/robustness.md): {', '.join(shown)}: {verdict} |"]


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
