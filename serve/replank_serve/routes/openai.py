"""``POST /v1/embeddings`` in OpenAI's shape, which its clients and many others speak.

https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
from typing import Any, Literal

import numpy as np
from fastapi import FastAPI, Request, Response

from replank.runtime.predictors import Logits
from replank.system.errors import UsageError
from replank_serve.routes.answered import as_read
from replank_serve.routes.contents import text_vectors
from replank_serve.routes.openai_schema import EmbeddingsBody, EmbeddingsRequest
from replank_serve.routes.openapi import described_body, post
from replank_serve.routes.request_parsing import (
    as_inputs,
    expected_inputs,
    ignored_fields,
    model_named,
    read_body_as,
    require_few,
)
from replank_serve.routes.service import InferenceService, answer


def add_openai(app: FastAPI, service: InferenceService) -> None:
    """Add ``/v1/embeddings``."""
    examples = {
        "one": {"summary": "One text", "value": {"input": "A moving and funny film."}},
        "many": {"summary": "Several", "value": {"input": ["A moving and funny film.", "A dull one."]}},
    }

    @post(
        app,
        "/v1/embeddings",
        summary="Turn texts into vectors, in OpenAI's shape",
        description="Vectors as the model makes them: its own pooling, normalization and default prompt. With base64, "
        "a vector is its 32-bit numbers, the least significant byte first.",
        openapi_extra=described_body(EmbeddingsRequest, examples),
        response_description="vectors",
        response_model=EmbeddingsBody,
    )
    async def embeddings(request: Request) -> Response:
        values, deadline = await service.read(request)
        with service.models.get(model_named(values)).use() as loaded:
            task = loaded.model.task
            if not task.gives_vectors:
                raise UsageError(f"the model {loaded.name} {task.kind.serves}; POST {task.kind.route} asks it")
            require_few(values, service.config.max_texts, "input")
            body = read_body_as(EmbeddingsRequest, values, expected_inputs(task))
            inputs = as_inputs(body.input, task, service.config.max_texts)
            inference = await service.infer(request, loaded, as_read(inputs, task, body.prompt_name), deadline)
            vectors = text_vectors(inference.rows, task.vector_settings, dimensions=body.dimensions)
            tokens = sum(map(len, inference.tokens))
            content = {
                "object": "list",
                "data": _entries(vectors, body.encoding_format),
                "model": loaded.name,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
            return answer(content, loaded, inference, ignored_fields(EmbeddingsRequest, values))


def _entries(vectors: Logits, encoding: Literal["float", "base64"]) -> list[dict[str, Any]]:
    shown = [_base64(vector) for vector in vectors] if encoding == "base64" else vectors.tolist()
    return [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(shown)]


def _base64(vector: Logits) -> str:
    return base64.b64encode(vector.astype(np.dtype("<f4")).tobytes()).decode()
