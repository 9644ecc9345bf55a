"""The request and response bodies of the route that fills masks, as `/docs` shows them."""

from __future__ import annotations

from pydantic import BaseModel, Field

from replank_serve.routes.schema import InferenceRequest

DEFAULT_TOP = 5


class FillMaskRequest(InferenceRequest):
    """One text, or a list of them, with masks."""

    top: int = Field(DEFAULT_TOP, ge=1, le=1000, description="The number of tokens for each mask.")


class FillingBody(BaseModel):
    """A token in the place of a mask."""

    score: float = Field(description="Its probability there.")
    token: int = Field(description="Its id.")
    token_str: str
    sequence: str = Field(description="The text with it in place; other masks stay.")
