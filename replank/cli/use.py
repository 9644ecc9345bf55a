"""The commands that run a chain (quickstart, run) and that serve its end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from replank.benchmark.summary import Summary
from replank.chain.plan import RunConfig
from replank.cli.config_options import config_of, config_options
from replank.cli.options import (
    FILE,
    FOLDER,
    console,
    data_options,
    device_options,
    example,
    json_option,
    option,
    print_json,
)
from replank.cli.rendering import Command
from replank.cli.stages import required_data
from replank.data.examples import DataConfig
from replank.models.source import open_source
from replank.system.errors import UsageError


@click.command(
    cls=Command, short_help="Try the whole chain on real data, offline.", epilog=example("replank quickstart demo")
)
@click.argument("out", type=FOLDER, default=Path("demo"))
@json_option
def quickstart(out: Path, as_json: bool) -> None:
    """The whole chain on a real encoder and real texts from packages, offline, in minutes, into OUT (demo).

    Needs the demo extra. Interrupted, the same command goes on where it stopped.
    """
    from replank.chain.pipeline import quickstart as chain

    _show_chain(out, chain(out), as_json)


@click.command(
    cls=Command,
    short_help="The whole chain on your model and data.",
    epilog=example("replank run bert-base-uncased OUT --task sst2 --layers 6"),
)
@click.argument("encoder")
@click.argument("out", type=FOLDER)
@config_options(RunConfig)
@data_options
@json_option
def run(
    encoder: str,
    out: Path,
    data: DataConfig | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """The whole chain: ENCODER to predecessor, successor, onnx and int8, each a folder under OUT, and a comparison.

    A model that is fine-tuned already is its own predecessor. Run again, finished stages are kept as they are.
    """
    from replank.chain.pipeline import run as chain

    plan = config_of(RunConfig, settings).plan()
    _show_chain(out, chain(open_source(encoder), out, plan, required_data(data)), as_json)


@click.command(
    cls=Command,
    short_help="Serve models over HTTP.",
    epilog=example("replank serve int8 --port 8080"),
)
@click.argument("models", nargs=-1, required=True)
@option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 is everybody's.")
@option("--port", type=int, default=8080, help="0 takes a free one.")
@option("--max-batch", type=int, default=16, help="Texts that run together.")
@option("--max-batch-tokens", type=int, default=2048, help="Padded tokens that run together.")
@option("--max-queue-tokens", type=int, default=32768, help="Tokens that may wait; beyond it requests get 429.")
@option("--max-texts", type=int, default=32, help="Texts of one request.")
@option("--max-body-bytes", type=int, default=2_000_000, help="Size of one request.")
@option("--timeout-seconds", type=float, default=30.0, help="Until a request is answered with 504.")
@option("--drain-seconds", type=float, default=10.0, help="For requests to end after SIGTERM.")
@option("--api-key-file", type=FILE, help="Keys that requests must bring one of, one a line; also REPLANK_API_KEY.")
@option("--cors-origin", "cors_origins", multiple=True, help="Repeatable: a web page's origin that may ask; * is all.")
@option("--allow-load", is_flag=True, help="Let this machine, and holders of a key, load and unload models.")
@option("--log-requests", is_flag=True, help="A line in the log for every request, not only for failures.")
@option("--json-logs", is_flag=True, help="Log lines as JSON objects.")
@option("--ray", is_flag=True, help="As replicas on Ray Serve: RAY_ADDRESS's cluster, or one of this machine.")
@option("--replicas", type=click.IntRange(1), help="Ray: how many at least. [default: 1]")
@option("--max-replicas", type=click.IntRange(1), help="Ray: how many under load. [default: --replicas]")
@device_options
def serve(
    models: tuple[str, ...],
    device: Any,
    threads: int | None,
    api_key_file: Path | None,
    allow_load: bool,
    ray: bool,
    replicas: int | None,
    max_replicas: int | None,
    **settings: Any,
) -> None:
    """Serve MODELS over HTTP: POST /predict, docs of all routes at /docs, a page to try them at /.

    Each is a folder, or NAME=FOLDER to be asked for under a name of yours; the first answers where none is named.
    """
    from replank.runtime.model import Model, load_model, require_served
    from replank_serve.http.config import ServeConfig
    from replank_serve.http.security import read_keys
    from replank_serve.models.loaded_model import checked_name, name_for
    from replank_serve.server import run_server

    def load(folder: str | Path) -> Model:
        source = open_source(folder)
        require_served(source)
        return load_model(source, device=device, threads=threads)

    keys = read_keys(api_key_file, os.environ.get("REPLANK_API_KEY"))
    config = ServeConfig(**settings, api_keys=keys, loader=load if allow_load else None)
    folders: dict[str, str] = {}
    for model in models:
        name, equals, folder = model.partition("=")
        # A folder's own name may hold the sign.
        if not equals or Path(model).exists():
            name, folder = name_for(model), model
        if checked_name(name) in folders:
            raise UsageError(f"two models have the name {name}", hint="replank serve a=FOLDER b=FOLDER names them")
        folders[name] = folder
    if ray:
        from replank_serve.ray_app import RayConfig, run_on_ray

        # Loaded here too: what cannot be loaded is said before a cluster starts. Replicas have other working folders.
        places = {name: str(load(folder).source.folder.resolve()) for name, folder in folders.items()}
        run_on_ray(RayConfig(places, device, threads or 1, replicas or 1, max_replicas), config)
        return
    if replicas or max_replicas:
        raise UsageError("--replicas and --max-replicas are of --ray")
    run_server({name: load(folder) for name, folder in folders.items()}, config)


CHAINS = (quickstart, run)
COMMANDS = (serve,)


def _show_chain(out: Path, summary: Summary, as_json: bool) -> None:
    from replank.chain.comparison import comparison_table

    if as_json:
        print_json(summary.to_json())
        return
    console().print(comparison_table(summary))
    sample = '"first text" "second text"' if len(summary.task.columns) == 2 else '"a text of yours"'
    click.echo(f"next:\n  replank predict {out / 'int8'} {sample}\n  replank serve {out / 'int8'}")
