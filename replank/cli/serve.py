"""The command `serve`."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FILE, device_options, file_option, option
from replank.system.errors import UsageError
from replank_serve.http.config import ServeConfig
from replank_serve.http.security import read_keys
from replank_serve.models.loaded_model import checked_name, name_for


@command("replank serve int8 --port 8080")
@click.argument("models", nargs=-1, required=True)
@config_options(ServeConfig)
@option("--api-key-file", type=FILE, help="Keys that requests must bring one of, one a line; also REPLANK_API_KEY.")
@option("--allow-load", is_flag=True, help="Let this machine, and holders of a key, load and unload models.")
@option("--admin-key-file", type=FILE, help="Keys of those who may load models, one a line; also REPLANK_ADMIN_KEY.")
@option("--ray", is_flag=True, help="As replicas on Ray Serve: RAY_ADDRESS's cluster, or one of this machine.")
@option("--replicas", type=click.IntRange(1), help="Ray: how many at least. [default: 1]")
@option("--max-replicas", type=click.IntRange(1), help="Ray: how many under load. [default: --replicas]")
@file_option
@device_options
def serve(
    models: tuple[str, ...],
    file: str | None,
    device: Any,
    threads: int | None,
    api_key_file: Path | None,
    allow_load: bool,
    admin_key_file: Path | None,
    ray: bool,
    replicas: int | None,
    max_replicas: int | None,
    **settings: Any,
) -> None:
    """Serve MODELS over HTTP: POST /predict, docs of all routes at /docs, a page to try them at /.

    Each is a folder, or NAME=FOLDER to be asked for under a name of yours; the first answers where none is named.
    """
    from replank import api

    access = {
        "api_keys": read_keys(api_key_file, os.environ.get("REPLANK_API_KEY")),
        "admin_keys": read_keys(admin_key_file, os.environ.get("REPLANK_ADMIN_KEY"), setting="admin_key_file"),
        "loader": partial(api.load, device=device, threads=threads) if allow_load else None,
    }
    config = config_of(ServeConfig, settings | access)
    folders = _named(models)
    if file is not None and (ray or len(folders) > 1):
        raise UsageError("`file` chooses a graph of one model, served without `ray`", hint="replank serve MODEL")
    if ray:
        from replank_serve.ray_app import RayConfig, run_on_ray

        # Loaded here too: what cannot be loaded is said before a cluster starts. Replicas have other working folders.
        places = {
            name: str(api.load(folder, device=device, threads=threads).source.folder.resolve())
            for name, folder in folders.items()
        }
        run_on_ray(RayConfig(places, device, threads or 1, replicas or 1, max_replicas), config)
        return
    if replicas or max_replicas:
        raise UsageError("`replicas` and `max_replicas` need `ray`", hint="add `ray=True`")
    api.serve(
        {name: api.open_model(folder, file) if file else folder for name, folder in folders.items()},
        config,
        device=device,
        threads=threads,
    )


def _named(models: tuple[str, ...]) -> dict[str, str]:
    """Folders or hub names by the names that clients use.

    :raises UsageError: two have one name.
    """
    folders: dict[str, str] = {}
    for model in models:
        name, equals, folder = model.partition("=")
        # A folder's own name may hold the sign.
        if not equals or Path(model).exists():
            name, folder = name_for(model), model
        if checked_name(name) in folders:
            raise UsageError(f"two models have the name {name}", hint="replank serve a=FOLDER b=FOLDER names them")
        folders[name] = folder
    return folders
