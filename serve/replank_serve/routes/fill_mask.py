"""``POST /fill-mask``: the likeliest tokens behind the masks of texts."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from replank_serve.routes.answered import answered_on
from replank_serve.routes.contents import filling_bodies
from replank_serve.routes.fill_mask_schema import FillingBody, FillMaskRequest
from replank_serve.routes.openapi import described_body, post
from replank_serve.routes.service import InferenceService


def add_fill_mask(app: FastAPI, service: InferenceService) -> None:
    """Add ``/fill-mask``."""
    text = "It was a [MASK] film."
    examples = {
        "one": {"summary": "One text", "value": {"inputs": text}},
        "many": {"summary": "Several, three tokens each", "value": {"inputs": [text, "[MASK] and [MASK]."], "top": 3}},
    }

    @post(
        app,
        "/fill-mask",
        summary="Fill the masks of texts",
        description="For masked language models. A text holds the tokenizer's mask, such as `[MASK]` or `<mask>`, once "
        "or more. It is answered with a list for each mask: the likeliest tokens there, as if it were the only one; a "
        "list of texts with a list of such answers.",
        openapi_extra=described_body(FillMaskRequest, examples),
        response_description="tokens and scores of each mask",
        response_model=list[list[FillingBody]] | list[list[list[FillingBody]]],
    )
    async def fill_mask(request: Request) -> Response:
        answered = await answered_on(service, request, FillMaskRequest, "/fill-mask")
        texts = answered.filled(answered.body.top)
        return answered.response([[filling_bodies(found) for found in masks] for masks in texts])
