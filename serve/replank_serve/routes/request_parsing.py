"""Parsing request bodies: from JSON to inputs in the shape that the model's task takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from replank.system.errors import TooLargeError, UsageError
from replank.tasks.task import Task
from replank_serve.http.errors import MalformedError

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True)
class Inputs:
    """The inputs of a request in the engine's shape.

    :param second: the second texts of pairs; ``None`` for single texts.
    :param many: whether the response is a list of answers.
    """

    first: list[str]
    second: list[str] | None
    many: bool


def read_json_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request's body.

    :raises MalformedError: the body is not JSON.
    :raises UsageError: it is JSON, but not an object.
    """
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError:
        values = _read_leniently(body)
    if not isinstance(values, dict):
        raise UsageError('the body must be a JSON object, such as {"inputs": …}')
    return values


def ignored_fields(form: type[BaseModel], values: dict[str, Any]) -> list[str]:
    """The fields of a request that mean nothing, in its order."""
    return [name for name in values if name not in form.model_fields]


def model_named(values: dict[str, Any]) -> str | None:
    """The name of the model in a request; ``None`` for the default.

    :raises UsageError: the name is not a string.
    """
    name = values.get("model")
    if name is not None and not isinstance(name, str):
        raise UsageError("model: expected the name of a model")
    return name


def read_body_as(form: type[Body], values: dict[str, Any], inputs: str = "a value of the described type") -> Body:
    """The validated body of a request.

    :param inputs: description of valid ``inputs``, for the message.
    :raises UsageError: it is not valid; the message names the first wrong field and never its value.
    """
    try:
        return form.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
    field = str(problem["loc"][0]) if problem["loc"] else "body"
    if problem["type"] == "missing":
        raise UsageError(f"{field}: missing; expected {inputs}")
    if field in ("inputs", "input"):
        raise UsageError(f"{field}: expected {inputs}")
    if problem["type"] == "extra_forbidden":
        raise UsageError(f"{field[:40]!r}: unknown field; a request has {' and '.join(form.model_fields)}")
    raise UsageError(f"{field}: {problem['msg']}")


def require_few(values: dict[str, Any], max_texts: int, key: str = "inputs") -> None:
    """Check the number of inputs before validation: a body within its limit can hold half a million empty texts.

    :raises TooLargeError: there are more than ``max_texts``, and more than the two of one pair.
    """
    if isinstance(values.get(key), list) and len(values[key]) > max(2, max_texts):
        raise too_many(len(values[key]), max_texts)


def as_inputs(inputs: str | list[str] | list[list[str]], task: Task, max_texts: int) -> Inputs:
    """The inputs as single texts, or as pairs for a task on pairs.

    :raises TooLargeError: more than ``max_texts`` texts or pairs.
    :raises UsageError: they do not have the task's shape.
    """
    rows, many = _rows(inputs, task)
    if len(rows) > max_texts:
        raise too_many(len(rows), max_texts)
    return Inputs([row[0] for row in rows], [row[1] for row in rows] if len(rows[0]) == 2 else None, many)


def expected_inputs(task: Task) -> str:
    """The description of a task's inputs."""
    if task.is_pair:
        return f"a pair [{', '.join(task.columns)}] of two texts, or a list of such pairs"
    return "a text, or a list of texts" + (" or of pairs [first, second]" if task.may_be_pair else "")


def too_many(count: int, limit: int) -> TooLargeError:
    """The error of a request with more inputs than the limit."""
    return TooLargeError(f"inputs: {count} texts or pairs in one request; at most {limit} are allowed")


def _rows(inputs: str | list[str] | list[list[str]], task: Task) -> tuple[list[list[str]], bool]:
    """The inputs as rows of one text, or two for pairs, and whether they were a list."""
    if isinstance(inputs, str):
        rows, many = [[inputs]], False
    elif not inputs:
        raise UsageError("inputs: the list is empty")
    elif task.is_pair and len(inputs) == 2 and all(isinstance(text, str) for text in inputs):
        rows, many = [[str(text) for text in inputs]], False
    else:
        rows, many = [[text] if isinstance(text, str) else text for text in inputs], True
    # Where a plain model folder does not tell, a list of two texts in the list is a pair.
    width = 2 if task.is_pair or (task.may_be_pair and len(rows[0]) == 2) else 1
    for number, row in enumerate(rows):
        if len(row) != width:
            where = f"inputs[{number}]" if many else "inputs"
            got = "one text" if len(row) == 1 else f"{len(row)} texts"
            raise UsageError(f"{where}: got {got}; expected {expected_inputs(task)}")
    return rows, many


def _read_leniently(body: bytes) -> Any:
    """What orjson refuses and Python does not, such as lone surrogates, which clients that cut texts in two do send.

    :raises MalformedError: the body is not JSON; where and why.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the body is not JSON: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """The position of a JSON error, without the text there."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it is not UTF-8 or holds no JSON number"
