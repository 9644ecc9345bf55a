"""The command that measures speed: benchmark."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from replank.cli.options import (
    FILE,
    console,
    data_options,
    devices_option,
    example,
    json_option,
    option,
    print_json,
    threads_option,
)
from replank.cli.rendering import Command
from replank.data.examples import DataConfig
from replank.data.text_lines import read_texts
from replank.runtime.torch_modes import DEFAULT_MODE, TorchMode
from replank.system.errors import ReplankError, UsageError

Texts = tuple[tuple[str, ...], ...]


@click.command(
    cls=Command,
    short_help="Latency and throughput, side by side.",
    epilog=example("replank benchmark predecessor successor onnx int8 --batch-size 1 --length 128"),
)
@click.argument("models", nargs=-1, required=True)
@option("--batch-size", "batch_sizes", type=click.IntRange(1), multiple=True, default=(1, 8), help="Repeatable.")
@option("--length", "lengths", type=click.IntRange(1), multiple=True, default=(16, 128), help="Tokens; repeatable.")
@option("--texts", type=FILE, help="Measure on the lines of a file, padded as in use, instead of lengths.")
@data_options
@option("--baseline", help="What the ratios are to, as the table names it. [default: the first]")
@option(
    "--torch",
    "torch_modes",
    type=click.Choice(get_args(TorchMode)),
    multiple=True,
    default=(DEFAULT_MODE,),
    help="How torch models run; repeatable. compiled: torch.compile.",
)
@option("--rounds", type=click.IntRange(1), default=5, help="Interleaved rounds over all models, at least.")
@option("--max-seconds", type=float, default=150.0, help="For more rounds where a ratio is not known to 5 % yet.")
@devices_option
@threads_option
@json_option
@click.pass_context
def benchmark(
    context: click.Context,
    /,
    texts: Path | None,
    data: DataConfig | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Latency and throughput of MODELS, torch and ONNX, each in a fresh process, measured in turn.

    The first one is the baseline of the ratios. With --texts or a task's data, real texts give the lengths. --json
    keeps every sample; replank report takes that.
    """
    from replank.benchmark.run import BenchmarkConfig
    from replank.benchmark.run import benchmark as measure_speed
    from replank.benchmark.table import render
    from replank.system.progress import progress

    if (texts or data) and context.get_parameter_source("lengths") is not ParameterSource.DEFAULT:
        raise UsageError("real texts have lengths of their own", hint="leave out --length, or the texts")
    config = BenchmarkConfig(texts=_texts(texts, data), **settings)
    with progress("benchmark", config.units) as advance:
        result = measure_speed(config, advance)
    if as_json:
        print_json(result.to_json())
    else:
        console().print(render(result))
    if stopped := result.stopped:
        if stopped.is_interrupt:
            raise KeyboardInterrupt
        raise ReplankError(stopped.error, hint=stopped.hint)


COMMANDS = (benchmark,)


def _texts(file: Path | None, data: DataConfig | None) -> Texts:
    """In an order of their own, which is the same for every model: files are often sorted."""
    if file and data:
        raise UsageError("--texts and a task's data exclude each other")
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
