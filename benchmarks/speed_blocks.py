"""Blocks of README, docs and log on time: of models, graphs, trainings and servers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from block_text import RESULTS, machine_line, paragraph, read_result
from replank.benchmarking.result import Benchmark, BenchmarkModel, Shape
from replank.benchmarking.times import time_name, time_unit


def speed_block(name: str) -> str:
    """Times of each model at each shape, and those of the last as ratios to eager torch and to the best of torch."""
    if not (RESULTS / f"{name}.json").exists():
        return "This table is being measured."
    values = read_result(name)
    result = Benchmark.from_json(values)
    shapes = result.shapes
    lines = [
        f"| {time_unit(result.clock)} | "
        + " | ".join(f"{shape.batch_size} x {shape.length}" for shape in shapes)
        + " |",
        "|---" + "|--:" * len(shapes) + "|",
    ]
    for model in result.models:
        cells = [cell for cell in result.cells if cell.model == model.name]
        lines.append(f"| {speed_name(model)} | " + " | ".join(f"{cell.p50_ms:.1f}" for cell in cells) + " |")
    gains = [result.at(shape)[-1].ratio for shape in shapes]
    shown = [f"**{gain.median:.1f}x** ({gain.min:.1f}-{gain.max:.1f})" for gain in gains]
    lines.append(f"| whole chain against eager fp32 | {' | '.join(shown)} |")
    if len(whole := whole_in_torch(result)) > 1:
        bests = [best_of_torch(result, shape, whole) for shape in shapes]
        shown = [f"**{gain:.1f}x** ({mode_name(model)})" for model, gain in bests]
        lines.append(f"| whole chain against the best of torch | {' | '.join(shown)} |")
    left_out = [f"{name} is left out: {reason}." for name, reason in result.left_out.items()]
    clock = [f"Times and ratios are of {time_name(result.clock)}."] if result.clock == "processor" else []
    return "\n".join([*lines, "", *clock, *left_out, machine_line(values)])


def speed_name(model: BenchmarkModel) -> str:
    """A model as people call it."""
    if model.kind == "onnx":
        return f"{model.layers} layers, {'INT8' if model.precision == 'int8' else f'ONNX {model.precision}'}"
    return f"{model.layers} layers, torch {mode_name(model)}"


def mode_name(model: BenchmarkModel) -> str:
    """A mode of torch as people call it."""
    if model.mode == "compiled-int8":
        return "INT8 (torchao, compiled)"
    way = "compiled" if model.mode and model.mode.startswith("compiled") else "eager"
    return f"{way} {model.precision}"


def whole_in_torch(result: Benchmark) -> list[BenchmarkModel]:
    """The deepest torch model, in each of its modes."""
    found = [model for model in result.models if model.kind == "torch"]
    return [model for model in found if model.layers == max(model.layers for model in found)]


def best_of_torch(result: Benchmark, shape: Shape, models: Sequence[BenchmarkModel]) -> tuple[BenchmarkModel, float]:
    """The fastest of some models at a shape, and the speed of the last model as a multiple of its, round by round."""
    cells = {cell.model: cell for cell in result.at(shape)}
    best = max(models, key=lambda model: cells[model.name].ratio.median)
    rounds = zip(result.at(shape)[-1].ratio.rounds, cells[best.name].ratio.rounds, strict=True)
    return best, median(ours / theirs for ours, theirs in rounds)


def fused_attention_range(name: str) -> tuple[float, float]:
    """The speed of fused attention as a multiple of its parts': the least and the most over all that was measured."""
    ratios = [cell["forms"]["opened"]["ratio"]["median"] for result in _versions(name) for cell in result["cells"]]
    return 1 / max(ratios), 1 / min(ratios)


def _versions(name: str) -> list[dict[str, Any]]:
    """The results of each version of ONNX Runtime."""
    return [read_result(path.stem) for path in sorted(RESULTS.glob(f"{name}-*.json"))]


