"""The group of all commands, and how an error reaches a person: three lines at most, and an exit code."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from replank.cli.command import FlagFormatter, Option
from replank.cli.variables import came_from, variable_behind
from replank.system.environment import machine, versions
from replank.system.errors import ReplankError
from replank.system.extras import installed_version, missing_extra
from replank.system.logs import WHERE, configure_logging
from replank.system.processes import is_first_process
from replank.system.signals import INTERRUPTED, INTERRUPTED_CODE, end_at_once, end_by_exception

_log = logging.getLogger(__name__)
_LONGEST_LINE = 1000
# Each command by its name, with its line of the overview. It stands in the module of its name, which is imported when
# the command runs: some bring torch.
SECTIONS: dict[str, dict[str, str]] = {
    "Start": {
        "quickstart": "Try the whole chain on real data, offline.",
        "run": "The whole chain on your model and data.",
        "search": "The best model under a budget.",
    },
    "Stages": {
        "pretrain": "Texts to encoder, growing it on the way.",
        "trim": "Encoder to one of a smaller vocabulary.",
        "mine": "Knowledge graph to questions with its paths.",
        "finetune": "Encoder to predecessor.",
        "compress": "Predecessor to successor of fewer layers.",
        "export": "Torch model to fused ONNX model.",
        "quantize": "ONNX model to INT8.",
    },
    "Check": {
        "evaluate": "Score a model on a task's data.",
        "compare": "Which of two is better, by more than chance.",
        "verify": "Compare two models' answers.",
        "attack": "How easily fitting words fool models.",
        "benchmark": "Latency and throughput, side by side.",
        "inspect": "Show a model's task, lineage, quality, operators, FLOPs.",
        "report": "A page about a chain and its models.",
        "doctor": "Check this machine and its libraries.",
    },
    "Use": {
        "predict": "Answer texts.",
        "batch": "Answer a big file, resumable.",
        "push": "Publish an artifact on the hub.",
    },
    "Serve": {
        "serve": "Serve models over HTTP.",
        "loadtest": "The highest rate that holds a limit.",
        "triton": "ONNX model to a Triton model repository.",
    },
}
COMMANDS = {name: summary for section in SECTIONS.values() for name, summary in section.items()}
EXAMPLE = """\b
Example:
  replank quickstart demo
  replank run bert-base-uncased OUT --dataset sst2 --layers 6
  replank predict OUT/int8 "a moving and funny film"
"""


class _Group(click.Group):
    """Commands under headings, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return command_named(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            suggestion = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{suggestion}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()))


def command_named(name: str) -> click.Command:
    """One of :data:`COMMANDS`."""
    made: click.Command = getattr(import_module(f"replank.cli.{name}"), name)
    return made


@click.group(
    cls=_Group,
    context_settings={
        "auto_envvar_prefix": "REPLANK",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
    epilog=EXAMPLE,
)
@click.option("--debug", cls=Option, is_flag=True, help="Show what happens, and the traceback of an error.")
@click.version_option(installed_version("replank"), prog_name="replank")
def cli(debug: bool) -> None:
    """Halve an encoder's layers, export it to ONNX, quantize it, prove it right, serve it.

    Every stage reads a model folder and writes a new one, whose replank.json says how it was made and what was
    measured. Every option can also be set by a variable, named as it is typed: --max-drop of quantize by
    REPLANK_QUANTIZE_MAX_DROP, and --debug by REPLANK_DEBUG.
    """
    level = logging.INFO if is_first_process() else logging.ERROR
    configure_logging(logging.DEBUG if debug else level, FlagFormatter())
    if debug:
        _log.debug("%s", ", ".join(f"{name} {version}" for name, version in versions().items()))
        _log.debug("%s", machine())


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 usage, 3 a quality gate was missed, 130 interrupted."""
    code = _run(arguments)
    end_at_once()
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    """The exit code."""
    try:
        end_by_exception()
        _mend_streams()
        result = cli.main(arguments, prog_name="replank", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, click.exceptions.Abort) as error:
        # click makes an Abort of a file's early end too.
        return _report(error.__cause__) if isinstance(error.__cause__, EOFError) else _interrupted(error)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except Exception as error:  # the one place where nothing may get past
        return _interrupted(error) if _is_interrupt(error) else _report(error)


def _mend_streams() -> None:
    """Have all three streams, also where a supervisor closed some, and none that an odd file name can break."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r+", encoding="utf-8"))  # noqa: SIM115
    if not is_first_process():
        # Of several processes one speaks, see also `cli`; an error is everybody's own.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _report(error: Exception) -> int:
    """Say what is wrong, and give the exit code."""
    for origin in _origins(error):
        # Also what is left out of a message on purpose, as by `raise ... from None`.
        origin.__suppress_context__ = False
    _log.debug(WHERE, exc_info=error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        error = missing_extra(error.name.partition(".")[0])
    if _is_disk_full(error):
        _say("the disk is full", "free some space and run the same command again")
    elif isinstance(error, ReplankError):
        _say(error.message, error.hint)
        return error.exit_code
    elif isinstance(error, click.ClickException):
        _say(error.format_message(), _usage_hint(error))
        return error.exit_code
    elif isinstance(error, BrokenPipeError):
        pass
    elif isinstance(error, OSError):
        _say(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), None)
    else:
        _say(f"unexpected {type(error).__name__}: {error}", "replank --debug COMMAND … shows the traceback")
    return 1


def _is_interrupt(error: BaseException) -> bool:
    """Whether an interruption is at the bottom of an error, as where a library was just being imported."""
    return any(isinstance(origin, KeyboardInterrupt) for origin in _origins(error))


def _is_disk_full(error: BaseException) -> bool:
    """Whether a full disk is at the bottom of an error, as Python or as torch's writer of checkpoints says it."""
    signs = ("No space left on device", "PytorchStreamWriter", "unexpected pos")
    return any(
        getattr(origin, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(sign in str(origin) for sign in signs)
        for origin in _origins(error)
    )


def _origins(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _usage_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    parameter = getattr(error, "param", None)
    if context is None:
        return None
    if parameter and (variable := variable_behind(parameter.name, context)):
        return came_from(variable)
    return f"{context.command_path} --help"


def _say(message: str, hint: str | None) -> None:
    """One line each, whatever a library put into its message."""
    lines = [f"error: {message}", *([f"hint: {hint}"] if hint else [])]
    for line in lines:
        sys.stderr.write(re.sub(r"\s*\n\s*", " ", line.strip())[:_LONGEST_LINE] + "\n")


def _interrupted(error: BaseException) -> int:
    """Say so, with what the command noted of it, and give the exit code."""
    notes = [note for origin in _origins(error) for note in getattr(origin, "__notes__", ())]
    sys.stderr.write("; ".join([INTERRUPTED, *notes]) + "\n")
    return INTERRUPTED_CODE
