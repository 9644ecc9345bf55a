"""The command `batch`: answers to every row of a big file."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from replank.batch.file import Window
from replank.batch.run import BatchConfig, Plan
from replank.batch.run import batch as answer_file
from replank.cli.options import FILE, device_options, example, json_option, option, print_json, print_table
from replank.cli.rendering import Command
from replank.models.source import Source, open_source
from replank.system.errors import UsageError


@click.command(
    cls=Command,
    short_help="Answer a big file, resumable.",
    epilog=example("replank batch int8 texts.jsonl answers.csv"),
)
@click.argument("model")
@click.argument("file", type=FILE)
@click.argument("out", type=FILE)
@option("--text", help="Column of the text, or of a pair's first. [default: the task's]")
@option("--text-pair", help="Column of a pair's second text.")
@option("--id", "id_column", help="Column to repeat beside the answers. [default: the number of the row]")
@option("--scores", is_flag=True, help="Write the probability of every label.")
@option(
    "--ray", is_flag=True, help="On Ray Data: a worker for each --threads cores of the cluster. [default threads: 1]"
)
@option("--force", is_flag=True, help="Replace OUT, and forget what another run left beside it.")
@device_options
@json_option
def batch(
    model: str,
    file: Path,
    out: Path,
    ray: bool,
    force: bool,
    device: Any,
    threads: int | None,
    as_json: bool,
    **columns: Any,
) -> None:
    """Answer each row of FILE (.csv, .tsv, .jsonl, .parquet) into OUT (.csv, .jsonl, .parquet), in the same order.

    Texts of like length run together. Killed at any moment, the same command goes on where it was: finished parts lie
    in OUT.work until OUT is whole. With --ray, all machines must see MODEL, FILE and OUT under the same names.
    """
    from replank.runtime.model import require_whole_texts

    source = open_source(model)
    require_whole_texts(source, "batch")
    if ray:
        if device == "auto":
            raise UsageError("--device auto with --ray: machines may differ", hint="name the device")
        from replank.batch.ray import run_on_ray

        run = functools.partial(run_on_ray, source.folder.resolve(), device=device, threads=threads or 1)
    else:
        run = functools.partial(_run_here, source, device=device, threads=threads)
    summary = answer_file(source, file.resolve(), out, BatchConfig(**columns), run, force=force)
    if as_json:
        print_json({"out": str(out)} | asdict(summary))
        return
    print_table("batch", [("file", str(out)), ("rows", str(summary.rows)), ("resumed", str(summary.resumed_rows))])


def _run_here(source: Source, plan: Plan, windows: list[Window], *, device: Any, threads: int | None) -> Iterator[int]:
    from replank.runtime.model import load_model
    from replank.system.progress import progress

    loaded = load_model(source, device=device, threads=threads)
    with progress("batch", sum(window.rows for window in windows)) as advance:
        for window in windows:
            plan.answer(loaded, window, advance)
            yield window.rows
