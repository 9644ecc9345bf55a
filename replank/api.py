"""The Python interface: one function for each command. A stage is imported when its function is called.

The examples take models from folders named encoder, predecessor, successor, onnx and int8, and ``data`` from

    data = replank.Data(dataset="sst2")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.facts import Quality
from replank.models.source import Source, open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model, require_rows, require_served
from replank.runtime.provider_choice import Auto
from replank.runtime.providers import Device
from replank.system.errors import UsageError
from replank.system.progress import progress
from replank.tasks.glue import GLUE

if TYPE_CHECKING:
    from replank.batch.job import BatchConfig
    from replank.batch.run import Runner
    from replank.batch.run import Summary as BatchSummary
    from replank.benchmarking.config import BenchmarkConfig
    from replank.benchmarking.result import Benchmark
    from replank.benchmarking.summary import Summary
    from replank.chain.budget import Budget
    from replank.chain.plan import RunConfig
    from replank.chain.search_plan import SearchConfig
    from replank.chain.search_result import SearchResult
    from replank.resampling.compare import PairedComparison
    from replank.runtime.doctor import Check
    from replank.runtime.evaluate import RowAnswers
    from replank_compress.methods.config import SuccessorConfig
    from replank_compress.training.config import FinetuneConfig
    from replank_export.convert import ExportConfig
    from replank_export.int8.config import Int8Config
    from replank_export.triton import TritonConfig
    from replank_export.verify.comparison import Comparison
    from replank_serve.http.config import ServeConfig
    from replank_serve.loadtest.config import LoadtestConfig
    from replank_serve.loadtest.result import LoadtestResult

# A model folder, a hub name, or an artifact that a stage returned.
ModelLike = str | Path | Artifact


def load(model: ModelLike, *, device: Device | Auto = "auto", threads: int | None = None) -> Model:
    """Load a model, to call ``predict``, ``tag`` or ``embed`` by its kind of task.

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
    return load_model(_source(model), device=device, threads=threads)


def finetune(
    encoder: ModelLike,
    out: str | Path,
    config: FinetuneConfig | None = None,
    *,
    data: DataConfig,
    force: bool = False,
) -> Artifact:
    """Fine-tune an encoder on a task.

    >>> predecessor = replank.finetune("encoder", "out", replank.Finetune(epochs=2), data=data)

    :param encoder: with or without a head; a head of another size gives way to a new one.
    :param out: the new artifact's folder. Called again after an interruption, training resumes.
    :param force: replace an artifact that lies there.
    :raises ReplankError: nothing was written, and what was there is as it was.
    """
    from replank_compress.finetune import finetune as stage
    from replank_compress.training.config import FinetuneConfig

    return stage(_source(encoder), Path(out), config or FinetuneConfig(), data, force=force)


def compress(
    predecessor: ModelLike,
    out: str | Path,
    config: SuccessorConfig | None = None,
    *,
    data: DataConfig | None = None,
    force: bool = False,
) -> Artifact:
    """Make a successor of fewer layers.

    >>> successor = replank.compress("predecessor", "out", replank.Theseus(layers=2, epochs=2), data=data)

    :param predecessor: a fine-tuned model.
    :param data: of a model that was made for a GLUE data set, that data set by default.
    :param config: its type is the method: ``Theseus`` (the default, half the layers), ``Truncate``, ``Kd``, ``Pkd``.
    :param out: the new artifact's folder. Called again after an interruption, training resumes.
    :param force: replace an artifact that lies there.
    :raises ReplankError: nothing was written, and what was there is as it was.
    """
    from replank_compress.methods.theseus import TheseusConfig
    from replank_compress.successor import compress as stage

    source = _source(predecessor)
    return stage(source, Path(out), config or TheseusConfig(), data or _own_data(source), force=force)


def export(
    model: ModelLike,
    out: str | Path,
    config: ExportConfig | None = None,
    *,
    data: DataConfig | None = None,
    force: bool = False,
) -> Artifact:
    """Export a torch model to a fused ONNX graph, compared with torch under every kind of padding.

    >>> onnx = replank.export("successor", "out", data=data)

    :param data: real texts to compare on and to measure the quality on; without it, random tokens are compared.
    :raises QualityGateError: the graph gives other numbers than torch.
    :raises ModelError: no exporter writes a completely fused graph of it.
    """
    from replank_export.convert import ExportConfig
    from replank_export.convert import export as stage

    return stage(_source(model), Path(out), config or ExportConfig(), data, force=force)


