"""The command `predict`: answers to texts, or to a whole test split."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from replank.cli.command import command
from replank.cli.option_types import Names
from replank.cli.options import (
    FOLDER,
    data_options_without,
    device_options,
    file_option,
    json_option,
    option,
    print_json,
    required_data,
)
from replank.cli.predicted_lines import (
    answers_shown,
    fillings_shown,
    labels_shown,
    ranking_shown,
    text_line,
    vectors_shown,
    words_shown,
)
from replank.data.config import DataConfig
from replank.data.text_lines import parse_text_line
from replank.models.source import Source, open_source
from replank.system.errors import DataError, UsageError
from replank.tasks.entailment import DEFAULT_TEMPLATE, Candidates
from replank.tasks.kinds.kind import Route
from replank.text.unicode import without_lone_surrogates

if TYPE_CHECKING:
    from replank.runtime.model import Model

_STDIN_BATCH = 256
Shown = Callable[[list[tuple[str, ...]], bool], Iterator[str]]


@command('replank predict int8 "a moving and funny film"')
@click.argument("model")
@click.argument("texts", nargs=-1)
@option(
    "--glue", type=FOLDER, help="Folder for the leaderboard's files; needs --dataset, and --data if not from the hub."
)
@option("--graph", type=FOLDER, help="Folder of a knowledge graph: TEXTS are head, relation and tail, one of them ?.")
@option("--top", type=click.IntRange(1), help="Candidates to show, of a graph or for a mask. [default: 10; 5]")
@option("--query", help="Rank TEXTS, passages, for this query, by a model that gives a number for a pair.")
@option("--labels", type=Names(), help="Judge these labels, which a model of inference was not trained on.")
@option("--template", help=f"With --labels: a sentence, {{}} the place of a label. [default: {DEFAULT_TEMPLATE}]")
@option("--multi-label", is_flag=True, help="With --labels: any number of them may hold.")
@option("--pairs", is_flag=True, help="TEXTS are pairs; needed where a plain model folder does not tell.")
@data_options_without("labels")
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
    labels: tuple[str, ...] | None,
    template: str | None,
    multi_label: bool,
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
    With --labels a model of natural language inference says how much a text entails each, put into a sentence.
    A masked language model says which tokens fit each mask, [MASK] or <mask>, of a text.
    With --query, TEXTS are passages, of which the best for the query comes first.
    A model that labels words prints each on a line, as CoNLL's files do; one that gives vectors prints JSON lists. With
    --glue, the test split of a GLUE task is answered into the files that its leaderboard takes.
    """
    from replank import api

    if graph is not None:
        asked = api.load(open_source(model, file), device=device, threads=threads)
        _predict_relations(asked, graph, texts, top or 10, as_json)
        return
    if glue is not None:
        _predict_glue(open_source(model, file), glue, required_data(data), device, threads, as_json)
        return
    if data is not None:
        raise UsageError("predict takes data with `glue` only", hint="replank evaluate scores a model on data")
    if not texts and sys.stdin.isatty():
        raise UsageError("no text given", hint='replank predict MODEL "a text", or texts on stdin, one a line')
    candidates = _candidates(labels, template, multi_label)
    loaded = api.load(open_source(model, file), device=device, threads=threads)
    if query is not None:
        passages = [text for (text,) in (_arguments(texts, 1) if texts else _lines(1))]
        _write(ranking_shown(loaded, without_lone_surrogates(query), passages, as_json))
        return
    if pairs and not loaded.task.may_be_pair:
        raise UsageError(f"`pairs` with {model}, which takes single texts")
    width = 2 if (pairs or loaded.task.is_pair) and candidates is None else 1
    shown = _shown(loaded, candidates, top)
    for batch in _batches(_arguments(texts, width) if texts else _lines(width)):
        _write(shown(batch, as_json))


def _candidates(labels: tuple[str, ...] | None, template: str | None, multi_label: bool) -> Candidates | None:
    """The labels to judge, if there are some.

    :raises UsageError: settings of labels without any, or such that can be none.
    """
    if labels is not None:
        return Candidates(labels, DEFAULT_TEMPLATE if template is None else template, multi_label)
    if template is not None or multi_label:
        raise UsageError(f"`{'multi_label' if multi_label else 'template'}` needs `labels`", hint="add `labels=a,b,c`")
    return None


def _shown(model: Model, candidates: Candidates | None, top: int | None) -> Shown:
    """The function that makes lines of a batch of texts or pairs."""
    if candidates is not None:
        return partial(labels_shown, model, candidates)
    if top is not None and model.task.kind.route != "/fill-mask":
        raise UsageError("`top` needs `graph`, or a masked language model", hint="add `graph=FOLDER`")
    by_route: dict[Route, Shown] = {
        "/predict": partial(answers_shown, model),
        "/ner": partial(words_shown, model),
        "/embed": partial(vectors_shown, model),
        "/fill-mask": partial(fillings_shown, model, top=top or 5),
    }
    return by_route[model.task.kind.route]


def _write(lines: Iterator[str]) -> None:
    for line in lines:
        sys.stdout.buffer.write(line.encode() + b"\n")
    sys.stdout.buffer.flush()


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
            line = text_line(f"{found.score:.4f}", *triple, "known" if found.is_known else "new", path)
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
