"""What tells of artifacts and of this machine: quality, differences, speed, reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from replank.api.sources import ModelLike, NamedModel, own_data, source_of
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.quality import Quality
from replank.models.source import Source, require_length
from replank.runtime.load import load_model
from replank.runtime.provider_choice import Auto
from replank.runtime.providers import Device
from replank.system.errors import UsageError
from replank.system.progress import progress

if TYPE_CHECKING:
    from replank.benchmarking.config import BenchmarkConfig
    from replank.benchmarking.result import Benchmark
    from replank.resampling.compare import PairedComparison
    from replank.robustness.config import AttackConfig
    from replank.runtime.doctor import Check
    from replank.runtime.evaluate import RowAnswers
    from replank_export.verify.comparison import Comparison


def evaluate(
    model: ModelLike,
    *,
    data: DataConfig | None = None,
    split: str = "dev",
    predecessor: ModelLike | None = None,
    device: Device | Auto = "cpu",
    threads: int | None = None,
    answers: str | Path | None = None,
    force: bool = False,
) -> Quality:
    """Score a model on one split of a task's data.

    >>> replank.evaluate("int8", data=data).metrics["accuracy"] > 0.9
    True

    :param data: of a model that was made for a GLUE data set, that data set by default.
    :param predecessor: whose answers stand for labels where neither dev nor test has some.
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
    source = source_of(model)
    found = _answer_rows(source, data, split, device, threads, predecessor=predecessor)
    if answers is not None:
        write_answers(Path(answers), found, force=force)
    return quality_of(found, source.manifest)


def compare(
    a: NamedModel | Sequence[NamedModel],
    b: NamedModel | Sequence[NamedModel],
    *,
    predecessor: NamedModel | Sequence[NamedModel] = (),
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
        Where ``data`` has no labels, the answers of the one model stand for them.
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
    judge = groups[2][0] if len(groups[2]) == 1 and groups[2][0] in models else None
    for model in models:
        source = source_of(model)
        kept = answers_of(source.artifact) if source.artifact and data is None and split is None else None
        answers[model] = kept or _answer_rows(source, data, split, device, threads, named=True, predecessor=judge)
    ours, theirs, whole = ([answers[model] for model in group] for group in groups)
    return compare_answers(ours, theirs, whole, resampling)


def verify(
    reference: ModelLike,
    candidate: ModelLike,
    *,
    data: DataConfig | None = None,
    attack: AttackConfig | None = None,
    masked_lm: ModelLike | None = None,
    device: Device | Auto = "cpu",
    threads: int | None = None,
) -> Comparison:
    """Compare two models' logits under right, left and both-sided padding, holes and extreme lengths.

    >>> replank.verify("successor", "onnx").require()

    :param data: real texts to compare too; INT8 and bf16 are judged by its metric, not by a tolerance on logits.
    :param attack: also attack both, with words that ``masked_lm`` proposes; see :func:`attack`.
    :param device: of the candidate; the reference runs on the CPU.
    :raises UsageError: the models answer different tasks.
    """
    from replank.robustness.gate import AttackPlan
    from replank_export.verify.comparison import compare_models

    if (attack is None) != (masked_lm is None):
        raise UsageError("`attack` and `masked_lm` need each other")
    sources = source_of(reference), source_of(candidate)
    plan = None if attack is None or masked_lm is None else AttackPlan(attack, source_of(masked_lm).folder)
    return compare_models(*sources, data, device=device, threads=threads, attack_plan=plan)


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


def report(out: str | Path, benchmark: str | Path | None = None) -> Path:
    """Write ``report.html`` and ``report.md`` about the artifacts in a folder that :func:`run` filled.

    :param benchmark: a benchmark's JSON; ``benchmark.json`` in ``out`` by default, if there is one.
    :returns: the page.
    """
    from replank.reporting.write import write_report

    return write_report(Path(out), None if benchmark is None else Path(benchmark))


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
    predecessor: ModelLike | None = None,
) -> RowAnswers:
    """A model's answers on one split.

    :param split: the held-out one where ``None``.
    :param predecessor: whose answers stand for labels where there are none.
    :param named: whether the progress names the model, which is one of several.
    """
    from replank.runtime.evaluate import answer_rows, require_same_task
    from replank.runtime.likeness import judged_beside, lacks_labels
    from replank.runtime.torch_model import require_head

    without_labels = () if predecessor is None else ("train", "dev")
    require_length(source, data.max_length if data else None)
    dataset = (data or own_data(source)).load(source.task, without_labels=without_labels)
    if predecessor is not None and lacks_labels(dataset):
        dataset = judged_beside(dataset, load_model(source_of(predecessor), device=device, threads=threads))
    split = split or dataset.held_out
    require_head(source, dataset.task.kind)
    require_same_task(source.name, source.task, dataset)
    loaded = load_model(source, task=dataset.task, device=device, threads=threads)
    title = f"evaluate {source.short_name} on {split}" if named else f"evaluate on {split}"
    other = f"choose `split={next(iter(dataset.splits))}`"
    with progress(title, len(dataset.split(split, otherwise=other))) as advance:
        return answer_rows(loaded, dataset, split, progress=advance)


def _seeds(given: NamedModel | Sequence[NamedModel]) -> list[str | Path]:
    """The models of one method, by their names or folders."""
    models = [given] if isinstance(given, (str, Path, Artifact)) else given
    return [model.path if isinstance(model, Artifact) else model for model in models]
