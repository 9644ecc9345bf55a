"""The bodies of requests and answers: what is accepted, and how a request's inputs are read for a task."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from replank.errors import ReplankError, TooLargeError, UsageError
from replank.providers import Device
from replank.tasks import Kind, Task
from replank.text import without_lone_surrogates


class MalformedError(ReplankError):
    """A request body that is no JSON."""

    http_status = 400


def _without_lone_surrogates(value: object) -> object:
    """JSON can spell half a character, and clients that cut texts in two do send it; it becomes U+FFFD."""
    return without_lone_surrogates(value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_without_lone_surrogates)]


class PredictRequest(BaseModel):
    """One text or pair, or a list of them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    inputs: Text | list[Text] | list[Annotated[list[Text], Field(max_length=2)]] = Field(
        description="A text, or a list of texts; where the task compares two texts, a pair `[first, second]` "
        "or a list of pairs."
    )
    top: int | None = Field(None, ge=1, description="How many labels to answer with; all by default.")


class ScoreBody(BaseModel):
    """One label and its probability; of a regression task the number, under the label `value`."""

    label: str
    score: float


class ErrorBody(BaseModel):
    """Every answer that is not a success."""

    error: str
    error_type: str
    request_id: str


class StatusBody(BaseModel):
    """The answer of a probe."""

    status: str


class TaskInfo(BaseModel):
    """What the model was made for."""

    name: str
    kind: Kind
    labels: list[str]
    columns: list[str]
    is_pair: bool


class Limits(BaseModel):
    """What one request may ask for, and how much may wait."""

    max_texts: int
    max_body_bytes: int
    max_batch: int
    max_queue: int
    timeout_seconds: float


class Info(BaseModel):
    """The model, the task and the limits of this server."""

    model: str
    digest: str | None = Field(description="sha256 of the artifact's manifest; null for a plain model folder.")
    kind: Literal["torch", "onnx"]
    precision: str
    layers: int
    device: Device
    provider: str | None = Field(description="ONNX Runtime's name of the execution provider; null for a torch model.")
    arithmetic: str = Field(description="What the numbers are computed in; that of the weights is precision.")
    max_length: int = Field(description="Tokens; longer texts are truncated.")
    task: TaskInfo
    quality: dict[str, float] | None = Field(description="Metrics as measured on this model, as fractions.")
    limits: Limits
    versions: dict[str, str]


@dataclass(frozen=True)
class Question:
    """A request as the engine takes it.

    :param second: the second texts of pairs; ``None`` where the task takes single texts.
    :param many: whether the answer is a list of answers.
    :param top: labels of each answer; ``None`` for all.
    """

    first: list[str]
    second: list[str] | None
    many: bool
    top: int | None


def read_question(body: bytes, task: Task, max_texts: int) -> Question:
    """Read the body of a request for a task.

    :raises MalformedError: the body is not JSON.
    :raises TooLargeError: more than ``max_texts`` texts or pairs.
    :raises UsageError: JSON that is no :class:`PredictRequest`, or inputs that are not of the task's shape.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the body is not JSON: {_reason(error)}") from None
    if not isinstance(values, dict):
        raise UsageError('the body must be a JSON object: {"inputs": …}')
    # Counted before anything is looked at: a body of the allowed size can hold half a million empty texts.
    if isinstance(values.get("inputs"), list) and len(values["inputs"]) > max(2, max_texts):
        raise _too_many(len(values["inputs"]), max_texts)
    try:
        request = PredictRequest.model_validate(values)
    except ValidationError as error:
        raise UsageError(_first_problem(error, task)) from None
    rows, many = _rows(request.inputs, task)
    if len(rows) > max_texts:
        raise _too_many(len(rows), max_texts)
    second = [row[1] for row in rows] if task.is_pair else None
    return Question([row[0] for row in rows], second, many, request.top)


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
            raise UsageError(f"{where}: got {_texts(len(row))}; expected {_expected(task)}")
    return rows, many


def _first_problem(error: ValidationError, task: Task) -> str:
    """One sentence, without the value: texts do not belong into answers or logs."""
    problem = error.errors(include_input=False, include_url=False)[0]
    field = str(problem["loc"][0]) if problem["loc"] else "body"
    if problem["type"] == "missing":
        return f"{field}: missing; expected {_expected(task)}"
    if field == "inputs":
        return f"inputs: expected {_expected(task)}"
    if problem["type"] == "extra_forbidden":
        return f"{field[:40]!r}: unknown field; a request has inputs and top"
    return f"{field}: {problem['msg']}"


def _expected(task: Task) -> str:
    if task.is_pair:
        return f"a pair [{', '.join(task.columns)}] of two texts, or a list of such pairs"
    return "a text, or a list of texts"


def _texts(count: int) -> str:
    return "one text" if count == 1 else f"{count} texts"


def _too_many(count: int, limit: int) -> TooLargeError:
    return TooLargeError(f"inputs: {count} texts or pairs in one request; at most {limit} are allowed")


def _reason(error: Exception) -> str:
    """Where the JSON breaks, without what stands there."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it is not UTF-8 or holds no JSON number"
