"""Writes the measured parts of README.md and log.md from benchmarks/results, so that no number is typed by hand.

python benchmarks/readme.py            rewrite them
python benchmarks/readme.py --check    exit 1 if they are not what the results say
"""

from __future__ import annotations

import io
import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from compression_table import (
    DEPTHS,
    SCHEDULES,
    MethodsTable,
    defaults_table,
    paper_table,
    read_cells,
    scores_table,
    trials_table,
)
from embeddings_table import PREDECESSOR, read_results, rerankers_table, vectors_table
from growing_table import growing_table, read_growing
from replank.benchmarking.result import Benchmark
from replank.benchmarking.summary import Summary
from replank.chain.comparison import comparison_table

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"


def fill(text: str, blocks: dict[str, Callable[[str], str]]) -> str:
    """A text with every block between ``<!-- name -->`` and ``<!-- /name -->`` made anew."""
    for name, render in blocks.items():
        opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
        if not (text.count(opening) == text.count(closing) == 1):
            raise ValueError(f"there must be one block named {name}")
        before, rest = text.split(opening)
        text = f"{before}{opening}\n{render(name)}\n{closing}{rest.split(closing)[1]}"
    return text


def read_result(name: str) -> dict[str, Any]:
    """A result by its name."""
    values: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return values


def chain_block(name: str) -> str:
    """The table that a chain ends with, as the terminal shows it, and the machine."""
    summary = read_result(name)
    console = Console(file=io.StringIO(), width=110)
    console.print(comparison_table(Summary.from_json(summary)))
    text = console.file.getvalue().rstrip()  # type: ignore[attr-defined]
    return f"```text\n{text}\n```\n\n{machine_line(summary)}"


def speed_block(name: str) -> str:
    """Latency and ratio of each model at each shape."""
    values = read_result(name)
    result = Benchmark.from_json(values)
    names = [model.name for model in result.models]
    lines = [
        "| batch x tokens | " + " | ".join(f"{SPEED_NAMES[name]}, ms" for name in names) + " | whole chain |",
        "|---" * (len(names) + 2) + "|",
    ]
    for shape in result.shapes:
        cells = {cell.model: cell for cell in result.at(shape)}
        latencies = [f"{cells[name].p50_ms:.1f}" for name in names]
        ratio = cells[names[-1]].ratio
        gain = f"**{ratio.median:.1f}x** ({ratio.min:.1f}-{ratio.max:.1f})"
        lines.append(f"| {shape.batch_size} x {shape.length} | " + " | ".join([*latencies, gain]) + " |")
    return "\n".join(lines) + f"\n\n{machine_line(values)}"


def compression_block(_: str) -> str:
    """What is kept and how that compares, in sentences, and each method on each task."""
    folder = RESULTS / "compression"
    parts: list[str] = []
    for encoder, title in ENCODERS.items():
        table = MethodsTable.of(folder, encoder)
        if table.tasks:
            parts += [claims(table, title), table.markdown()]
    if not parts:
        return "This table is being measured anew: no task of it is done yet."
    return "\n\n".join([*parts, machine_line(read_cells(folder)[0])])


def claims(table: MethodsTable, title: str) -> str:
    """What a table says of replacing."""
    lines = [f"{title}; tasks: {len(table.tasks)}, {table.seeds}:\n", f"- Replacing {table.kept_sentence('theseus')}."]
    for what, baselines in BASELINES.items():
        if found := table.differences("theseus", baselines):
            lines.append(f"- Against {what}, in points: {found}.")
    return "\n".join(lines)


def trials_block(_: str) -> str:
    """The trials by which the defaults of soft answers and of the fitted start were chosen."""
    return trials_table(read_cells(RESULTS / "trials"))


def choices_block(_: str) -> str:
    """Schedules and depths on one task, and the paper's figures."""
    cells = read_cells(RESULTS / "compression_labels")
    parts = ["Schedules, 12 layers into 6:", scores_table(cells, SCHEDULES, ["mrpc"])]
    parts += ["Depths:", scores_table(cells, DEPTHS, ["mrpc"])]
    return "\n\n".join(parts)


