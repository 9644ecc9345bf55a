"""The request and response bodies of the routes that rank passages, as `/docs` shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from replank_serve.routes.schema import ModelName, Text


class RerankRequest(BaseModel, strict=True):
    """A query and passages, as text-embeddings-inference takes them; unknown fields are ignored."""

    query: Text
    texts: list[Text]
    model: ModelName = None
    raw_scores: bool = Field(False, description="Logits instead of probabilities.")
    return_text: bool = Field(False, description="Repeat each passage in the answer.")
    truncate: bool | None = Field(None, description="False refuses texts that are too long; by default they are cut.")
    truncation_direction: Literal["right", "Right"] = Field("right", description="Texts are cut at their end.")


class Document(BaseModel, strict=True):
    """A passage as an object."""

    text: Text


class DocumentsRequest(BaseModel, strict=True):
    """A query and documents, as Cohere and Jina take them; unknown fields are ignored."""

    query: Text
    documents: list[Text | Document]
    model: ModelName = None
    top_n: int | None = Field(None, ge=1, description="The number of documents to return; all by default.")
    return_documents: bool = Field(False, description="Repeat each document in the answer.")
    raw_scores: bool = Field(False, description="Logits instead of probabilities.")
    truncate: bool | None = Field(None, description="False refuses texts that are too long; by default they are cut.")

    @property
    def contents(self) -> list[str]:
        """The text of each document."""
        return [document if isinstance(document, str) else document.text for document in self.documents]


class RankedBody(BaseModel):
    """A passage's place in the request, and its score."""

    index: int
    score: float
    text: str | None = Field(None, description="With `return_text` only.")


class RankedDocumentBody(BaseModel):
    """A document's place in the request, and its score."""

    index: int
    relevance_score: float
    document: Document | None = Field(None, description="With `return_documents` only.")


class RankedUsage(BaseModel):
    """The tokens that were read."""

    total_tokens: int


class RankedDocumentsBody(BaseModel):
    """Ranked documents, in the shape of Cohere and Jina."""

    id: str
    model: str
    results: list[RankedDocumentBody]
    usage: RankedUsage
