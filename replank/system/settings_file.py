"""Files of settings, in YAML or JSON, whose errors name the line and the key.

What a value is follows from the setting that it is for, not from YAML's guesses: ``no`` may be a label, and ``1e-4`` is
a number.
"""

from __future__ import annotations

import os
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from replank.system.errors import FieldError, UsageError
from replank.system.settings import settings_of

if TYPE_CHECKING:
    import yaml
    from _typeshed import DataclassInstance

_NOTHING = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class Entry:
    """A value of a file, with its place.

    :param key: the names that lead to it: ``data.max_length``; empty for the whole file.
    """

    file: Path
    key: str
    node: yaml.Node

    @property
    def line(self) -> int:
        """Its line, from 1."""
        return int(self.node.start_mark.line) + 1

    def error(self, problem: str, hint: str | None = None) -> UsageError:
        """The error that the value is wrong.

        :param problem: what is said of it: ``is 0; expected 1 or more``.
        """
        return UsageError(f"{self.file}, line {self.line}: {self.key or 'the file'} {problem}", hint=hint)

    def entries(self, known: Sequence[str]) -> dict[str, Entry]:
        """The values of an object by their names.

        :param known: the names that it may have.
        :raises UsageError: it is no object, or has another name, or one of them twice.
        """
        import yaml

        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"is {_shown(self.node)}; expected names with values, such as `{known[0]}: …`")
        found: dict[str, Entry] = {}
        for name_node, value in self.node.value:
            name = str(name_node.value)
            entry = Entry(self.file, f"{self.key}.{name}" if self.key else name, value)
            if name not in known:
                near = get_close_matches(name, known, n=1)
                raise Entry(self.file, entry.key, name_node).error(
                    "is no setting", hint=f"did you mean {near[0]}?" if near else f"expected {', '.join(known)}"
                )
            if name in found:
                raise Entry(self.file, entry.key, name_node).error(f"stands in line {found[name].line} already")
            found[name] = entry
        return found

    def items(self) -> list[Entry]:
        """The values of a list.

        :raises UsageError: it is none.
        """
        import yaml

        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(f"is {_shown(self.node)}; expected a list")
        return [Entry(self.file, f"{self.key}[{index}]", node) for index, node in enumerate(self.node.value)]

    def read(self, hint: Any) -> Any:
        """The value as one of a type: text, number, ``bool``, ``Literal``, path, tuple of them, or any or ``None``.

        A relative path is relative to the file's folder. What may be a name or a path is a path if it is there.

        :raises UsageError: it is of another type.
        """
        import yaml

        kinds = _kinds(hint)
        if kinds != {hint} and type(None) in get_args(hint) and _is_nothing(self.node):
            return None
        if len(kinds) == 1 and get_origin(kind := next(iter(kinds))) is tuple:
            return tuple(item.read(get_args(kind)[0]) for item in self.items())
        if isinstance(self.node, yaml.MappingNode) and any(get_origin(kind) is Mapping for kind in kinds):
            return self.plain()
        if not isinstance(self.node, yaml.ScalarNode) or _is_nothing(self.node):
            raise self.error(f"is {_shown(self.node)}; expected {_expected(kinds)}")
        return self._scalar(str(self.node.value), kinds)

    def plain(self) -> Any:
        """The value as YAML 1.2 tells it: a text, a number, an object, …

        :raises UsageError: a tag that is not YAML's own.
        """
        import yaml

        from replank.system.yaml_loader import plain_value

        try:
            return plain_value(self.node)
        except yaml.YAMLError:
            raise self.error("has a tag that is not YAML's own") from None

    def _scalar(self, text: str, kinds: set[Any]) -> Any:
        kinds = {kind for kind in kinds if get_origin(kind) is not Mapping}
        if kinds & {Path, os.PathLike[str]}:
            path = self.file.parent / text
            return text if kinds == {str, Path} and not path.exists() else path
        (kind,) = kinds
        if get_origin(kind) is Literal:
            value = {str(choice): choice for choice in get_args(kind)}.get(text)
        elif kind is bool:
            value = _BOOLEANS.get(text.lower())
        else:
            value = _number(text, kind) if kind in (int, float) else text
        if value is None:
            raise self.error(f"is {text}; expected {_expected(kinds)}")
        return value


def read_settings_file(path: Path) -> Entry:
    """A file of settings.

    :raises UsageError: it cannot be read, or is not YAML.
    """
    import yaml

    from replank.system.yaml_loader import compose

    try:
        text = path.read_text(encoding="utf-8-sig")
        # JSON may be indented by tabs, which YAML does not take; within its strings there are none.
        node = compose(text.expandtabs(1) if path.suffix == ".json" else text)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{path}{line}: {error.problem or error.context}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    if node is None:
        raise UsageError(f"{path} is empty")
    return Entry(path, "", node)


def typed_values(config: type[DataclassInstance], entries: Mapping[str, Entry]) -> dict[str, Any]:
    """The values of a configuration's settings, each of its type.

    :param entries: of these settings only.
    :raises UsageError: a value of another type.
    """
    hints = get_type_hints(config)
    return {name: entry.read(hints[name]) for name, entry in entries.items()}


def setting_names(config: type[DataclassInstance]) -> tuple[str, ...]:
    """The names of a configuration's settings."""
    return tuple(entry.name for entry in settings_of(config))


def is_path_setting(config: type[DataclassInstance], name: str) -> bool:
    """Whether the values of a setting are paths, and never names."""
    kinds = _kinds(get_type_hints(config)[name])
    return os.PathLike[str] in kinds or kinds == {Path}


@contextmanager
def values_of_file(file: Path, entries: Mapping[str, Entry]) -> Iterator[None]:
    """A block in which a configuration refuses values of a file: the error then says where they stand.

    :param entries: the values that came from the file, by the names of their settings.
    """
    try:
        yield
    except FieldError as error:
        entry = entries.get(error.field)
        if entry is None:
            raise
        raise entry.error(error.message.partition("` ")[2], error.hint) from None
    except UsageError as error:
        raise UsageError(f"{file}: {error.message}", hint=error.hint) from None


def _kinds(hint: Any) -> set[Any]:
    """The types that a value may have, but for ``None``."""
    kinds = set(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else {hint}
    return kinds - {type(None)}


def _is_nothing(node: yaml.Node) -> bool:
    import yaml

    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in _NOTHING


def _shown(node: yaml.Node) -> str:
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return "empty" if _is_nothing(node) else str(node.value)
    return "a list" if isinstance(node, yaml.SequenceNode) else "an object"


def _expected(kinds: set[Any]) -> str:
    if kinds & {Path, os.PathLike[str]}:
        return "a path"
    (kind,) = kinds
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    return {bool: "true or false", int: "an integer", float: "a number"}.get(kind, "a text")


def _number(text: str, kind: type[int | float]) -> int | float | None:
    """``None`` if it is no number; Python's own reading takes more, such as ``nan`` and ``1_000``."""
    pattern = r"[-+]?\d+" if kind is int else r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?"
    return kind(text) if re.fullmatch(pattern, text, re.ASCII) else None
