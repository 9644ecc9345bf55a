"""The types of command-line options, from the types of the settings that they are made of."""

from __future__ import annotations

import dataclasses
import functools
import json
import operator
import os
import types
from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import click

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def click_type(config: type[DataclassInstance], entry: Field[Any]) -> tuple[Any, bool]:
    """The type of an option's value, and whether it is given as often as there are values."""
    if variants := entry.metadata.get("variants"):
        return click.Choice(list(variants)), False
    annotation = _without_none(_type_hints(config)[entry.name])
    origin = get_origin(annotation)
    if choices := entry.metadata.get("choices"):
        return click.Choice(list(choices)), origin is tuple
    if origin is Literal:
        return click.Choice([str(value) for value in get_args(annotation)]), False
    if entry.metadata.get("has_commas"):
        return Names(), False
    if origin is tuple:
        item = _without_none(get_args(annotation)[0])
        if item is int:
            return Integers(), False
        return (click.Choice([str(v) for v in get_args(item)]) if get_origin(item) is Literal else item), True
    if annotation is Path:
        return click.Path(path_type=Path), False
    if origin in (Union, types.UnionType):
        return _union_type(get_args(annotation)), False
    return annotation, False


def _union_type(parts: tuple[Any, ...]) -> Any:
    if all(get_origin(part) is Literal for part in parts):
        return click.Choice([str(value) for part in parts for value in get_args(part)])
    if set(parts) == {Mapping[str, Any], Path}:
        return ObjectOrFile()
    if set(parts) == {str, os.PathLike[str]}:
        return click.Path(path_type=Path)
    if set(parts) == {str, Path}:
        return NameOrPath()
    raise TypeError(f"no option can be made for a value of {parts}")


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        parts = tuple(part for part in get_args(annotation) if part is not type(None))
        return functools.reduce(operator.or_, parts)
    return annotation


def _type_hints(config: type[DataclassInstance]) -> dict[str, Any]:
    """The fields' types, also those of the configurations of a field's variants."""
    hints = dict(get_type_hints(config))
    for entry in dataclasses.fields(config):
        for variant in (entry.metadata.get("variants") or {}).values():
            hints |= {name: hint for name, hint in get_type_hints(variant).items() if name not in hints}
    return hints


class Integers(click.ParamType[tuple[int, ...]]):
    """Whole numbers with commas between."""

    name = "numbers"

    def convert(self, value: Any, param: Any, context: Any) -> tuple[int, ...]:
        """A tuple stays as it is."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r}: expected whole numbers with commas between, such as 1,2,3,6", param, context)


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between, or ``@FILE`` with one a line."""

    name = "a,b,… or @file"

    def convert(self, value: Any, param: Any, context: Any) -> tuple[str, ...]:
        """A tuple stays as it is."""
        if isinstance(value, tuple):
            return value
        if not str(value).startswith("@"):
            return tuple(name.strip() for name in str(value).split(","))
        try:
            content = Path(str(value)[1:]).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{value!r} cannot be read: {error}", param, context)
        return tuple(line.removesuffix("\r") for line in content.split("\n") if line.strip())


class ObjectOrFile(click.ParamType[dict[str, Any] | Path]):
    """An object in JSON, or the file of one."""

    name = "file or {json}"

    def convert(self, value: Any, param: Any, context: Any) -> dict[str, Any] | Path:
        """An object or a path stays as it is."""
        if isinstance(value, (dict, Path)):
            return value
        if not str(value).lstrip().startswith("{"):
            return Path(str(value))
        try:
            found: dict[str, Any] = json.loads(str(value))
        except ValueError as error:
            self.fail(f"{value!r} is no JSON: {error}", param, context)
        return found


class NameOrPath(click.ParamType[str | Path]):
    """A hub name, or a folder, of which a manifest keeps the name only."""

    name = "model"

    def convert(self, value: Any, param: Any, context: Any) -> str | Path:
        """A path where there is one."""
        return Path(value) if Path(value).exists() else str(value)
