"""The lines that `predict` prints, for a person or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from replank.tasks.entailment import Candidates

if TYPE_CHECKING:
    from replank.runtime.model import Model
    from replank.tasks.answers import Prediction

# An answer is one line, whatever the text holds; and no text may command the terminal.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def ranking_shown(model: Model, query: str, passages: list[str], as_json: bool) -> Iterator[str]:
    """A line for each passage with its score, the best first; as JSON with its place among them too."""
    for found in model.rank(query, passages):
        text = passages[found.index]
        if as_json:
            yield json.dumps({"index": found.index, "score": found.score, "text": text})
        else:
            yield text_line(f"{found.score:.4f}", text)


def answers_shown(model: Model, batch: list[tuple[str, ...]], as_json: bool) -> Iterator[str]:
    """A line for each text: the label with its probability, or those that hold with theirs; or all of them as JSON."""
    texts: Any = [row if len(row) == 2 else row[0] for row in batch]
    return _show_predictions(batch, model.predict(texts), as_json, several=model.task.kind.is_multi_label)


def labels_shown(model: Model, candidates: Candidates, batch: list[tuple[str, ...]], as_json: bool) -> Iterator[str]:
    """Likewise, for labels that the model was not trained on."""
    answers = model.zero_shot(
        [text for (text,) in batch],
        candidates.labels,
        template=candidates.template,
        multi_label=candidates.multi_label,
    )
    return _show_predictions(batch, answers, as_json, several=candidates.multi_label)


def _show_predictions(
    batch: list[tuple[str, ...]], answers: Sequence[Prediction], as_json: bool, *, several: bool
) -> Iterator[str]:
    for row, answer in zip(batch, answers, strict=True):
        if as_json:
            shown = row[0] if len(row) == 1 else row
            decided = {"labels": answer.labels} if several else {"label": answer.label}
            yield json.dumps({"text": shown, **decided, "scores": answer.scores})
        elif several:
            held = (f"{answer.scores[label]:.4f}" for label in answer.labels)
            yield text_line(", ".join(answer.labels), ", ".join(held), *row)
        else:
            yield text_line(answer.label, f"{answer.score:.4f}", *row)


def words_shown(model: Model, batch: list[tuple[str, ...]], as_json: bool) -> Iterator[str]:
    """A line for each word with its label and probability, and an empty one after each text; or a text as JSON.

    JSON tells places in the text too, and the entities.
    """
    for (text,), tagged in zip(batch, model.tag([text for (text,) in batch]), strict=True):
        if as_json:
            words = [
                {"word": word.text, "start": word.start, "end": word.end, "label": word.label, "score": word.score}
                for word in tagged.words
            ]
            yield json.dumps({"text": text, "words": words, "entities": [asdict(found) for found in tagged.entities]})
            continue
        for word in tagged.words:
            yield text_line(word.text, word.label or "", "" if word.score is None else f"{word.score:.4f}")
        yield ""


def fillings_shown(model: Model, batch: list[tuple[str, ...]], as_json: bool, *, top: int) -> Iterator[str]:
    """A line for each token with its probability, and an empty one after each mask; or a text as JSON."""
    for (text,), masks in zip(batch, model.fill([text for (text,) in batch], top=top), strict=True):
        if as_json:
            yield json.dumps({"text": text, "masks": [[asdict(found) for found in mask] for mask in masks]})
            continue
        for mask in masks:
            for found in mask:
                yield text_line(found.text, f"{found.score:.4f}", found.sequence)
            yield ""


def vectors_shown(model: Model, batch: list[tuple[str, ...]], as_json: bool) -> Iterator[str]:
    """A JSON list for each text, or an object that names the text too."""
    for (text,), vector in zip(batch, model.embed([text for (text,) in batch]).tolist(), strict=True):
        yield json.dumps({"text": text, "vector": vector} if as_json else vector)


def text_line(*values: str) -> str:
    """One line, whatever the values hold, with tabs between them."""
    return "\t".join(_CONTROL.sub(" ", value) for value in values)
