"""PyYAML with the numbers and booleans of YAML 1.2: ``1e-4`` is a number, and ``no`` a text."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BOOLEAN, _FLOAT, _INTEGER = (f"tag:yaml.org,2002:{name}" for name in ("bool", "float", "int"))


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """A safe loader, whose nodes tell numbers and booleans from texts by YAML 1.2's core schema."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_BOOLEAN, _FLOAT, _INTEGER)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


for _tag, _pattern, _first in (
    (_BOOLEAN, r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (_INTEGER, r"[-+]?[0-9]+", "-+0123456789"),
    (_FLOAT, r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def compose(text: str) -> yaml.Node | None:
    """The node of a document; ``None`` of an empty one.

    :raises yaml.YAMLError: the text is not YAML, or of several documents.
    """
    node: yaml.Node | None = yaml.compose(text, _Loader)
    return node


def plain_value(node: yaml.Node) -> Any:
    """The value of a node as YAML tells it.

    :raises yaml.YAMLError: a tag that is not YAML's own.
    """
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()
