"""The command `predict`: answers to texts, or to a whole test split."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from replank.cli.command import command
from replank.cli.options import (
    FOLDER,
    data_options,
    device_options,
    file_option,
    json_option,
    option,
    print_json,
    required_data,
)
from replank.data.config import DataConfig
from replank.data.text_lines import parse_text_line
from replank.models.source import Source, open_source
from replank.system.errors import DataError, UsageError
from replank.text.unicode import without_lone_surrogates

if TYPE_CHECKING:
    from replank.runtime.model import Model

_STDIN_BATCH = 256
# An answer is one line, whatever the text holds; and no text may command the terminal.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@command('replank predict int8 "a moving and funny film"')
@click.argument("model")
@click.argument("texts", nargs=-1)
@option(
    "--glue", type=FOLDER, help="Folder for the leaderboard's files; needs --dataset, and --data if not from the hub."
)
@option("--graph", type=FOLDER, help="Folder of a knowledge graph: TEXTS are head, relation and tail, one of them ?.")
@option("--top", type=click.IntRange(1), help="Candidates to show; needs --graph. [default: 10]")
@option("--query", help="Rank TEXTS, passages, for this query, by a model that gives a number for a pair.")
@option("--pairs", is_flag=True, help="TEXTS are pairs; needed where a plain model folder does not tell.")
@data_options
@file_option
@device_options
@json_option
def predict(
    model: str,
    file: str | None,
    texts: tuple[str, ...],
    glue: Path | None,
    graph: Path | None,
    top: int | None,
    query: str | None,
    pairs: bool,
    data: DataConfig | None,
    device: Any,
    threads: int | None,
    as_json: bool,
) -> None:
    """Answer TEXTS, or the lines of stdin; of a pair task, arguments in twos, or a tab between the two.

    A line of stdin may also be JSON: a string, a list of two strings. --json prints one JSON object a line.
    A model of several labels a text prints all that hold, none of them as an empty field.
    With --graph a model of relation prediction ranks what is asked, and prints for each candidate its probability,
    whether the graph knows it, and the path that spoke for it: "Ann" "is a parent of" "?".
    With --query, TEXTS are passages, of which the best for the query comes first.
    A model that labels words prints each on a line, as CoNLL's files do; one that gives vectors prints JSON lists. With
    --glue, the test split of a GLUE task is answered into the files that its leaderboard takes.
    """
    from replank import api

    if graph is not None:
        asked = api.load(open_source(model, file), device=device, threads=threads)
        _predict_relations(asked, graph, texts, top or 10, as_json)
        return
    if top is not None:
        raise UsageError("`top` needs `graph`", hint="add `graph=FOLDER`")
    if glue is not None:
        _predict_glue(open_source(model, file), glue, required_data(data), device, threads, as_json)
        return
    if data is not None:
        raise UsageError("predict takes data with `glue` only", hint="replank evaluate scores a model on data")
    if not texts and sys.stdin.isatty():
        raise UsageError("no text given", hint='replank predict MODEL "a text", or texts on stdin, one a line')
    loaded = api.load_served(open_source(model, file), device, threads)
    if query is not None:
        passages = [text for (text,) in (_arguments(texts, 1) if texts else _lines(1))]
        _write(_show_ranking(loaded, without_lone_surrogates(query), passages, as_json))
        return
    show = {"/predict": _show_answers, "/ner": _show_words, "/embed": _show_vectors}[loaded.task.kind.route or ""]
    if pairs and not loaded.task.may_be_pair:
        raise UsageError(f"`pairs` with {model}, which takes single texts")
    width = 2 if pairs or loaded.task.is_pair else 1
    for batch in _batches(_arguments(texts, width) if texts else _lines(width)):
        _write(show(loaded, batch, as_json))


def _write(lines: Iterator[str]) -> None:
    for line in lines:
        sys.stdout.buffer.write(line.encode() + b"\n")
    sys.stdout.buffer.flush()


def _show_ranking(model: Model, query: str, passages: list[str], as_json: bool) -> Iterator[str]:
    """A line for each passage with its score, the best first; as JSON with its place among them too."""
    for found in model.rank(query, passages):
        text = passages[found.index]
        if as_json:
            yield json.dumps({"index": found.index, "score": found.score, "text": text})
        else:
            yield _line(f"{found.score:.4f}", text)


def _show_answers(model: Model, batch: list[tuple[str, ...]], as_json: bool) -> Iterator[str]:
    """A line for each text: the label with its probability, or those that hold with theirs; or all of them as JSON."""
    texts: Any = [row if len(row) == 2 else row[0] for row in batch]
    several = model.task.kind.is_multi_label
    for row, answer in zip(batch, model.predict(texts), strict=True):
        if as_json:
            shown = row[0] if len(row) == 1 else row
            decided = {"labels": answer.labels} if several else {"label": answer.label}
            yield json.dumps({"text": shown, **decided, "scores": answer.scores})
        elif several:
            held = (f"{answer.scores[label]:.4f}" for label in answer.labels)
            yield _line(", ".join(answer.labels), ", ".join(held), *row)
        else:
            yield _line(answer.label, f"{answer.score:.4f}", *row)


def _show_words(model: Model, batch: list[tuple[str, ...]], as_json: bool) -> Iterator[str]:
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
            yield _line(word.text, word.label or "", "" if word.score is None else f"{word.score:.4f}")
        yield ""


def _show_vectors(model: Model, batch: list[tuple[str, ...]], as_json: bool) -> Iterator[str]:
    """A JSON list for each text, or an object that names the text too."""
    for (text,), vector in zip(batch, model.embed([text for (text,) in batch]).tolist(), strict=True):
        yield json.dumps({"text": text, "vector": vector} if as_json else vector)


def _line(*values: str) -> str:
    return "\t".join(_CONTROL.sub(" ", value) for value in values)


def _predict_relations(model: Model, graph: Path, texts: tuple[str, ...], top: int, as_json: bool) -> None:
    """A line for each candidate: its probability, the triple, whether it is known, and its path."""
    from replank.graphs.knowledge import KnowledgeGraph
    from replank.runtime.relations import relate

    if len(texts) != 3:
        raise UsageError(
            f"{len(texts)} texts with `graph`; expected head, relation and tail", hint='"Ann" "is a parent of" "?"'
        )
    asked = map(without_lone_surrogates, texts)
    for found in relate(model, KnowledgeGraph.open(graph), *asked, top=top):
        if as_json:
            line = json.dumps(asdict(found))
        else:
            path = " ".join(f"{' '.join(edge)};" for edge in found.path)
            triple = (found.head, found.relation, found.tail)
            line = _line(f"{found.score:.4f}", *triple, "known" if found.is_known else "new", path)
        sys.stdout.buffer.write(line.encode() + b"\n")


def _predict_glue(
    source: Source, folder: Path, config: DataConfig, device: Any, threads: int | None, as_json: bool
) -> None:
    from replank.runtime.evaluate import require_same_task
    from replank.runtime.leaderboard import write_predictions
    from replank.runtime.load import load_model
    from replank.system.progress import progress

    data = config.load(source.task)
    require_same_task(source.name, source.task, data)
    loaded = load_model(source, task=data.task, device=device, threads=threads)
    rows = sum(len(examples) for split, examples in data.splits.items() if split.startswith(("test", "ax")))
    with progress("predict", rows) as advance:
        written = write_predictions(loaded, data, folder, progress=advance)
    if as_json:
        print_json([str(path) for path in written])
    else:
        click.echo("\n".join(map(str, written)))


def _batches(rows: Iterator[tuple[str, ...]]) -> Iterator[list[tuple[str, ...]]]:
    """Rows in lists, so that a long stdin is answered as it comes and fits into memory."""
    batch: list[tuple[str, ...]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _STDIN_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _arguments(texts: tuple[str, ...], width: int) -> Iterator[tuple[str, ...]]:
    if len(texts) % width:
        raise UsageError(f"{len(texts)} texts for a task of pairs; expected them in twos")
    # What is not UTF-8 comes from the system as half characters.
    clean = tuple(map(without_lone_surrogates, texts))
    return (clean[start : start + width] for start in range(0, len(clean), width))


def _lines(width: int) -> Iterator[tuple[str, ...]]:
    for number, raw in enumerate(sys.stdin.buffer, 1):
        line = raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").rstrip("\r\n")
        row = parse_text_line(line, width)
        if len(row) != width:
            raise DataError(
                f"line {number} of stdin holds {len(row)} of the {width} texts that the task takes",
                hint='a pair is two texts with a tab between, or ["first", "second"]' if width == 2 else None,
            )
        yield row