def paper_block(_: str) -> str:
    """The paper's own figures."""
    return paper_table()


def growing_block(name: str) -> str:
    """Ways of growing an encoder against training the whole of it."""
    cells = read_growing(RESULTS / name)
    if not cells:
        return "This table is being measured: no cell of it is done yet."
    seeds = len({cell["seed"] for cell in cells})
    return f"{growing_table(cells)}\n\nSeeds: {seeds}. {machine_line(cells[0])}"


def embeddings_block(name: str) -> str:
    """What successors keep of embedding models and rerankers."""
    parts = []
    for model, title in EMBEDDERS.items():
        cells = read_results(RESULTS / name, model)
        if cells.get(PREDECESSOR):
            parts += [f"{title}:", vectors_table(cells)]
        if cells.get("reranker-predecessor"):
            parts += ["A reranker of the same encoder, fine-tuned on WikiQA:", rerankers_table(cells)]
        if cells:
            parts.append(machine_line(next(iter(cells.values()))[0]))
    return "\n\n".join(parts or ["These tables are being measured: no cell of them is done yet."])


def int8_quality_block(name: str) -> str:
    """What INT8 costs on trained models."""
    rows = read_result(name)["models"]
    lines = ["| task | scales | control | fp32 | INT8 | kept in float |", "|---|---|---|--:|--:|--:|"]
    for row in rows:
        found = "refused" if "refused" in row else f"{100 * row['int8']:.1f}"
        fp32, kept = (f"{100 * row['fp32']:.1f}", str(len(row["kept_in_float"]))) if "int8" in row else ("", "")
        lines.append(f"| {row['task']} | {row['way']} | {row['control']} | {fp32} | {found} | {kept} |")
    return "\n".join([*lines, "", machine_line(read_result(name))])


def int8_graph_block(name: str) -> str:
    """Processor time of a graph by the operators that were decomposed before INT8."""
    cells = read_result(name)["cells"]
    shapes = list(dict.fromkeys((cell["batch_size"], cell["length"]) for cell in cells))
    found = {(cell["graph"], cell["batch_size"], cell["length"]): cell["ms"] for cell in cells}
    lines = ["| decomposed | " + " | ".join(f"{batch} x {length}" for batch, length in shapes) + " |"]
    lines.append("|---" + "|--:" * len(shapes) + "|")
    for graph in dict.fromkeys(cell["graph"] for cell in cells):
        shown = [
            f"{found[graph, *shape]:.1f} ({found['fp32', *shape] / found[graph, *shape]:.2f}x)" for shape in shapes
        ]
        lines.append(f"| {graph} | {' | '.join(shown)} |")
    return "\n".join([*lines, "", machine_line(read_result(name))])


def integer_block(name: str) -> str:
    """Processor time of an encoder in integers beside other precisions."""
    result = read_result(name)
    cells = {(cell["precision"], cell["rows"], cell["length"]): cell["ms"] for cell in result["cells"]}
    shapes = list(dict.fromkeys((rows, length) for _, rows, length in cells))
    lines = ["| precision | " + " | ".join(f"{rows} x {length}" for rows, length in shapes) + " |"]
    lines.append("|---" + "|--:" * len(shapes) + "|")
    for precision in dict.fromkeys(precision for precision, _, _ in cells):
        times = [(cells[precision, *shape], cells["fp32", *shape]) for shape in shapes]
        shown = [f"{ms:.1f} ({fp32 / ms:.2f}x)" for ms, fp32 in times]
        lines.append(f"| {precision} | {' | '.join(shown)} |")
    model = result["model"]
    return "\n".join([*lines, "", f"{model['layers']} layers, {model['hidden_size']} wide. {machine_line(result)}"])


