"""The command `benchmark`."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from replank.benchmarking.config import BenchmarkConfig
from replank.benchmarking.table import render
from replank.cli.command import command
from replank.cli.config_options import config_of, config_options
from replank.cli.options import FILE, console, data_options, json_option, option, print_json
from replank.cli.rendering import in_flags
from replank.data.config import DataConfig
from replank.data.text_lines import read_texts
from replank.system.errors import UsageError


@command("replank benchmark predecessor successor onnx int8 --batch-size 1 --length 128")
@click.argument("models", nargs=-1, required=True)
@option("--texts", type=FILE, help="Measure on the lines of a file, padded as in use, instead of lengths.")
@config_options(BenchmarkConfig)
@data_options
@json_option
@click.pass_context
def benchmark(
    context: click.Context,
    /,
    models: tuple[str, ...],
    texts: Path | None,
    data: DataConfig | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Latency and throughput of MODELS, torch and ONNX, each in a fresh process, measured in turn.

    The first one is the baseline of the ratios. With --texts or a task's data, real texts give the lengths. --json
    keeps every sample; replank report takes that. What a device cannot run, such as torch on openvino, is left out and
    listed.
    """
    from replank import api

    if (texts or data) and context.get_parameter_source("lengths") is not ParameterSource.DEFAULT:
        raise UsageError("real texts have lengths of their own", hint="leave out `lengths`, or the texts")
    given = settings | {"models": models, "texts": _texts(texts, data) or None}
    result = api.benchmark(config_of(BenchmarkConfig, given))
    if as_json:
        print_json(result.to_json())
    else:
        told = {name: in_flags(reason, context) for name, reason in result.left_out.items()}
        console().print(render(replace(result, left_out=told)))
    if result.stopped:
        raise result.stopped.again()


def _texts(file: Path | None, data: DataConfig | None) -> tuple[tuple[str, ...], ...]:
    """In an order of their own, which is the same for every model: files are often sorted."""
    if file and data:
        raise UsageError("`texts` and a task's data exclude each other")
    if file:
        found = read_texts(file)
    elif data:
        dataset = data.load()
        split = dataset.split(dataset.held_out)
        found = list(zip(split.first, split.second, strict=True)) if split.second else [(text,) for text in split.first]
    else:
        return ()
    random.Random(0).shuffle(found)  # noqa: S311 - an order, no secret
    return tuple(found)
