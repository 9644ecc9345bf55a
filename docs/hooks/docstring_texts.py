"""What mkdocstrings does not know of replank's docstrings: references, examples, and the help of settings."""

from __future__ import annotations

import ast
import re
from typing import Any

from griffe import Attribute, Docstring, Extension, Object, ObjectNode

_REFERENCE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`~?([^`]+)`")
# Examples end with an empty line.
_EXAMPLE = re.compile(r"(?:^>>> .*\n?)(?:^(?!\s*$).*\n?)*", re.MULTILINE)


class Docstrings(Extension):
    """Docstrings in the Markdown that they are shown as, and settings with their help as docstring."""

    def on_attribute_instance(self, *, node: ast.AST | ObjectNode, attr: Attribute, **_: Any) -> None:
        """Take help and default value from ``setting(...)``, see :mod:`replank.system.settings`."""
        call = getattr(node, "value", None)
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "setting"):
            return
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        text = named.get("help") or (call.args[1] if len(call.args) > 1 else None)
        if isinstance(text, ast.Constant):
            attr.docstring = Docstring(str(text.value), parent=attr, parser="sphinx")
        attr.value = ast.unparse(call.args[0]) if call.args else None
        if factory := named.get("default_factory"):
            attr.value = f"{ast.unparse(factory)}()"

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Turn references and examples of Sphinx's kind into code of Markdown's."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """A docstring in Markdown."""
    text = _REFERENCE.sub(r"`\1`", text)
    return _EXAMPLE.sub(lambda example: f"```pycon\n{example[0].rstrip()}\n```\n", text)
