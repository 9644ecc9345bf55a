"""The group of all commands, and how an error reaches a person: three lines at most, and an exit code."""

from __future__ import annotations

import errno
import logging
import sys
import traceback
from typing import Any, NoReturn

import click

from replank.cli import checks, stages, use
from replank.errors import ReplankError
from replank.extras import installed_version

_COMMANDS = (*use.CHAINS, *stages.COMMANDS, *checks.COMMANDS, *use.COMMANDS)
EXAMPLE = """\b
Example:
  replank quickstart demo
  replank run bert-base-uncased OUT --task sst2 --layers 6
  replank predict OUT/int8 "a moving and funny film"
"""


class _Group(click.Group):
    """Lists commands in the order of the chain, not of the alphabet."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_Group,
    commands=_COMMANDS,
    context_settings={
        "auto_envvar_prefix": "REPLANK",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
    epilog=EXAMPLE,
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(installed_version("replank"), prog_name="replank")
def cli(debug: bool) -> None:
    """Halve an encoder's layers, export it to ONNX, quantize it, prove it right, serve it.

    Every stage reads a model folder and writes a new one, whose replank.json says how it was made and what was
    measured. Options can also be set by variables named REPLANK_COMMAND_OPTION.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 usage, 3 a quality gate was missed, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        result = cli.main(arguments, prog_name="replank", standalone_mode=False)
        _exit(result if isinstance(result, int) else 0)
    except click.exceptions.Abort:
        _interrupted()
    except KeyboardInterrupt:
        _interrupted()
    except click.ClickException as error:
        error.show()
        _exit(error.exit_code)
    except Exception as error:  # the one place where nothing may get past
        if "--debug" in arguments:
            traceback.print_exc()
        _exit(_report(error))


def _report(error: Exception) -> int:
    """Say what is wrong, and give the exit code."""
    if isinstance(error, ReplankError):
        _say(error.message, error.hint)
        return error.exit_code
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
        _say("the disk is full; nothing was written", "free some space and run the same command again")
    elif isinstance(error, BrokenPipeError):
        return 1
    elif isinstance(error, OSError):
        _say(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), None)
    else:
        first = str(error).strip().split("\n")[0][:200]
        _say(f"unexpected {type(error).__name__}: {first}", "replank --debug COMMAND … shows the traceback")
    return 1


def _say(message: str, hint: str | None) -> None:
    lines = [f"error: {message}", *([f"hint: {hint}"] if hint else [])]
    sys.stderr.write("\n".join(line.encode("utf-8", "replace").decode() for line in lines) + "\n")


def _interrupted() -> NoReturn:
    sys.stderr.write("interrupted; the same command goes on where it can\n")
    _exit(130)


def _exit(code: Any) -> NoReturn:
    sys.exit(code)
