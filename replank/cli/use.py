"""The commands that run a chain (quickstart, run) and that serve its end."""

from __future__ import annotations

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
from replank.source import open_source


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
COMMANDS = (serve,)


def _show_chain(out: Path, summary: dict[str, Any], as_json: bool) -> None:
    from replank.pipeline import comparison_table

    if as_json:
        print_json(summary)
        return
    console().print(comparison_table(summary))
    sample = '"first text" "second text"' if len(summary["task"]["columns"]) == 2 else '"a text of yours"'
    click.echo(f"next:\n  replank predict {out / 'int8'} {sample}\n  replank serve {out / 'int8'}")
