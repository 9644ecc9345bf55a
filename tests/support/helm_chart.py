"""Helm's chart rendered without Helm: the part of its templates' language that the chart keeps to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "deploy" / "helm"
_CONDITION = re.compile(r"{{- if (?P<negated>not )?(?P<path>[.\w]+) }}")
_VALUE = re.compile(r'{{ (required "(?P<message>[^"]+)" )?(?P<path>[.\w]+)(?P<as_json> \| toJson)? }}')


def render(name: str, **changes: Any) -> dict[str, Any]:
    """The chart's objects by their kinds, as ``helm template NAME deploy/helm --set …`` writes them.

    :param changes: values by their path, with ``__`` between: ``autoscaling__enabled=True``.
    :raises ValueError: a required value is empty, or a template is of another language than this.
    """
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = values
        for parent in parents:
            place = place[parent]
        place[last] = value
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    scope = {
        "Values": values,
        "Chart": {key[0].upper() + key[1:]: value for key, value in chart.items()},
        "Release": {"Name": name, "Service": "Helm"},
    }
    documents = [
        yaml.safe_load(_rendered(file.read_text(encoding="utf-8"), scope))
        for file in sorted((CHART / "templates").iterdir())
    ]
    return {document["kind"]: document for document in documents if document is not None}


def _rendered(template: str, scope: dict[str, Any]) -> str:
    lines, shown = [], [True]
    for line in template.splitlines():
        if condition := _CONDITION.fullmatch(line):
            shown.append(bool(_at(condition["path"], scope)) is not bool(condition["negated"]))
        elif line == "{{- end }}":
            shown.pop()
        elif all(shown):
            lines.append(_VALUE.sub(lambda match: _text(match, scope), line))
    text = "\n".join(lines)
    if "{{" in text or len(shown) != 1:
        raise ValueError(f"not rendered: {text}")
    return text


def _text(match: re.Match[str], scope: dict[str, Any]) -> str:
    value = _at(match["path"], scope)
    if match["message"] and value in (None, ""):
        raise ValueError(match["message"])
    return json.dumps(value) if match["as_json"] else str(value)


def _at(path: str, scope: dict[str, Any]) -> Any:
    value: Any = scope
    for name in path.removeprefix(".").split("."):
        value = value[name]
    return value
