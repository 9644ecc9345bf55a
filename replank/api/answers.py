"""What answers with a model: in this process, for a file, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from replank.api.sources import ModelLike, source_of
from replank.graphs.knowledge import KnowledgeGraph, RankedTriple
from replank.models.artifact import Artifact
from replank.models.source import Source
from replank.runtime.load import load_model
from replank.runtime.model import Model, require_rows
from replank.runtime.provider_choice import Auto
from replank.runtime.providers import Device

if TYPE_CHECKING:
    from replank.batch.job import BatchConfig
    from replank.batch.run import Runner
    from replank.batch.run import Summary as BatchSummary
    from replank_serve.http.config import ServeConfig
    from replank_serve.loadtest.config import LoadtestConfig
    from replank_serve.loadtest.result import LoadtestResult


def load(model: ModelLike, *, device: Device | Auto = "auto", threads: int | None = None) -> Model:
    """Load a model, to call ``predict``, ``tag``, ``embed`` or ``fill`` by its kind of task.

    >>> model = replank.load("int8")
    >>> model.predict(["a warm and lovely film"])[0].label
    'positive'

    :param model: a folder (ONNX or torch), a hub name, or an artifact.
    :param device: an execution provider; ``auto``: of those that run here, the fastest that gives the same answers,
        measured once and kept in the artifact.
    :param threads: threads of one operator; all available cores by default.
    :raises ModelError: the folder holds no model that can be loaded.
    :raises ArtifactError: a damaged artifact.
    :raises ProviderError: the device cannot run it; nothing runs elsewhere in silence.
    """
    return load_model(source_of(model), device=device, threads=threads)


def relate(
    model: ModelLike | Model,
    graph: str | Path | KnowledgeGraph,
    head: str,
    relation: str,
    tail: str,
    *,
    top: int = 10,
    device: Device | Auto = "cpu",
    threads: int | None = None,
) -> list[RankedTriple]:
    """Ask a knowledge graph: the likeliest candidates for what is open, each with the path that spoke for it.

    >>> [best, *others] = replank.relate("relations", "graph", "p0 0", "is a parent of", "?")
    >>> 0 < best.score < 1 and best.head == "p0 0"
    True

    :param model: of relation prediction; loaded before, if several questions follow.
    :param graph: a folder with train.txt; opened before (``replank.KnowledgeGraph.open``), likewise.
    :param head: a name or an identifier, or ``?`` for what is asked; ``relation`` and ``tail`` likewise.
    :raises DataError: the graph has no such entity (the message names the nearest), the model was never taught the
        relation, or no path leads anywhere.
    """
    from replank.runtime.relations import relate as ask

    loaded = model if isinstance(model, Model) else load(model, device=device, threads=threads)
    knowledge = graph if isinstance(graph, KnowledgeGraph) else KnowledgeGraph.open(graph)
    return ask(loaded, knowledge, head, relation, tail, top=top)


def predict_file(
    model: ModelLike,
    file: str | Path,
    out: str | Path,
    config: BatchConfig | None = None,
    *,
    runner: Runner | None = None,
    force: bool = False,
) -> BatchSummary:
    """Answer every row of a file (.csv, .tsv, .jsonl, .parquet) into another, in the same order, resumable.

    >>> replank.predict_file("int8", "texts.jsonl", "answers.csv").rows
    1

    Of a model that labels words, a row holds lists of words and of entities: as JSON in .csv and .parquet.

    :param runner: the place that it runs in; this process, on the CPU, by default.
    :raises DataError: the file cannot be read as texts; nothing was answered.
    """
    from replank.batch.run import predict_file as answer_file

    source = source_of(model)
    require_rows(source, "predict_file")
    return answer_file(source, Path(file).resolve(), Path(out), config, runner, force=force)


def serve(
    models: ModelLike | Mapping[str, ModelLike],
    config: ServeConfig | None = None,
    *,
    device: Device | Auto = "cpu",
    threads: int | None = None,
) -> None:
    """Serve models over HTTP until SIGTERM or SIGINT.

    >>> replank.serve({"old": "onnx", "new": "int8"}, replank.Serve(port=9000))

    :param models: by name, the first answers where a request names none; or just one.
    :raises ReplankError: the address is taken, or a model fails in its warm-up.
    """
    from replank_serve.http.config import ServeConfig
    from replank_serve.http.logs import log_to_stderr
    from replank_serve.server import run_server

    config = config or ServeConfig()
    # Loading warns too.
    log_to_stderr(log_requests=config.log_requests, json_logs=config.json_logs)
    named = models if isinstance(models, Mapping) else {_name(models): models}
    # No name for the models here: it would keep one in memory that is replaced later.
    run_server({name: load(model, device=device, threads=threads) for name, model in named.items()}, config)


def loadtest(config: LoadtestConfig, out: str | Path | None = None, *, force: bool = False) -> LoadtestResult:
    """Find the highest rate at which 99 of 100 requests are answered within a limit, by MLPerf's rules.

    >>> replank.loadtest(replank.Loadtest("http://localhost:8080", limit_ms=50)).server.rate
    310.5

    :param out: a folder that gets ``loadtest.json``, after each run, and ``loadtest.svg``.
    :raises QualityGateError: no rate holds the limit.
    """
    from replank_serve.loadtest.files import loadtest_into

    return loadtest_into(config, None if out is None else Path(out), force=force)


def _name(model: ModelLike) -> str:
    from replank_serve.models.loaded_model import name_for

    if isinstance(model, Source):
        return name_for(model.name)
    return name_for(str(model.path if isinstance(model, Artifact) else model))