def int8_batching_block(name: str) -> str:
    """What a batch does to INT8 answers, and what a scale per token costs."""
    result = read_result(name)
    ways = list(result["quality"])
    contexts = list(result["influence"][ways[0]])
    lines = ["| graph | " + " | ".join(contexts) + " | metrics |", "|---|--:|--:|---|"]
    for way in ways:
        moved = [result["influence"][way][context] for context in contexts]
        cells = [f"{found['largest']:.3f} ({found['labels']} labels)" for found in moved]
        metrics = ", ".join(f"{metric} {value:.4f}" for metric, value in result["quality"][way].items())
        lines.append(f"| {way} | {' | '.join(cells)} | {metrics} |")
    speed = result["speed"]
    shapes = list(dict.fromkeys((cell["batch_size"], cell["length"]) for cell in speed))
    ratios = {
        (cell["model"], cell["threads"], cell["batch_size"], cell["length"]): cell["ratio"]["median"] for cell in speed
    }
    lines += [
        "",
        "| time / time with one scale | " + " | ".join(f"{batch} x {length}" for batch, length in shapes) + " |",
    ]
    lines.append("|---" + "|--:" * len(shapes) + "|")
    for model, threads in dict.fromkeys((cell["model"], cell["threads"]) for cell in speed):
        shown = [f"{ratios[model, threads, *shape]:.2f}" for shape in shapes]
        lines.append(f"| {model}; threads: {threads} | {' | '.join(shown)} |")
    return "\n".join([*lines, "", machine_line(result)])


def cost_block(name: str) -> str:
    """What a step of replacing costs, beside one of distillation and beside fine-tuning the predecessor."""
    result = read_result(name)
    seconds = result["seconds"]
    shape, peak = result["shape"], {method: f"{size / 1e9:.1f} GB" for method, size in result["peak_bytes"].items()}
    text = (
        f"On BERT-base's shape, {shape['layers']} layers into {shape['into']}, batches of {shape['batch_size']} x "
        f"{shape['length']} tokens, a step of replacing takes **{seconds['theseus_of_kd']:.2f}** of a step of KD with "
        f"the same kept answers, averaged over its schedule, and "
        f"**{seconds['theseus_of_kd_asked_at_each_step']:.2f}** of one that asks the predecessor each time; module "
        f"regression makes it {seconds['module_regression_of_theseus']:.2f} times as long. Training takes "
        f"{peak['theseus']} at its peak, KD {peak['kd']}, fine-tuning the predecessor "
        f"{peak['fine-tuning of the predecessor']}. {machine_line(result)}"
    )
    return paragraph(text)


def servers_block(name: str) -> str:
    """Servers side by side, with the same graph and texts."""
    result = read_result(name)
    rows = {(row["clients"], row["server"]): row for row in result["summary"]}
    clients = sorted({count for count, _ in rows})
    order = sorted({server for _, server in rows}, key=lambda server: -rows[clients[-1], server]["per_second"])
    heads = "".join(f" {count} clients: texts/s | p50 / p99, ms | replank / it |" for count in clients)
    lines = [f"| server |{heads}", "|---" + "|--:" * 3 * len(clients) + "|"]
    for server in order:
        cells = [_server_cells(rows[count, server]) for count in clients]
        lines.append(f"| {SERVER_NAMES.get(server, server)} | {' | '.join(cells)} |")
    model, tokens = result["model"], result["texts"]["tokens"]
    shape = f"{model['name']} with {model['layers']} layers in {model['precision']}"
    texts = f"texts of {tokens['p5']} to {tokens['p95']} tokens (median {tokens['p50']})"
    note = f"{shape}, {texts}; medians of {1 + max(row['round'] for row in result['rounds'])} interleaved rounds."
    return "\n".join([*lines, "", f"{note} {machine_line(result)}"])


def _server_cells(row: dict[str, Any]) -> str:
    ratio = f"{row['ours_of_its_per_second']:.2f}x" if "ours_of_its_per_second" in row else ""
    return f"{row['per_second']:.0f} | {row['p50_ms']:.0f} / {row['p99_ms']:.0f} | {ratio}"


