"""``POST /zero-shot``: texts and labels that the model was not trained on, judged by natural language inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response

from replank.system.errors import TooLargeError, UsageError
from replank.tasks.answers import Score
from replank.tasks.entailment import Candidates, Entailment
from replank_serve.engine.inference import Inference
from replank_serve.http.body import Deadline
from replank_serve.models.loaded_model import LoadedModel
from replank_serve.routes.openapi import described_body, post
from replank_serve.routes.request_parsing import (
    Inputs,
    ignored_fields,
    model_named,
    read_body_as,
    require_few,
)
from replank_serve.routes.schema import ScoreBody
from replank_serve.routes.service import InferenceService, answer
from replank_serve.routes.zero_shot_schema import ZeroShotRequest


def add_zero_shot(app: FastAPI, service: InferenceService) -> None:
    """Add ``/zero-shot``."""
    text, labels = "The battery is empty after an hour.", ["complaint", "praise", "question"]
    one: dict[str, Any] = {"inputs": text, "candidate_labels": labels}
    more = {"inputs": [text, "Does it float?"], "multi_label": True, "hypothesis_template": "This is a {}."}
    examples = {
        "one": {"summary": "One label of several", "value": one},
        "many": {"summary": "Several texts, any number of labels", "value": one | more},
    }

    @post(
        app,
        "/zero-shot",
        summary="Classify texts by labels of the request",
        description="For models of natural language inference: how much each text entails the sentence that a label "
        "makes. One text is answered with its labels, the likeliest first; a list of texts with a list of such "
        "answers. One label holds, and the scores sum to 1; with `multi_label` each is judged for itself.",
        openapi_extra=described_body(ZeroShotRequest, examples),
        response_description="labels and scores",
        response_model=list[ScoreBody] | list[list[ScoreBody]],
    )
    async def zero_shot(request: Request) -> Response:
        values, deadline = await service.read(request)
        with service.models.get(model_named(values)).use() as loaded:
            texts, scores, inference = await judged(service, request, loaded, values, deadline)
            contents = scores if texts.many else scores[0]
            return answer(contents, loaded, inference, ignored_fields(ZeroShotRequest, values))


async def judged(
    service: InferenceService, request: Request, loaded: LoadedModel, values: dict[str, Any], deadline: Deadline
) -> tuple[Inputs, list[list[Score]], Inference]:
    """The texts of a request, the scores of its labels for each, and the model's answer to all pairs of both.

    :raises UsageError: the model judges no labels, or the values do not have the form of :class:`ZeroShotRequest`.
    :raises TooLargeError: there are too many texts, or pairs.
    """
    entailment = Entailment.of(loaded.model.task, loaded.name)
    require_few(values, service.config.max_texts)
    _require_few_pairs(values, service.config.max_passages)
    body = read_body_as(ZeroShotRequest, values, "a text, or a list of texts; and candidate_labels, a list of labels")
    texts = Inputs([body.inputs] if isinstance(body.inputs, str) else body.inputs, None, isinstance(body.inputs, list))
    if not texts.first:
        raise UsageError("inputs: the list is empty")
    candidates = Candidates(tuple(body.candidate_labels), body.hypothesis_template, body.multi_label)
    first, second = candidates.pairs(texts.first)
    inputs = Inputs(first, second, many=True)
    inference = await service.infer(request, loaded, inputs, deadline, truncate=body.truncate is not False)
    return texts, entailment.scores(candidates, inference.logits), inference


def _require_few_pairs(values: dict[str, Any], most: int) -> None:
    """Check the number of texts times labels before validation.

    :raises TooLargeError: there are too many.
    """
    counts = [
        len(value) if isinstance(value, Sequence) and not isinstance(value, str) else 1
        for value in (values.get("inputs"), values.get("candidate_labels"))
    ]
    if counts[0] * counts[1] > most:
        raise TooLargeError(
            f"candidate_labels: {counts[0]} texts with {counts[1]} labels each in one request; at most {most} pairs of "
            "both are allowed"
        )
