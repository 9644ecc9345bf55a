"""The request and response bodies of the route that asks a knowledge graph, as `/docs` shows them."""

from __future__ import annotations

from pydantic import BaseModel, Field

from replank_serve.routes.schema import ModelName, Text


class RelationsRequest(BaseModel, strict=True):
    """A question to the knowledge graph: two of its three parts are named, one is `?`."""

    model: ModelName = None
    head: Text = Field("?", description="The name or identifier of an entity, or `?`.")
    relation: Text = Field("?", description="The name or identifier of a relation, or `?`.")
    tail: Text = Field("?", description="The name or identifier of an entity, or `?`.")
    top: int = Field(10, ge=1, le=1000, description="The number of answers to return.")


class RankedTripleBody(BaseModel):
    """A candidate."""

    head: str
    relation: str
    tail: str
    score: float = Field(description="The probability that it is right, by its best path.")
    known: bool = Field(description="Whether the graph holds it.")
    path: list[list[str]] = Field(description="Head, relation and tail of each edge of the path that spoke for it.")


class RelationsBody(BaseModel):
    """The candidates, the likeliest first."""

    answers: list[RankedTripleBody]
