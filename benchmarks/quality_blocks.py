"""Blocks of README, docs and log on what models answer: quality kept, trials, chains, embedding models."""

from __future__ import annotations

import io

from rich.console import Console

from block_text import RESULTS, machine_line, read_result
from compression_table import (
    DEPTHS,
    SCHEDULES,
    MethodsTable,
    paper_table,
    read_cells,
    scores_table,
    trials_table,
)
from embeddings_table import PREDECESSOR, read_results, rerankers_table, vectors_table
from growing_table import growing_table, read_growing
from references_table import read_references, references_table
from replank.benchmarking.summary import Summary
from replank.chain.comparison import comparison_table


def chain_block(name: str) -> str:
    """The table that a chain ends with, as the terminal shows it, and the machine."""
    summary = read_result(name)
    console = Console(file=io.StringIO(), width=110)
    console.print(comparison_table(Summary.from_json(summary)))
    text = console.file.getvalue().rstrip()  # type: ignore[attr-defined]
    return f"```text\n{text}\n```\n\n{machine_line(summary)}"


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


def trials_block(name: str) -> str:
    """Trials by which defaults were chosen."""
    return trials_table(read_cells(RESULTS / name))


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


def references_block(name: str) -> str:
    """Students with references against their controls."""
    cells = read_references(RESULTS / name)
    if not cells:
        return "This table is being measured: no cell of it is done yet."
    rows = ", ".join(sorted({f"{cell['task']} {cell['rows']:,}" for cell in cells}))
    seeds = len({cell["seed"] for cell in cells})
    return f"{references_table(cells)}\n\nTraining rows: {rows}; seeds: {seeds}. {machine_line(cells[0])}"


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
    if not (RESULTS / f"{name}.json").exists():
        return "This table is being measured."
    rows = read_result(name)["models"]
    lines = ["| task | scales | control | fp32 | INT8 | kept in float |", "|---|---|---|--:|--:|--:|"]
    for row in rows:
        found = "refused" if "refused" in row else f"{100 * row['int8']:.1f}"
        fp32, kept = (f"{100 * row['fp32']:.1f}", str(len(row["kept_in_float"]))) if "int8" in row else ("", "")
        lines.append(f"| {row['task']} | {row['way']} | {row['control']} | {fp32} | {found} | {kept} |")
    return "\n".join([*lines, "", machine_line(read_result(name))])


def integer_quality_block(name: str) -> str:
    """What integers keep of trained models: made after training, and fine-tuned."""
    result = read_result(name)
    ways = ("fp32", "after_training", "during_training")
    lines = ["| data | rows | fp32 | integers, after training | fine-tuned in integers |", "|---|--:|--:|--:|--:|"]
    for row in result["models"]:
        shown = [", ".join(f"{metric} {100 * value:.1f}" for metric, value in row[way].items()) for way in ways]
        lines.append(f"| {row['task']} | {row['rows']:,} | {' | '.join(shown)} |")
    return "\n".join([*lines, "", machine_line(result)])


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
