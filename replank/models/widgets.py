"""Examples for the widget of a model's page on the hub: of anybody's, never of the data that it learned from."""

from __future__ import annotations

from typing import Any

from replank.tasks.task import Task

_TEXTS = ("The staff were friendly and the room was clean.", "It broke after two days, and nobody answers my letters.")
_ENTITIES = ("Ada Lovelace wrote to Charles Babbage from London.",)
_QUERY = "How long does a letter take?"
_PASSAGES = (
    "Letters within the country arrive on the next working day.",
    "The museum is closed on Mondays.",
    "Parcels may weigh up to 30 kilograms.",
)


def widget_examples(task: Task) -> list[dict[str, Any]] | None:
    """The examples for a kind of task; ``None`` where the hub has better ones or no widget."""
    match task.kind.pipeline:
        case "text-classification" if task.is_pair:
            return [{"text": _QUERY, "text_pair": passage} for passage in _PASSAGES[:2]]
        case "text-classification":
            return [{"text": text} for text in _TEXTS]
        case "token-classification":
            return [{"text": text} for text in _ENTITIES]
        case "sentence-similarity" | "feature-extraction" if task.gives_vectors:
            return [{"source_sentence": _QUERY, "sentences": list(_PASSAGES)}]
        case "text-ranking":
            return [{"source_sentence": _QUERY, "sentences": list(_PASSAGES)}]
    return None
