"""The dependencies that all routes share: models, settings and metrics, and the path from a request to an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request, Response

from replank.text.tokens import Tokens
from replank_serve.engine.inference import Inference
from replank_serve.http.body import Deadline, read_body
from replank_serve.http.config import ServeConfig
from replank_serve.http.connection import while_connected
from replank_serve.http.metrics import Metrics
from replank_serve.http.telemetry import record_inference
from replank_serve.models.loaded_model import LoadedModel
from replank_serve.models.registry import ModelRegistry
from replank_serve.routes.request_parsing import Inputs, read_json_object
from replank_serve.routes.tensor_body import (
    HEAD_LENGTH,
    TENSOR_TYPES,
    require_few_texts,
    split_body,
    with_binary_texts,
)

_FIELD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_MAX_IGNORED = 8


@dataclass(frozen=True)
class InferenceService:
    """One server's models, settings and metrics."""

    models: ModelRegistry
    config: ServeConfig
    metrics: Metrics

    async def read(self, request: Request) -> tuple[dict[str, Any], Deadline]:
        """The JSON object in a request's body, and the request's deadline.

        :raises ReplankError: see :func:`read_body` and :func:`read_json_object`.
        """
        deadline = Deadline(self.config.timeout_seconds)
        return read_json_object(await read_body(request, self.config.max_body_bytes, deadline)), deadline

    async def read_tensors(self, request: Request) -> tuple[dict[str, Any], Deadline]:
        """The JSON object in a request's body, with the texts of its binary tensors, and the request's deadline.

        :raises ReplankError: see :func:`read_body`, :func:`read_json_object` and :mod:`.tensor_body`.
        """
        deadline = Deadline(self.config.timeout_seconds)
        body = await read_body(request, self.config.max_body_bytes, deadline, TENSOR_TYPES)
        head, binary = split_body(body, request.headers.get(HEAD_LENGTH))
        values = read_json_object(head)
        require_few_texts(values, self.config.max_texts)
        return with_binary_texts(values, binary, self.config.max_texts), deadline

    async def infer(
        self, request: Request, loaded: LoadedModel, inputs: Inputs, deadline: Deadline, *, truncate: bool = True
    ) -> Inference:
        """A model's answer; cancelled when the client disconnects.

        :raises ReplankError: see :meth:`Engine.infer`.
        """
        work = loaded.engine.infer(inputs.first, inputs.second, timeout=deadline.left, truncate=truncate)
        inference = await while_connected(request, work)
        self.metrics.answered(loaded.name, inference)
        record_inference(loaded.name, inference)
        return inference

    async def tokenize(self, request: Request, loaded: LoadedModel, inputs: Inputs, deadline: Deadline) -> list[Tokens]:
        """The tokens that a model would read; cancelled when the client disconnects.

        :raises ReplankError: see :meth:`Engine.tokenize`.
        """
        work = loaded.engine.tokenize(inputs.first, inputs.second, timeout=deadline.left)
        return await while_connected(request, work)


class JsonAnswer(Response):
    """A JSON response whose headers are bytes already: Starlette takes longer to encode them than orjson the content.

    :param headers: besides the type and the length of the content.
    """

    def __init__(self, content: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.status_code, self.body, self.background = 200, content, None
        length = (b"content-length", b"%d" % len(content))
        self.raw_headers = [length, (b"content-type", b"application/json"), *headers]


def answer(content: Any, loaded: LoadedModel, inference: Inference, ignored: Sequence[str] = ()) -> Response:
    """A JSON response, with the model's name and the timings as headers.

    :param ignored: names of the request's fields that meant nothing, for a header.
    """
    headers = answer_headers(loaded, inference)
    # Clients chose the names: only those that are safe in a header.
    if names := [name for name in ignored if _FIELD_NAME.fullmatch(name)]:
        headers["x-ignored-fields"] = ", ".join(names[:_MAX_IGNORED])
    return JsonAnswer(orjson.dumps(content), [(name.encode(), value.encode()) for name, value in headers.items()])


def answer_headers(loaded: LoadedModel, inference: Inference) -> dict[str, str]:
    """The model's name, the timings in milliseconds, and how many texts were cut, if any was."""
    cut = sum(tokens.is_truncated for tokens in inference.tokens)
    return {
        "x-model": loaded.name,
        "x-tokenization-time": f"{inference.tokenization_ms:.3f}",
        "x-queue-time": f"{inference.queue_ms:.3f}",
        "x-inference-time": f"{inference.inference_ms:.3f}",
        "x-batch-size": str(inference.batch_size),
        "x-compute-tokens": str(sum(map(len, inference.tokens))),
        **({"x-truncated-texts": str(cut)} if cut else {}),
    }
