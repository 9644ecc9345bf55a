"""The route for questions to a knowledge graph."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import Any

from fastapi import FastAPI, Request, Response

from replank.graphs.knowledge import OPEN, Asked, KnowledgeGraph
from replank.runtime.relations import reasoning_of, right_probabilities
from replank_serve.engine.deadlines import past_deadline
from replank_serve.engine.inference import Inference
from replank_serve.http.body import Deadline
from replank_serve.http.connection import while_connected
from replank_serve.models.loaded_model import LoadedModel
from replank_serve.routes.openapi import described_body, post
from replank_serve.routes.relations_schema import RelationsBody, RelationsRequest
from replank_serve.routes.request_parsing import Inputs, ignored_fields, model_named, read_body_as
from replank_serve.routes.service import InferenceService, answer

# A question has more rows than a request may have texts: they go to the engine in parts, between which others run.
_ROWS_AT_ONCE = 32
_MOST_CANDIDATES = 100


def add_relations(app: FastAPI, service: InferenceService, knowledge: KnowledgeGraph) -> None:
    """Add ``/relations``."""
    triple = knowledge.graph.triple(0)
    example = {"head": triple.head, "relation": triple.relation, "tail": OPEN, "top": 5}

    @post(
        app,
        "/relations",
        summary="Ask the knowledge graph",
        description="Two of head, relation and tail by name or identifier; what is `?` is answered with candidates, "
        "the likeliest first, each with the path of the graph that spoke for it. Up to "
        f"{_MOST_CANDIDATES} candidates are judged, those with the most paths.",
        openapi_extra=described_body(RelationsRequest, {"tail": {"summary": "An open tail", "value": example}}),
        response_description="candidates and their paths",
        response_model=RelationsBody,
    )
    async def relations(request: Request) -> Response:
        values, deadline = await service.read(request)
        body = read_body_as(RelationsRequest, values)
        with service.models.get(model_named(values)).use() as loaded:
            reasoning = reasoning_of(loaded.model)
            # Paths are looked up in Python: away from the event loop.
            looked_up = asyncio.to_thread(
                knowledge.ask, reasoning, body.head, body.relation, body.tail, _MOST_CANDIDATES
            )
            try:
                async with asyncio.timeout(deadline.left):
                    asked = await while_connected(request, looked_up)
            except TimeoutError:
                raise past_deadline(deadline.seconds) from None
            inference = await _judge(service, request, loaded, asked, deadline)
            ranked = asked.ranked(right_probabilities(inference.logits), body.top)
        content = {"answers": [_body(asdict(triple)) for triple in ranked]}
        return answer(content, loaded, inference, ignored_fields(RelationsRequest, values))


async def _judge(
    service: InferenceService, request: Request, loaded: LoadedModel, asked: Asked, deadline: Deadline
) -> Inference:
    """A model's answer to all rows, as one."""
    parts: list[Inference] = []
    for start in range(0, len(asked.rows), _ROWS_AT_ONCE):
        rows = asked.rows[start : start + _ROWS_AT_ONCE]
        second = [row.context for row in rows] if loaded.model.task.is_pair else None
        inputs = Inputs([row.question for row in rows], second, many=True)
        parts.append(await service.infer(request, loaded, inputs, deadline))
    return replace(
        parts[-1],
        rows=[row for part in parts for row in part.rows],
        tokens=[tokens for part in parts for tokens in part.tokens],
        tokenization_ms=sum(part.tokenization_ms for part in parts),
        queue_ms=sum(part.queue_ms for part in parts),
        inference_ms=sum(part.inference_ms for part in parts),
        batch_size=max(part.batch_size for part in parts),
    )


def _body(triple: dict[str, Any]) -> dict[str, Any]:
    return {"known" if name == "is_known" else name: value for name, value in triple.items()}
