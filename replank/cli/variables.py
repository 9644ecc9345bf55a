"""Variables of the environment that set options: ``REPLANK_QUANTIZE_MAX_DROP`` sets ``--max-drop`` of quantize."""

from __future__ import annotations

import logging
import os
import re
from difflib import get_close_matches

import click
from click.core import ParameterSource

_log = logging.getLogger(__name__)
# What Kubernetes sets in every container for every service in its namespace: of one that is named replank-serve,
# REPLANK_SERVE_PORT=tcp://10.0.0.1:8080, REPLANK_SERVE_SERVICE_HOST, REPLANK_SERVE_PORT_8080_TCP_ADDR and others.
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d+")
_SERVICE_NAME = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$")


def variable_of(option: click.Option, context: click.Context) -> str | None:
    """The variable that sets an option, named after the flag as it is typed; ``None`` outside of replank's commands."""
    prefix = context.auto_envvar_prefix
    return f"{prefix}_{max(option.opts, key=len).lstrip('-').replace('-', '_').upper()}" if prefix else None


def value_of(variable: str) -> str | None:
    """The value of a variable; ``None`` if it is empty, not set, or the address of a Kubernetes service."""
    value = os.environ.get(variable)
    if value and variable.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(value):
        _log.info("%s=%s is the address of a Kubernetes service and no setting: ignored", variable, value)
        return None
    return value or None


def variable_behind(name: str | None, context: click.Context) -> str | None:
    """The variable that the value of a parameter comes from; ``None`` if it comes from elsewhere.

    :param name: the parameter's Python name.
    """
    if name is None or context.get_parameter_source(name) is not ParameterSource.ENVIRONMENT:
        return None
    option = next(parameter for parameter in context.command.get_params(context) if parameter.name == name)
    return variable_of(option, context) if isinstance(option, click.Option) else None


def came_from(variable: str) -> str:
    """The hint for a wrong value that nobody typed."""
    return f"the value comes from the variable {variable}"


def warn_of_unknown_variables(context: click.Context) -> None:
    """Say which variables look like options of the command and are none, such as misspelt ones."""
    prefix = f"{context.auto_envvar_prefix}_"
    options = [option for option in context.command.get_params(context) if isinstance(option, click.Option)]
    known = [variable.removeprefix(prefix) for option in options if (variable := variable_of(option, context))]
    for variable in sorted(os.environ):
        name = variable.removeprefix(prefix)
        if name == variable or name in known or _SERVICE_NAME.search(f"_{name}"):
            continue
        near = get_close_matches(name, known, n=1)
        suggestion = f"; did you mean {prefix}{near[0]}?" if near else ""
        _log.warning("%s sets no option of %s%s", variable, context.command_path, suggestion)
