"""The commands that run a chain (quickstart, run) and that use a model (predict, serve)."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from replank.cli.options import (
    FOLDER,
    console,
    data_options,
    device_options,
    example,
    json_option,
    option,
    print_json,
)
from replank.cli.stages import required_data
from replank.data import DataConfig
from replank.errors import DataError, UsageError
from replank.source import Source, open_source
from replank.text import without_lone_surrogates

_STDIN_BATCH = 256
# An answer is one line, whatever the text holds; and no text may command the terminal.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@click.command(short_help="Try the whole chain on real data, offline.", epilog=example("replank quickstart demo"))
@click.argument("out", type=FOLDER, default=Path("demo"))
@json_option
def quickstart(out: Path, as_json: bool) -> None:
    """The whole chain on a real encoder and real texts from packages, offline, in minutes, into OUT (demo).

    Needs the demo extra. Interrupted, the same command goes on where it stopped.
    """
    from replank.pipeline import quickstart as chain

    _show_chain(out, chain(out), as_json)


@click.command(
    short_help="The whole chain on your model and data.",
    epilog=example("replank run bert-base-uncased OUT --task sst2 --layers 6"),
)
@click.argument("encoder")
@click.argument("out", type=FOLDER)
@option("--layers", type=click.IntRange(1), help="Layers of the successor. [default: half]")
@option("--finetune-epochs", type=float, default=3.0, help="Passes over the data for the predecessor.")
@option("--compress-epochs", type=float, default=5.0, help="Passes over the data for the successor.")
@option("--seed", type=int, default=42, help="Of everything random.")
@option("--max-drop", type=float, default=0.005, help="Loss of the headline metric allowed to INT8.")
@data_options
@json_option
def run(
    encoder: str,
    out: Path,
    layers: int | None,
    finetune_epochs: float,
    compress_epochs: float,
    seed: int,
    max_drop: float,
    data: DataConfig | None,
    as_json: bool,
) -> None:
    """The whole chain: ENCODER to predecessor, successor, onnx and int8, each a folder under OUT, and a comparison.

    A model that is fine-tuned already is its own predecessor. Run again, finished stages are kept as they are.
    """
    from replank.pipeline import Plan
    from replank.pipeline import run as chain

    plan = Plan.of(
        layers=layers,
        finetune_epochs=finetune_epochs,
        compress_epochs=compress_epochs,
        seed=seed,
        max_drop=max_drop,
    )
    _show_chain(out, chain(open_source(encoder), out, plan, required_data(data)), as_json)


@click.command(short_help="Answer texts.", epilog=example('replank predict int8 "a moving and funny film"'))
@click.argument("model")
@click.argument("texts", nargs=-1)
@option("--glue", type=FOLDER, help="Folder for the leaderboard's files; needs --task, and --data if not from the hub.")
@data_options
@device_options
@json_option
def predict(
    model: str,
    texts: tuple[str, ...],
    glue: Path | None,
    data: DataConfig | None,
    device: Any,
    threads: int | None,
    as_json: bool,
) -> None:
    """Answer TEXTS, or the lines of stdin; of a pair task, arguments in twos, or a tab between the two.

    A line of stdin may also be JSON: a string, a list of two strings. --json prints one JSON object a line.
    With --glue, the test split of a GLUE task is answered into the files that its leaderboard takes.
    """
    from replank.answers import answers
    from replank.runtime import load_model, require_whole_texts

    if glue is not None:
        _predict_glue(open_source(model), glue, required_data(data), device, threads, as_json)
        return
    if data is not None:
        raise UsageError("predict takes data with --glue only", hint="replank evaluate scores a model on data")
    if not texts and sys.stdin.isatty():
        raise UsageError("no text given", hint='replank predict MODEL "a text", or texts on stdin, one a line')
    source = open_source(model)
    require_whole_texts(source, "predict")
    loaded = load_model(source, device=device, threads=threads)
    width = 2 if loaded.task.is_pair else 1
    for batch in _batches(_arguments(texts, width) if texts else _lines(width)):
        columns = list(zip(*batch, strict=True))
        logits = loaded.logits(columns[0], columns[1] if width == 2 else None)
        for row, scores in zip(batch, answers(loaded.task, logits), strict=True):
            if as_json:
                ordered = {score.label: score.score for score in scores}
                line = json.dumps({"text": row[0] if width == 1 else row, "label": scores[0].label, "scores": ordered})
            else:
                shown = (_CONTROL.sub(" ", text) for text in (scores[0].label, f"{scores[0].score:.4f}", *row))
                line = "\t".join(shown)
            sys.stdout.buffer.write(line.encode() + b"\n")
        sys.stdout.buffer.flush()


@click.command(short_help="Serve a model over HTTP.", epilog=example("replank serve int8 --port 8080"))
@click.argument("model")
@option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 is everybody's.")
@option("--port", type=int, default=8080, help="0 takes a free one.")
@option("--max-batch", type=int, default=16, help="Texts that run together.")
@option("--max-queue", type=int, default=512, help="Texts that may wait; beyond it requests get 429.")
@option("--max-texts", type=int, default=32, help="Texts of one request.")
@option("--max-body-bytes", type=int, default=2_000_000, help="Size of one request.")
@option("--timeout-seconds", type=float, default=30.0, help="Until a request is answered with 504.")
@option("--drain-seconds", type=float, default=10.0, help="For requests to end after SIGTERM.")
@device_options
def serve(model: str, device: Any, threads: int | None, **settings: Any) -> None:
    """Serve MODEL over HTTP: POST /predict, GET /info /health /ready, docs at /docs, a page to try it at /."""
    from replank.runtime import load_model, require_whole_texts
    from serve.app import ServeConfig
    from serve.server import run_server

    config = ServeConfig(**settings)
    source = open_source(model)
    require_whole_texts(source, "serve")
    run_server(load_model(source, device=device, threads=threads), config)


CHAINS = (quickstart, run)
COMMANDS = (predict, serve)


def _show_chain(out: Path, summary: dict[str, Any], as_json: bool) -> None:
    from replank.pipeline import comparison_table

    if as_json:
        print_json(summary)
        return
    console().print(comparison_table(summary))
    sample = '"first text" "second text"' if len(summary["task"]["columns"]) == 2 else '"a text of yours"'
    click.echo(f"next:\n  replank predict {out / 'int8'} {sample}\n  replank serve {out / 'int8'}")


def _predict_glue(
    source: Source, folder: Path, config: DataConfig, device: Any, threads: int | None, as_json: bool
) -> None:
    from replank.evaluate import require_same_task
    from replank.leaderboard import write_predictions
    from replank.progress import progress
    from replank.runtime import load_model

    data = config.load(source.task)
    require_same_task(source.name, source.task, data)
    loaded = load_model(source, task=data.task, device=device, threads=threads)
    rows = sum(len(examples) for split, examples in data.splits.items() if split.startswith(("test", "ax")))
    with progress("predict", rows) as advance:
        written = write_predictions(loaded, data, folder, progress=advance)
    if as_json:
        print_json([str(path) for path in written])
    else:
        click.echo("\n".join(map(str, written)))


def _batches(rows: Iterator[tuple[str, ...]]) -> Iterator[list[tuple[str, ...]]]:
    """Rows in lists, so that a long stdin is answered as it comes and fits into memory."""
    batch: list[tuple[str, ...]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _STDIN_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _arguments(texts: tuple[str, ...], width: int) -> Iterator[tuple[str, ...]]:
    if len(texts) % width:
        raise UsageError(f"{len(texts)} texts for a task of pairs; expected them in twos")
    # What is not UTF-8 comes from the system as half characters.
    clean = tuple(map(without_lone_surrogates, texts))
    return (clean[start : start + width] for start in range(0, len(clean), width))


def _lines(width: int) -> Iterator[tuple[str, ...]]:
    for number, raw in enumerate(sys.stdin.buffer, 1):
        line = raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").rstrip("\r\n")
        row = _json_row(line) or tuple(line.split("\t", width - 1))
        if len(row) != width:
            raise DataError(
                f"line {number} of stdin holds {len(row)} of the {width} texts that the task takes",
                hint='a pair is two texts with a tab between, or ["first", "second"]' if width == 2 else None,
            )
        yield tuple(map(without_lone_surrogates, row))


def _json_row(line: str) -> tuple[str, ...] | None:
    """The texts of a line that is JSON of the right kind; any other line is a text itself."""
    if line[:1] not in ('"', "["):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    row = tuple(value) if isinstance(value, list) else (value,)
    return row if all(isinstance(item, str) for item in row) else None
