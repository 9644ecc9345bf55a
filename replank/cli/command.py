"""Commands whose help is grouped under headings, and whose errors speak in their own flags."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import click

from replank.cli.rendering import in_flags
from replank.cli.variables import came_from, value_of, variable_behind, variable_of, warn_of_unknown_variables
from replank.system.errors import FieldError, ReplankError

_DEFAULT_HEADING = "Options"
# What is said where a command that goes on was interrupted.
GOES_ON = "the same command goes on where it stopped"


class Option(click.Option):
    """An option that stands under a heading of the help.

    :param heading: such as ``"Data"``.
    """

    def __init__(self, *arguments: Any, heading: str = _DEFAULT_HEADING, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.heading = heading

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The value of its variable, see :mod:`replank.cli.variables`."""
        variable = variable_of(self, ctx)
        return value_of(variable) if variable else None


class Command(click.Command):
    """One command.

    :param goes_on: whether it goes on where it stopped when it is run again, as its help says.
    """

    def __init__(self, *arguments: Any, goes_on: bool = False, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.goes_on = goes_on

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        warn_of_unknown_variables(ctx)
        try:
            return super().invoke(ctx)
        except ReplankError as error:
            error.message = in_flags(error.message, ctx)
            error.hint = error.hint and in_flags(error.hint, ctx)
            if isinstance(error, FieldError) and (variable := variable_behind(error.field, ctx)):
                error.hint = "; ".join(filter(None, (came_from(variable), error.hint)))
            raise
        except KeyboardInterrupt as interruption:
            if self.goes_on:
                interruption.add_note(GOES_ON)
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, heading by heading."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(parameter, "heading", _DEFAULT_HEADING), []).append(record)
        # The command's own options come first, whatever order they were declared in.
        for heading in sorted(sections, key=lambda name: name != _DEFAULT_HEADING):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])


def command(example: str, *, goes_on: bool = False) -> Callable[[Callable[..., None]], Command]:
    """A function as a command of its name.

    :param example: a line to type, which the help ends with.
    :param goes_on: see :class:`Command`.
    """

    def decorate(function: Callable[..., None]) -> Command:
        name = function.__name__.rstrip("_").replace("_", "-")
        epilog = f"\b\nExample:\n  {example}"
        made: Command = click.command(name, cls=Command, epilog=epilog, goes_on=goes_on)(function)
        return made

    return decorate


class FlagFormatter(logging.Formatter):
    """Log messages in the flags of the command that runs."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        return in_flags(super().format(record), click.get_current_context(silent=True))
