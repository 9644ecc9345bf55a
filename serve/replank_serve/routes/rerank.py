"""``POST /rerank``: passages in the order in which they fit a query.

In the shape of text-embeddings-inference, asked with ``texts``; or in that of Cohere and Jina, asked with
``documents``: their clients ask ``/v1/rerank`` and ``/v2/rerank``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response

from replank.runtime.predictors import Logits
from replank.system.errors import TooLargeError, UsageError
from replank.tasks.task import Task
from replank_serve.http.errors import SCOPE_REQUEST_ID
from replank_serve.models.loaded_model import LoadedModel
from replank_serve.routes.openapi import described_body, post
from replank_serve.routes.request_parsing import Inputs, ignored_fields, model_named, read_body_as
from replank_serve.routes.rerank_schema import DocumentsRequest, RankedBody, RankedDocumentsBody, RerankRequest
from replank_serve.routes.service import InferenceService, answer

_PATHS = ("/rerank", "/v1/rerank", "/v2/rerank")


def add_rerank(app: FastAPI, service: InferenceService) -> None:
    """Add ``/rerank``, ``/v1/rerank`` and ``/v2/rerank``."""
    query, passages = "Who wrote the first compiler?", ["It rains.", "Grace Hopper wrote a compiler."]
    examples = {
        "texts": {"summary": "text-embeddings-inference", "value": {"query": query, "texts": passages}},
        "documents": {"summary": "Cohere, Jina", "value": {"query": query, "documents": passages, "top_n": 1}},
    }

    async def rerank(request: Request) -> Response:
        values, deadline = await service.read(request)
        with service.models.get(model_named(values)).use() as loaded:
            _require_ranking(loaded)
            form: type[RerankRequest] | type[DocumentsRequest] = RerankRequest
            if "documents" in values:
                form = DocumentsRequest
            key = "texts" if form is RerankRequest else "documents"
            _require_passages(values, key, service.config.max_passages)
            body: Any = read_body_as(form, values, f"a query, and {key} to rank")
            texts = body.texts if form is RerankRequest else body.contents
            inputs = Inputs([body.query] * len(texts), texts, many=True)
            inference = await service.infer(request, loaded, inputs, deadline, truncate=body.truncate is not False)
            scores = _scores(loaded.model.task, inference.logits, raw=body.raw_scores)
            # Equal scores keep the request's order.
            order = sorted(range(len(texts)), key=lambda index: -scores[index])
            if form is RerankRequest:
                content: Any = _ranked(order, scores, texts if body.return_text else None)
            else:
                tokens = sum(map(len, inference.tokens))
                shown = texts if body.return_documents else None
                content = _documents(request, loaded, order[: body.top_n], scores, shown, tokens)
            return answer(content, loaded, inference, ignored_fields(form, values))

    for path in _PATHS:
        post(
            app,
            path,
            summary="Rank passages for a query",
            description="For rerankers, and other models that give a number for a pair. `texts` are answered with a "
            "list, `documents` with an object that has such a list as `results`; the best comes first.",
            openapi_extra=described_body(RerankRequest if path == "/rerank" else DocumentsRequest, examples),
            response_description="passages by score",
            response_model=list[RankedBody] | RankedDocumentsBody,
        )(rerank)


def _require_ranking(loaded: LoadedModel) -> None:
    task = loaded.model.task
    if not (task.kind.can_rank and task.may_be_pair):
        raise UsageError(
            f"the model {loaded.name} {task.kind.serves}, and ranks no passages; POST {task.kind.route} asks it"
        )


def _require_passages(values: dict[str, Any], key: str, most: int) -> None:
    """Check the number of passages before validation.

    :raises UsageError: there are none.
    :raises TooLargeError: there are too many.
    """
    passages = values.get(key)
    if isinstance(passages, list) and not passages:
        raise UsageError(f"{key}: the list is empty; a query needs passages")
    if isinstance(passages, list) and len(passages) > most:
        raise TooLargeError(f"{key}: {len(passages)} passages in one request; at most {most} are allowed")


def _scores(task: Task, logits: Logits, *, raw: bool) -> list[float]:
    """One number for each passage: the model's answer, or its logit."""
    if raw:
        return [float(row[0]) for row in logits]
    return [row[0].score for row in task.kind.scores(task.labels, logits)]


def _ranked(order: Sequence[int], scores: Sequence[float], texts: Sequence[str] | None) -> list[dict[str, Any]]:
    return [
        {"index": index, "score": scores[index]} | ({"text": texts[index]} if texts is not None else {})
        for index in order
    ]


def _documents(
    request: Request,
    loaded: LoadedModel,
    order: Sequence[int],
    scores: Sequence[float],
    texts: Sequence[str] | None,
    tokens: int,
) -> dict[str, Any]:
    return {
        "id": request.scope[SCOPE_REQUEST_ID],
        "model": loaded.name,
        "results": [
            {"index": index, "relevance_score": scores[index]}
            | ({"document": {"text": texts[index]}} if texts is not None else {})
            for index in order
        ],
        "usage": {"total_tokens": tokens},
    }