def quantize(
    model: ModelLike,
    out: str | Path,
    config: Int8Config | None = None,
    *,
    data: DataConfig | None = None,
    force: bool = False,
) -> Artifact:
    """Quantize an ONNX model to INT8, and measure what that costs and brings.

    >>> int8 = replank.quantize("onnx", "out", replank.DynamicInt8(max_drop=0.1, allow_slower=True), data=data)

    :param config: its type is the scheme: ``DynamicInt8`` (the default) or ``StaticInt8``.
    :param data: the task's data; without it the quality is not known. Static scales need it.
    :raises QualityGateError: the quality falls by more than ``max_drop``, or INT8 is not faster here.
    """
    from replank_export.int8 import DynamicInt8
    from replank_export.quantize import quantize as stage

    return stage(_source(model), Path(out), config or DynamicInt8(), data, force=force)


def evaluate(
    model: ModelLike,
    *,
    data: DataConfig | None = None,
    split: str = "dev",
    device: Device | Auto = "cpu",
    threads: int | None = None,
    answers: str | Path | None = None,
    force: bool = False,
) -> Quality:
    """Score a model on one split of a task's data.

    >>> replank.evaluate("int8", data=data).metrics["accuracy"] > 0.9
    True

    :param data: of a model that was made for a GLUE data set, that data set by default.
    :param answers: a new file for the decision on each row, which :func:`compare` takes in the model's place.
    :param force: replace a file of answers that lies there.
    :raises DataError: the data is not of the model's task, or the split has no labels.
    """
    from replank.resampling.answers_file import require_free, write_answers
    from replank.runtime.evaluate import quality_of

    if answers is not None:
        require_free(Path(answers), force=force)
    elif force:
        raise UsageError("`force` replaces a file of `answers`, and none is named")
    source = _source(model)
    found = _answer_rows(source, data, split, device, threads)
    if answers is not None:
        write_answers(Path(answers), found, force=force)
    return quality_of(found, source.manifest)


