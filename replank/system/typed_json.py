"""Reading dataclasses from JSON values, with an error that names the value that does not fit."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def dataclass_from_json(kind: type[T], values: Any, place: str = "") -> T:
    """A dataclass from JSON values, as :func:`dataclasses.asdict` gives them; unknown keys are ignored.

    Fields may be numbers, strings, ``None``, ``Any``, ``Literal``, tuples, mappings with string keys, and dataclasses;
    a class with a ``from_json`` of its own is read by it.

    :param place: where the values stand, for messages: ``cells[3].ratio``.
    :raises ValueError: a value is missing, or of another type.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{place or 'the document'} is {_shown(values)}; expected an object")
    hints, found = get_type_hints(kind), {}
    for field in fields(kind):  # type: ignore[arg-type]
        name = f"{place}.{field.name}" if place else field.name
        if field.name in values:
            found[field.name] = _read(hints[field.name], values[field.name], name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{name} is missing")
    return kind(**found)


def _read(hint: Any, value: Any, place: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _read_union(arguments, value, place)
    if origin is tuple:
        return _read_tuple(arguments, value, place)
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            raise ValueError(f"{place} is {_shown(value)}; expected an object")
        return {key: _read(arguments[1], item, f"{place}.{key}") for key, item in value.items()}
    if origin is Literal:
        return _require(value in arguments, value, f"one of {', '.join(map(str, arguments))}", place)
    if hasattr(hint, "from_json"):
        return hint.from_json(value)
    if is_dataclass(hint):
        return dataclass_from_json(hint, value, place)  # type: ignore[arg-type]
    return _read_scalar(hint, value, place)


def _read_union(arguments: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    (other,) = (argument for argument in arguments if argument is not type(None))
    return _read(other, value, place)


def _read_tuple(arguments: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{place} is {_shown(value)}; expected a list")
    kinds = [arguments[0]] * len(value) if arguments[-1] is ... else list(arguments)
    if len(kinds) != len(value):
        raise ValueError(f"{place} has {len(value)} values; expected {len(kinds)}")
    return tuple(_read(kind, item, f"{place}[{index}]") for index, (kind, item) in enumerate(zip(kinds, value)))  # noqa: B905 - equal by now


def _read_scalar(hint: Any, value: Any, place: str) -> Any:
    if hint is float:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(_require(is_number, value, "a number", place))
    if hint is int:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return _require(is_integer, value, "an integer", place)
    return _require(isinstance(value, hint), value, {str: "a string", bool: "true or false"}[hint], place)


def _require(fits: bool, value: Any, expected: str, place: str) -> Any:
    if not fits:
        raise ValueError(f"{place} is {_shown(value)}; expected {expected}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
