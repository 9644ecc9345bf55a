"""Dataclasses from JSON values, with an error that names the value that does not fit, and JSON values from them."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_ADDED = "added"
_ABSENT = "_absent_keys"


def added(release: str) -> Any:
    """The default, ``None``, of a field that a release added: older files do not have its key.

    What was read without the key is written without it, so that the digest of an older file stays as it is.
    """
    return field(default=None, metadata={_ADDED: release})


def json_values(value: Any) -> Any:
    """JSON values as :func:`dataclass_from_json` reads them: of a dataclass an object, of a tuple a list.

    A field whose default is ``None`` has no key where it is ``None``, except one that was :func:`added`. A dataclass
    with a ``to_json`` of its own is written by it.
    """
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value) and not isinstance(value, type):
        return object_values(value)
    if isinstance(value, Mapping):
        return {key: json_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(item) for item in value]
    return value


def object_values(value: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON values, for a ``to_json`` that adds to them."""
    absent = getattr(value, _ABSENT, ())
    written = (
        entry
        for entry in fields(value)
        if getattr(value, entry.name) is not None
        or entry.default is not None
        or (_ADDED in entry.metadata and entry.name not in absent)
    )
    return {entry.name: json_values(getattr(value, entry.name)) for entry in written}


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
    for entry in fields(kind):  # type: ignore[arg-type]
        name = f"{place}.{entry.name}" if place else entry.name
        if entry.name in values:
            found[entry.name] = _read(hints[entry.name], values[entry.name], name)
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise ValueError(f"{name} is missing")
    read = kind(**found)
    if absent := {entry.name for entry in fields(kind) if _ADDED in entry.metadata} - values.keys():  # type: ignore[arg-type]
        object.__setattr__(read, _ABSENT, absent)
    return read


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
        # An integer is kept as one, so that it is written again as it was read.
        return _require(is_number, value, "a number", place)
    if hint is int:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return _require(is_integer, value, "an integer", place)
    return _require(
        isinstance(value, hint), value, {str: "a string", bool: "true or false"}.get(hint, f"a {hint.__name__}"), place
    )


def _require(fits: bool, value: Any, expected: str, place: str) -> Any:
    if not fits:
        raise ValueError(f"{place} is {_shown(value)}; expected {expected}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
