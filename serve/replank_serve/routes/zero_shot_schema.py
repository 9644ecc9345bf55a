"""The request body of the route that judges labels of the request, as `/docs` shows it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from replank.tasks.entailment import DEFAULT_TEMPLATE
from replank_serve.routes.schema import ModelName, Text


class ZeroShotRequest(BaseModel, strict=True):
    """Texts, and labels that the model was not trained on; unknown fields are ignored."""

    inputs: Text | list[Text] = Field(description="A text, or a list of texts.")
    candidate_labels: list[Text] = Field(description="The labels to judge.")
    hypothesis_template: Text = Field(DEFAULT_TEMPLATE, description="A sentence; each label takes the place of `{}`.")
    multi_label: bool = Field(False, description="Whether any number of labels may hold, each from 0.5 on.")
    model: ModelName = None
    truncate: bool | None = Field(None, description="False refuses texts that are too long; by default they are cut.")
    truncation_direction: Literal["right", "Right"] = Field("right", description="Texts are cut at their end.")