def attention_block(name: str) -> str:
    """The speed of opened attention as a multiple of the fused one's, by version of ONNX Runtime."""
    results = _versions(name)
    cells = results[0]["cells"]
    shapes = list(dict.fromkeys((cell["batch_size"], cell["length"]) for cell in cells))
    lines = ["| encoder | onnxruntime | " + " | ".join(f"{batch} x {length}" for batch, length in shapes) + " |"]
    lines.append("|---|---" + "|--:" * len(shapes) + "|")
    for encoder in dict.fromkeys(cell["encoder"] for cell in cells):
        for result in results:
            found = [cell["forms"]["opened"]["ratio"] for cell in result["cells"] if cell["encoder"] == encoder]
            shown = [f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" for ratio in found]
            lines.append(f"| {encoder} | {result['versions']['onnxruntime']} | {' | '.join(shown)} |")
    return "\n".join([*lines, "", machine_line(results[0])])


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
    if not (RESULTS / f"{name}.json").exists():
        return "This table is being measured."
    result = read_result(name)
    rows = {(row["clients"], row["server"]): row for row in result["summary"]}
    clients = sorted({count for count, _ in rows})
    order = sorted({server for _, server in rows}, key=lambda server: -rows[clients[-1], server]["per_second"])
    # Earlier results have no processor time.
    columns = (
        "texts/s",
        "p50 / p99, ms",
        *(["processor, ms"] if "processor_ms" in rows[clients[0], "replank"] else []),
    )
    heads = "".join(f" {count} clients: {' | '.join(columns)} | replank / it |" for count in clients)
    lines = [f"| server |{heads}", "|---" + "|--:" * (len(columns) + 1) * len(clients) + "|"]
    for server in order:
        cells = [_server_cells(rows[count, server]) for count in clients]
        lines.append(f"| {SERVER_NAMES.get(server, server)} | {' | '.join(cells)} |")
    model, tokens = result["model"], result["texts"]["tokens"]
    shape = f"{model['name']} with {model['layers']} layers in {model['precision']}"
    texts = f"texts of {tokens['p5']} to {tokens['p95']} tokens (median {tokens['p50']})"
    note = f"{shape}, {texts}; medians of {1 + max(row['round'] for row in result['rounds'])} interleaved rounds."
    if "processor, ms" in columns:
        note += (
            " Processor time is that of the server for a text; ratios are of throughput, as if the clients' processor "
            "time were the server's."
        )
    return "\n".join([*lines, "", f"{note} {machine_line(result)}"])


def _server_cells(row: dict[str, Any]) -> str:
    ratio = row.get("ours_of_its_alone_per_second", row.get("ours_of_its_per_second"))
    cells = [f"{row['per_second']:.0f}", f"{row['p50_ms']:.0f} / {row['p99_ms']:.0f}"]
    if "processor_ms" in row:
        cells.append(f"{row['processor_ms']['server']:.2f}")
    return " | ".join([*cells, f"{ratio:.2f}x" if ratio else ""])


def busy_server_block(name: str) -> str:
    """Engines alone and beside a busy process."""
    if not (RESULTS / f"{name}.json").exists():
        return "This table is being measured."
    result = read_result(name)
    engines = list(result["summary"][0]["per_second"])
    others = list(result["summary"][0]["adapting_of"])
    heads = [*(f"{engine}, texts/s" for engine in engines), *(f"adapting / {other}" for other in others)]
    lines = [f"| | {' | '.join(heads)} |", "|---" + "|--:" * len(heads) + "|"]
    for row in result["summary"]:
        cells = [f"{row['per_second'][engine]:.0f}" for engine in engines]
        cells += [f"{row['adapting_of'][other]:.2f}x" for other in others]
        lines.append(f"| {row['phase']} | {' | '.join(cells)} |")
    model = result["model"]
    rounds = 1 + max(row["round"] for row in result["rounds"])
    note = (
        f"{model['name']} with {model['layers']} layers in {model['precision']}, {result['clients']} clients in the "
        f"engine's process; medians of {rounds} interleaved rounds."
    )
    return "\n".join([*lines, "", f"{note} {machine_line(result)}"])


def soak_block(name: str) -> str:
    """What minutes of load left behind."""
    result = read_result(name)
    neighbours = result.get("neighbours", 0)
    beside = f" beside busy processes ({neighbours})" if neighbours else ""
    options = f" --minutes {result['seconds'] / 60:.0f} --neighbours {neighbours}" if neighbours else ""
    faults = "".join(f"; FAULT: {fault}" for fault in result["faults"])
    times = result.get("latency_ms")
    within = f" (p50 {times['p50']:.0f} ms, p99 {times['p99']:.0f}, at most {times['max']:.0f})" if times else ""
    (memory, memory_after), (files, files_after) = result["growth"]["memory_mb"], result["growth"]["open_files"]
    after = ", ".join(f"{count} {outcome}" for outcome, count in result["after_sigterm"].items())
    text = (
        f"{result['seconds'] / 60:.0f} minutes under {result['clients']} clients that come and go{beside} (`python "
        f"benchmarks/soak.py MODEL{options}`): {result['outcomes']['answered']:,} requests answered{within}, "
        f"each as the first time, "
        f"{result['outcomes'].get('left', 0):,} left by their clients, {result['outcomes'].get('lost', 0)} lost, the "
        f"model replaced {result['swaps']} times; memory {memory:.0f} to {memory_after:.0f} MB, open files "
        f"{files:.0f} to {files_after:.0f}; after SIGTERM under load {after}, exit status "
        f"{result['exit_status']}{faults}."
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


SERVER_NAMES = {
    "engine": "replank's engine, in the clients' process",
    "replank": "**replank**",
    "unbatched": "FastAPI and ONNX Runtime, a run for each request",
    "mosec": "mosec 0.9",
    "litserve": "LitServe 0.2",
    "infinity": "infinity-emb 0.0.78 (ONNX Runtime)",
}
