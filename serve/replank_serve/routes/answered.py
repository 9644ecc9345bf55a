"""From a request's values to a model's answer, for all routes that take texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from replank.runtime.masks import fill_masks, require_masks
from replank.runtime.predictors import Logits
from replank.runtime.tagging import tag_text
from replank.system.errors import UsageError
from replank.tasks.answers import Filling, TaggedText
from replank.tasks.kinds.kind import Route
from replank.tasks.task import Task
from replank_serve.engine.inference import Inference
from replank_serve.http.body import Deadline
from replank_serve.models.loaded_model import LoadedModel
from replank_serve.routes.contents import text_vectors
from replank_serve.routes.request_parsing import (
    Inputs,
    as_inputs,
    expected_inputs,
    ignored_fields,
    model_named,
    read_body_as,
    require_few,
)
from replank_serve.routes.schema import InferenceRequest, TextsRequest
from replank_serve.routes.service import InferenceService, answer


@dataclass(frozen=True)
class Answered:
    """A request with a model's answer.

    :param body: of the route's form.
    :param inputs: as in the request.
    :param ignored: fields of the request that mean nothing.
    """

    loaded: LoadedModel
    body: Any
    inputs: Inputs
    inference: Inference
    ignored: Sequence[str]

    def tagged(self) -> list[TaggedText]:
        """The labelled words of each text, for a task that labels words."""
        found = zip(self.inputs.first, self.inference.tokens, self.inference.rows, strict=True)
        return [tag_text(self.loaded.model.task, text, tokens, logits) for text, tokens, logits in found]

    def vectors(self) -> Logits:
        """The vector of each text, shape ``(texts, dimensions)``, as an :class:`EmbedRequest` asks for them."""
        asked = self.loaded.model.task.vector_settings.asked(self.body.pooling, self.body.normalize)
        return text_vectors(self.inference.rows, asked, dimensions=self.body.dimensions)

    def filled(self, top: int) -> list[list[list[Filling]]]:
        """The likeliest tokens of each mask of each text, for a masked language model.

        :raises UsageError: a text has no mask.
        """
        encoder, read = self.loaded.model.text_encoder, self.inference.tokens
        require_masks(encoder, read)
        pairs = zip(read, self.inference.rows, strict=True)
        return [fill_masks(encoder, tokens, logits, top) for tokens, logits in pairs]

    def response(self, contents: Sequence[Any], *, always_many: bool = False) -> Response:
        """The response.

        :param contents: one for each text or pair.
        :param always_many: a list also if the request is one text.
        """
        content = contents if always_many or self.inputs.many else contents[0]
        return answer(content, self.loaded, self.inference, self.ignored)


async def answered_on(
    service: InferenceService, request: Request, form: type[InferenceRequest], route: Route
) -> Answered:
    """The answer of the model that a request names.

    :param route: the route of the request.
    :raises UsageError: another route asks models of its kind.
    """
    values, deadline = await service.read(request)
    with service.models.get(model_named(values)).use() as loaded:
        kind = loaded.model.task.kind
        if kind.route != route:
            raise UsageError(f"the model {loaded.name} {kind.serves}; POST {kind.route} asks it")
        return await answered_by(loaded, service, request, form, values, deadline)


async def answered_by(
    loaded: LoadedModel,
    service: InferenceService,
    request: Request,
    form: type[InferenceRequest],
    values: dict[str, Any],
    deadline: Deadline,
) -> Answered:
    """A model's answer to a request.

    :raises ReplankError: the values do not have the form; see also :meth:`Engine.infer`.
    """
    task = loaded.model.task
    body, inputs = read_inputs(form, values, task, service.config.max_texts)
    inference = await service.infer(
        request, loaded, as_read(inputs, task, body.prompt_name), deadline, truncate=body.truncate is not False
    )
    return Answered(loaded, body, inputs, inference, ignored_fields(form, values))


def read_inputs(form: type[TextsRequest], values: dict[str, Any], task: Task, max_texts: int) -> tuple[Any, Inputs]:
    """The validated body of a request, and its inputs in the task's shape."""
    require_few(values, max_texts)
    body = read_body_as(form, values, expected_inputs(task))
    return body, as_inputs(body.inputs, task, max_texts)


def as_read(inputs: Inputs, task: Task, prompt_name: str | None) -> Inputs:
    """The inputs as the model reads them: after a prompt, if there is one.

    :raises UsageError: the model has no such prompt.
    """
    prompt = task.vector_settings.prompt(prompt_name)
    return Inputs([prompt + text for text in inputs.first], inputs.second, inputs.many) if prompt else inputs