def compare(
    a: ModelLike | Sequence[ModelLike],
    b: ModelLike | Sequence[ModelLike],
    *,
    predecessor: ModelLike | Sequence[ModelLike] = (),
    data: DataConfig | None = None,
    split: str | None = None,
    device: Device | Auto = "cpu",
    threads: int | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedComparison:
    """Compare two models, or two methods by models of several seeds: what differs by more than chance.

    >>> compared = replank.compare("successor", "int8", predecessor="predecessor", data=data)
    >>> compared.metrics["accuracy"].difference.excludes_zero
    False

    Seeds, if there are several, and rows are drawn again and again, the same for both, and every metric is computed
    again; what holds in 95 % of the draws is the interval.

    :param a: a model or its file of answers, see :func:`evaluate`; or those of several seeds.
    :param b: likewise, the seeds in the same order.
    :param predecessor: likewise, of each seed or one for all: then it is also told how much of its metrics is kept.
    :param data: for models, which answer it now. By default artifacts answer as they did when they were made, and a
        model that was made for a GLUE data set is asked for that.
    :param split: likewise; by default the held-out one, ``test`` if it has labels, else ``dev``.
    :param resamples: 100 or more.
    :param seed: of the draws.
    :raises UsageError: different numbers of seeds.
    :raises DataError: the answers are of different tasks or rows, of one row alone, or there are no labels.
    """
    from replank.resampling.answers_file import answers_of, is_answers_file, read_answers
    from replank.resampling.compare import compare_answers
    from replank.resampling.resample import Resampling

    resampling = Resampling(resamples, seed)
    groups = [_seeds(given) for given in (a, b, predecessor)]
    everyone = list(dict.fromkeys(model for group in groups for model in group))
    # All files before any model runs: what is wrong with one is told at once.
    answers = {model: read_answers(Path(model)) for model in everyone if is_answers_file(model)}
    models = [model for model in everyone if model not in answers]
    if not models and (data is not None or split is not None):
        raise UsageError("`data` and `split` are for models, and only files of answers are given")
    for model in models:
        source = _source(model)
        kept = answers_of(source.artifact) if source.artifact and data is None and split is None else None
        answers[model] = kept or _answer_rows(source, data, split, device, threads, named=True)
    ours, theirs, whole = ([answers[model] for model in group] for group in groups)
    return compare_answers(ours, theirs, whole, resampling)


def verify(
    reference: ModelLike,
    candidate: ModelLike,
    *,
    data: DataConfig | None = None,
    device: Device | Auto = "cpu",
    threads: int | None = None,
) -> Comparison:
    """Compare two models' logits under right, left and both-sided padding, holes and extreme lengths.

    >>> replank.verify("successor", "onnx").require()

    :param data: real texts to compare too; INT8 and bf16 are judged by its metric, not by a tolerance on logits.
    :param device: of the candidate; the reference runs on the CPU.
    :raises UsageError: the models answer different tasks.
    """
    from replank_export.verify.comparison import compare_models

    return compare_models(_source(reference), _source(candidate), data, device=device, threads=threads)


def benchmark(config: BenchmarkConfig) -> Benchmark:
    """Measure latency and throughput of models side by side, each in a fresh process, in turn.

    >>> result = replank.benchmark(replank.BenchmarkConfig(("onnx", "int8"), lengths=(16,), rounds=2, max_seconds=0))
    >>> [cell.model for cell in result.cells]
    ['onnx', 'onnx', 'int8', 'int8']

    :raises UsageError: a length above a model's limit.
    :raises ReplankError: a model cannot be loaded or run.
    """
    from replank.benchmarking.run import benchmark as measure

    with progress("benchmark", config.units) as advance:
        return measure(config, advance)


def run(
    encoder: ModelLike, out: str | Path, config: RunConfig | None = None, *, data: DataConfig | None = None
) -> Summary:
    """The whole chain: encoder to predecessor, successor, ONNX and INT8, and a comparison of them.

    >>> summary = replank.run("encoder", "out", replank.Run(layers=2), data=data)

    :param encoder: a model that is fine-tuned already is its own predecessor.
    :param out: gets a folder for each stage, ``summary.json`` and a report; finished stages are kept as they are.
    :param data: of a model that was made for a GLUE data set, that data set by default.
    """
    from replank.chain.pipeline import run as chain
    from replank.chain.plan import RunConfig

    source = _source(encoder)
    return chain(source, Path(out), (config or RunConfig()).plan(), data or _own_data(source))


def quickstart(out: str | Path = "demo") -> Summary:
    """The whole chain on a real encoder and real texts from packages, offline, in minutes.

    :raises MissingExtraError: the ``demo`` extra is not installed.
    """
    from replank.chain.pipeline import quickstart as chain

    return chain(Path(out))


def search(
    predecessor: ModelLike,
    out: str | Path,
    budget: Budget,
    config: SearchConfig | None = None,
    *,
    data: DataConfig | None = None,
) -> SearchResult:
    """Find the model of the best quality within a budget, among depths and precisions of a predecessor.

    >>> found = replank.search("predecessor", "out", replank.Budget(max_latency_ms=5, min_retention=0.98), data=data)

    :param out: gets ``search.json`` and the artifact ``winner``.
    :param data: of a model that was made for a GLUE data set, that data set by default.
    :returns: the candidates, with what is known of each and why it has not won.
    :raises QualityGateError: no candidate meets the budget.
    """
    from replank.chain.search import search as find
    from replank.chain.search_plan import SearchConfig

    source = _source(predecessor)
    return find(source, Path(out), (config or SearchConfig()).plan(), budget, data or _own_data(source))


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

    source = _source(model)
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
    run_server({name: load_served(model, device, threads) for name, model in named.items()}, config)


def load_served(model: ModelLike, device: Device | Auto, threads: int | None) -> Model:
    """A loaded model that a route of the server answers.

    :raises ModelError: no route answers its kind of task.
    """
    source = _source(model)
    require_served(source)
    return load_model(source, device=device, threads=threads)


def loadtest(config: LoadtestConfig, out: str | Path = "loadtest", *, force: bool = False) -> LoadtestResult:
    """Find the highest rate at which 99 of 100 requests are answered within a limit, by MLPerf's rules.

    >>> replank.loadtest(replank.Loadtest("http://localhost:8080", limit_ms=50)).server.rate
    310.5

    :param out: gets ``loadtest.json``, after each run, and ``loadtest.svg``.
    :raises QualityGateError: no rate holds the limit.
    """
    from replank_serve.loadtest.files import loadtest_into

    return loadtest_into(config, Path(out), force=force)


def report(out: str | Path, benchmark: str | Path | None = None) -> Path:
    """Write ``report.html`` and ``report.md`` about the artifacts in a folder that :func:`run` filled.

    :param benchmark: a benchmark's JSON; ``benchmark.json`` in ``out`` by default, if there is one.
    :returns: the page.
    """
    from replank.reporting.write import write_report

    return write_report(Path(out), None if benchmark is None else Path(benchmark))


def push_to_hub(model: ModelLike, name: str, *, private: bool = False, revision: str | None = None) -> str:
    """Upload an artifact with its model card and manifest to the Hugging Face hub, in one commit.

    >>> replank.push_to_hub("int8", "me/my-model", private=True)

    :param name: ``owner/name``.
    :returns: the address of the commit.
    :raises HubError: no token, one that may not write there, or no network.
    """
    artifact = model if isinstance(model, Artifact) else Artifact.open(Path(model))
    return artifact.push_to_hub(name, private=private, revision=revision)


def triton(
    model: ModelLike, repository: str | Path, config: TritonConfig | None = None, *, force: bool = False
) -> Path:
    """Put an ONNX model into a model repository of the Triton Inference Server.

    >>> replank.triton("int8", "repository").name
    'int8'

    :returns: the model's folder in it.
    """
    from replank_export.triton import TritonConfig, write_repository

    return write_repository(_source(model), Path(repository), config or TritonConfig(), force=force)


def doctor() -> list[Check]:
    """Check this machine and its libraries for everything that goes wrong in silence."""
    from replank.runtime.doctor import doctor as examine

    return examine()


def _answer_rows(
    source: Source,
    data: DataConfig | None,
    split: str | None,
    device: Device | Auto,
    threads: int | None,
    *,
    named: bool = False,
) -> RowAnswers:
    """A model's answers on one split.

    :param split: the held-out one where ``None``.
    :param named: whether the progress names the model, which is one of several.
    """
    from replank.runtime.evaluate import answer_rows, require_same_task
    from replank.runtime.torch_model import require_head

    dataset = (data or _own_data(source)).load(source.task)
    split = split or dataset.held_out
    require_head(source, dataset.task.kind)
    require_same_task(source.name, source.task, dataset)
    loaded = load_model(source, task=dataset.task, device=device, threads=threads)
    title = f"evaluate {source.short_name} on {split}" if named else f"evaluate on {split}"
    with progress(title, len(dataset.split(split))) as advance:
        return answer_rows(loaded, dataset, split, progress=advance)


def _seeds(given: ModelLike | Sequence[ModelLike]) -> list[str | Path]:
    """The models of one method, by their names or folders."""
    models = [given] if isinstance(given, (str, Path, Artifact)) else given
    return [model.path if isinstance(model, Artifact) else model for model in models]


def _source(model: ModelLike) -> Source:
    return open_source(model.path if isinstance(model, Artifact) else model)


def _name(model: ModelLike) -> str:
    from replank_serve.models.loaded_model import name_for

    return name_for(str(model.path if isinstance(model, Artifact) else model))


def _own_data(source: Source) -> DataConfig:
    """The data set that a model was made for, where it goes by a name that everybody knows.

    :raises UsageError: it does not.
    """
    if source.artifact and source.task.name in GLUE:
        return DataConfig(dataset=source.task.name)
    raise UsageError("no data given", hint="`dataset=NAME` (GLUE), `data=FOLDER`, or `dev=FILE`")