def soak_block(name: str) -> str:
    """What half an hour of load left behind."""
    result = read_result(name)
    (memory, memory_after), (files, files_after) = result["growth"]["memory_mb"], result["growth"]["open_files"]
    after = ", ".join(f"{count} {outcome}" for outcome, count in result["after_sigterm"].items())
    text = (
        f"{result['seconds'] / 60:.0f} minutes under {result['clients']} clients that come and go (`python "
        f"benchmarks/soak.py MODEL`): {result['outcomes']['answered']:,} requests answered, each as the first time, "
        f"{result['outcomes'].get('left', 0):,} left by their clients, {result['outcomes'].get('lost', 0)} lost, the "
        f"model replaced {result['swaps']} times; memory {memory:.0f} to {memory_after:.0f} MB, open files "
        f"{files:.0f} to {files_after:.0f}; after SIGTERM under load {after}, exit status {result['exit_status']}."
    )
    return paragraph(text)


def search_block(name: str) -> str:
    """What a search cost beside trying everything."""
    result = read_result(name)
    part = result["part_of_the_time"]
    same = result["search"]["winner"] == result["everything"]["winner"]
    tried = len(result["candidates"]["everything"])
    text = (
        f"Beside trying all {tried} candidates (`python benchmarks/search.py`, {result['task']}, {result['budget']}), "
        f"it found {'the same' if same else 'another'} model, {result['search']['winner']}, in "
        f"{part['processor_seconds']:.0%} of the processor time ({part['seconds']:.0%} by the clock, in which other "
        "work of the machine counts too)."
    )
    return paragraph(text)


def paragraph(text: str) -> str:
    """Text in the README's width; what is code in it stays whole."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def machine_line(result: dict[str, Any]) -> str:
    """What the numbers must be read with."""
    machine, versions = result["machine"], result["versions"]
    vector = ", ".join(name for name in machine["instruction_sets"] if "vnni" in name or "amx" in name)
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("torch", "transformers", "onnxruntime"))
    cores = "one core" if machine["cores"] == 1 else f"{machine['cores']} cores"
    return f"Measured on {cores} of an {machine['cpu']} ({vector}); {libraries}."


SPEED_NAMES = {
    "torch-12": "12 layers, torch",
    "torch-6": "6 layers, torch",
    "onnx-6": "6 layers, ONNX fp32",
    "int8-6": "6 layers, INT8",
}
SERVER_NAMES = {
    "engine": "replank's engine, in the clients' process",
    "replank": "**replank**",
    "unbatched": "FastAPI and ONNX Runtime, a run for each request",
    "mosec": "mosec 0.9",
    "litserve": "LitServe 0.2",
    "infinity": "infinity-emb 0.0.78 (ONNX Runtime)",
}
ENCODERS = {
    "e5": "e5-small (384 wide), 12 layers into 6",
    "minilm": "all-MiniLM-L6-v2 (384 wide), 6 layers into 3",
}
EMBEDDERS = {"minilm": "all-MiniLM-L6-v2, 6 layers into 3", "e5": "e5-small, 12 layers into 6"}
BASELINES = {
    "the baselines as published": ("kd-published", "pkd-published", "truncate-published"),
    "the baselines from the same fitted start": ("kd", "pkd", "truncate"),
    "replacing as published": ("theseus-published",),
}
FILES: dict[str, dict[str, Callable[[str], str]]] = {
    "README.md": {
        "quickstart": chain_block,
        "bert_base_speed": speed_block,
        "compression": compression_block,
        "int8_quality": int8_quality_block,
        "replacing_cost": cost_block,
        "servers": servers_block,
        "soak": soak_block,
        "search": search_block,
    },
    "benchmarks/log.md": {
        "compression_defaults": lambda name: defaults_table(read_result(name)["runs"]),
        "compression_trials": trials_block,
        "compression_choices": choices_block,
        "compression_paper": paper_block,
        "growing": growing_block,
        "embeddings": embeddings_block,
        "int8_graph": int8_graph_block,
        "int8_batching": int8_batching_block,
    },
}


def main() -> None:
    """Rewrite the files, or check them."""
    for file, blocks in FILES.items():
        path = ROOT / file
        before = path.read_text(encoding="utf-8")
        after = fill(before, blocks)
        if "--check" not in sys.argv:
            path.write_text(after, encoding="utf-8")
        elif before != after:
            sys.exit(f"{file} is not what the results say")


if __name__ == "__main__":
    main()
