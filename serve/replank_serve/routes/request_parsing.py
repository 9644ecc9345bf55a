"""Reading what a request asks: JSON to texts in the shape that the model's task takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from replank.system.errors import TooLargeError, UsageError
from replank.tasks.task import Task
from replank_serve.http.errors import MalformedError

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True)
class Texts:
    """The inputs of a request as the engine takes them.

    :param second: the second texts of pairs; ``None`` where the task takes single texts.
    :param many: whether the answer is a list of answers.
    """

    first: list[str]
    second: list[str] | None
    many: bool


def read_json_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request's body.

    :raises MalformedError: the body is not JSON.
    :raises UsageError: it is JSON, but no object.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the body is not JSON: {_reason(error)}") from None
    if not isinstance(values, dict):
        raise UsageError('the body must be a JSON object, such as {"inputs": …}')
    return values


def model_named(values: dict[str, Any]) -> str | None:
    """Which model a request asks; ``None`` where it leaves that open.

    :raises UsageError: its name is no text.
    """
    name = values.get("model")
    if name is not None and not isinstance(name, str):
        raise UsageError("model: expected the name of a model")
    return name


def read_body_as(form: type[Body], values: dict[str, Any], inputs: str = "a value of the described type") -> Body:
    """The values as a body of a kind.

    :param inputs: what ``inputs`` should have been, for the message.
    :raises UsageError: they are none; the message names the first wrong field and never its value.
    """
    try:
        return form.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
    field = str(problem["loc"][0]) if problem["loc"] else "body"
    if problem["type"] == "missing":
        raise UsageError(f"{field}: missing; expected {inputs}")
    if field == "inputs":
        raise UsageError(f"inputs: expected {inputs}")
    if problem["type"] == "extra_forbidden":
        raise UsageError(f"{field[:40]!r}: unknown field; a request has {' and '.join(form.model_fields)}")
    raise UsageError(f"{field}: {problem['msg']}")


def require_few(values: dict[str, Any], max_texts: int) -> None:
    """Count before anything is looked at: a body of the allowed size can hold half a million empty texts.

    :raises TooLargeError: the inputs are more than ``max_texts``, and more than the two of one pair.
    """
    if isinstance(values.get("inputs"), list) and len(values["inputs"]) > max(2, max_texts):
        raise _too_many(len(values["inputs"]), max_texts)


def as_texts(inputs: str | list[str] | list[list[str]], task: Task, max_texts: int) -> Texts:
    """Inputs as texts, or as pairs where the task compares two.

    :raises TooLargeError: more than ``max_texts`` texts or pairs.
    :raises UsageError: they are not of the task's shape.
    """
    rows, many = _rows(inputs, task)
    if len(rows) > max_texts:
        raise _too_many(len(rows), max_texts)
    return Texts([row[0] for row in rows], [row[1] for row in rows] if task.is_pair else None, many)


def expected_inputs(task: Task) -> str:
    """What the inputs of a task are, in words."""
    if task.is_pair:
        return f"a pair [{', '.join(task.columns)}] of two texts, or a list of such pairs"
    return "a text, or a list of texts"


def _rows(inputs: str | list[str] | list[list[str]], task: Task) -> tuple[list[list[str]], bool]:
    """Inputs as rows of one text, or of two for a pair task, and whether they were a list."""
    width = 2 if task.is_pair else 1
    if isinstance(inputs, str):
        rows, many = [[inputs]], False
    elif not inputs:
        raise UsageError("inputs: the list is empty")
    elif task.is_pair and len(inputs) == 2 and all(isinstance(text, str) for text in inputs):
        rows, many = [[str(text) for text in inputs]], False
    else:
        rows, many = [[text] if isinstance(text, str) else text for text in inputs], True
    for number, row in enumerate(rows):
        if len(row) != width:
            where = f"inputs[{number}]" if many else "inputs"
            got = "one text" if len(row) == 1 else f"{len(row)} texts"
            raise UsageError(f"{where}: got {got}; expected {expected_inputs(task)}")
    return rows, many


def _too_many(count: int, limit: int) -> TooLargeError:
    return TooLargeError(f"inputs: {count} texts or pairs in one request; at most {limit} are allowed")


def _reason(error: Exception) -> str:
    """Where the JSON breaks, without what stands there."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it is not UTF-8 or holds no JSON number"
