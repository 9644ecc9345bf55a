"""Messages of the core in the words of the command line."""

from __future__ import annotations

import re

import click

# `max_drop`, `force=True`, `task=regression`
_SETTING = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")


def in_flags(message: str, context: click.Context | None) -> str:
    """The message with each setting in backticks as it is typed: `max_drop` as --max-drop, `out` as OUT.

    :param context: of the command that was run; a setting that it has no option for stays as it is.
    """
    if context is None:
        return message
    # `device` is also the option --device of a setting that has another name, such as `devices`.
    parameters = {_typed_name(parameter): parameter for parameter in context.command.params}
    parameters |= {str(parameter.name): parameter for parameter in context.command.params}

    def typed(match: re.Match[str]) -> str:
        parameter = parameters.get(match[1])
        if isinstance(parameter, click.Argument):
            return parameter.human_readable_name if match[2] is None else match[2]
        if not isinstance(parameter, click.Option):
            return match[0].strip("`")
        flag = max(parameter.opts, key=len)
        value = (match[2] or "").strip("'\"")
        if parameter.is_flag:
            return parameter.secondary_opts[0] if value == "False" and parameter.secondary_opts else flag
        return f"{flag} {value}" if value else flag

    return _SETTING.sub(typed, message)


def _typed_name(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len).lstrip("-").replace("-", "_")
