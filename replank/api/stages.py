"""What makes artifacts: the stages, and the chains of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from replank.api.sources import ModelLike, has_own_data, own_data, source_of
from replank.data.config import DataConfig
from replank.models.artifact import Artifact

if TYPE_CHECKING:
    from replank.benchmarking.summary import Summary
    from replank.chain.budget import Budget
    from replank.chain.plan import RunConfig
    from replank.chain.search_plan import SearchConfig
    from replank.chain.search_result import SearchResult
    from replank.graphs.config import MiningConfig
    from replank.graphs.mining import Mined
    from replank_compress.growing.config import PretrainConfig
    from replank_compress.integer.config import IntegerFinetuneConfig
    from replank_compress.methods.config import SuccessorConfig
    from replank_compress.training.config import FinetuneConfig
    from replank_compress.trim import TrimConfig
    from replank_export.convert import ExportConfig
    from replank_export.schemes import Scheme


def pretrain(
    encoder: str | Path,
    out: str | Path,
    config: PretrainConfig | None = None,
    *,
    data: DataConfig,
    force: bool = False,
) -> Artifact:
    """Pretrain an encoder from random weights by masked language modelling, growing it by a schedule.

    >>> stages = (replank.Stage(steps=4, layers=2, pooling=2), replank.Stage(steps=2))
    >>> grown = replank.pretrain("encoder", "out", replank.Pretrain(stages=stages), data=data)

    :param encoder: a ``config.json``, a folder with one, or a hub model; its weights are not used.
    :param out: the new artifact's folder. Called again after an interruption, training resumes.
    :param data: texts; labels are not read.
    :param force: replace an artifact that lies there.
    :raises ReplankError: nothing was written, and what was there is as it was.
    """
    from replank_compress.growing.config import PretrainConfig
    from replank_compress.pretrain import pretrain as stage

    return stage(encoder, Path(out), config or PretrainConfig(), data, force=force)


def trim(encoder: ModelLike, out: str | Path, config: TrimConfig, *, force: bool = False) -> Artifact:
    """Trim the vocabulary of an encoder to what some texts need; in a multilingual one it is most of the bytes.

    >>> trimmed = replank.trim("predecessor", "out", replank.Trim(texts="texts.txt"))

    :param encoder: a torch model, with or without a head.
    :raises QualityGateError: texts that need no dropped token get other tokens, or other answers.
    """
    from replank_compress.trim import trim as stage

    return stage(source_of(encoder), Path(out), config, force=force)


def mine(graph: str | Path, out: str | Path, config: MiningConfig | None = None, *, force: bool = False) -> Mined:
    """Mine the examples of relation prediction from a knowledge graph, once for all stages.

    >>> mined = replank.mine("graph", "examples", replank.Mining(max_edges=2))

    :param graph: a folder with train.txt, valid.txt and test.txt; and with names and candidates, if it has any.
    :param out: a new folder, for ``replank.Data(data=out, task="relation-prediction")``.
    :param force: replace mined examples that lie there.
    :raises DataError: a file is missing or a line is no triple; nothing was written.
    """
    from replank.graphs.config import MiningConfig
    from replank.graphs.mined_folder import mine_into

    return mine_into(Path(graph), Path(out), config or MiningConfig(), force=force)


def finetune(
    encoder: ModelLike,
    out: str | Path,
    config: FinetuneConfig | IntegerFinetuneConfig | None = None,
    *,
    data: DataConfig,
    force: bool = False,
) -> Artifact:
    """Fine-tune an encoder on a task, or a fine-tuned model for the scheme ``integer``.

    >>> predecessor = replank.finetune("encoder", "out", replank.Finetune(epochs=2), data=data)
    >>> ready = replank.finetune("successor", "ready", replank.IntegerFinetune(), data=data)

    :param encoder: with or without a head; a head of another size gives way to a new one.
    :param config: its type says what is trained: ``Finetune`` (the default), or ``IntegerFinetune``: a fine-tuned
        model, whose encoder computes in integers meanwhile.
    :param out: the new artifact's folder. Called again after an interruption, training resumes.
    :param force: replace an artifact that lies there.
    :raises ReplankError: nothing was written, and what was there is as it was.
    """
    from replank_compress.finetune import finetune as stage
    from replank_compress.integer.config import IntegerFinetuneConfig
    from replank_compress.integer_finetune import finetune_integer
    from replank_compress.training.config import FinetuneConfig

    if isinstance(config, IntegerFinetuneConfig):
        return finetune_integer(source_of(encoder), Path(out), config, data, force=force)
    return stage(source_of(encoder), Path(out), config or FinetuneConfig(), data, force=force)


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
    :param data: of a model that was made for a GLUE data set, that data set by default. A training split without
        labels
        is learned from by the predecessor's answers alone; without a dev split a tenth of it is held back. Where
        dev has no labels, the successor is judged by how many of the predecessor's answers it gives. ``unlabelled`` of
        the configuration as the only texts is such a training split.
    :param config: its type is the method: ``Theseus`` (the default, half the layers), ``Truncate``, ``Kd``, ``Pkd``.
    :param out: the new artifact's folder. Called again after an interruption, training resumes.
    :param force: replace an artifact that lies there.
    :raises ReplankError: nothing was written, and what was there is as it was.
    """
    from replank_compress.methods.soft_labels import SoftLabelsConfig
    from replank_compress.methods.theseus import TheseusConfig
    from replank_compress.successor import compress as stage

    source, config = source_of(predecessor), config or TheseusConfig()
    if data is None and isinstance(config, SoftLabelsConfig) and config.unlabelled and not has_own_data(source):
        # They are all that there is to learn from.
        data, config = DataConfig(train=config.unlabelled), replace(cast("Any", config), unlabelled=None)
    return stage(source, Path(out), config, data or own_data(source), force=force)


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

    return stage(source_of(model), Path(out), config or ExportConfig(), data, force=force)


def quantize(
    model: ModelLike,
    out: str | Path,
    config: Scheme | None = None,
    *,
    data: DataConfig | None = None,
    force: bool = False,
) -> Artifact:
    """Quantize an ONNX model to INT8, and measure what that costs and brings.

    >>> int8 = replank.quantize("onnx", "out", replank.DynamicInt8(max_drop=0.1, allow_slower=True), data=data)

    >>> int8 = replank.quantize("onnx", "fastest", replank.AutoInt8(max_drop=0.1, allow_slower=True), data=data)

    :param config: its type is the scheme: ``DynamicInt8`` (the default), ``StaticInt8``, ``IntegerInt8``, which takes
        a torch model, or ``AutoInt8``: the fastest scheme and execution provider here that keep the quality.
    :param data: the task's data; without it the quality is not known. Static scales need it.
    :raises QualityGateError: the quality falls by more than ``max_drop``, or INT8 is not faster here.
    """
    from replank_export.int8 import DynamicInt8
    from replank_export.schemes import quantize as stage

    return stage(source_of(model), Path(out), config or DynamicInt8(), data, force=force)


def run(
    encoder: ModelLike, out: str | Path, config: RunConfig | None = None, *, data: DataConfig | None = None
) -> Summary:
    """The whole chain: encoder to predecessor, successor, ONNX and INT8, and a comparison of them.

    >>> summary = replank.run("encoder", "out", replank.Run(layers=2), data=data)

    :param encoder: a model that is fine-tuned already is its own predecessor.
    :param out: gets a folder for each stage, ``summary.json``, a report and ``run.yaml``; finished stages are kept as
        they are.
    :param data: of a model that was made for a GLUE data set, that data set by default. A fine-tuned model needs no
        labels, see :func:`compress`: all models are then judged by how many of its answers they give.
    """
    from replank.chain.pipeline import run as chain
    from replank.chain.plan import RunConfig

    source, config = source_of(encoder), config or RunConfig()
    if data is None and config.unlabelled is not None and not has_own_data(source):
        data, config = DataConfig(train=config.unlabelled), replace(config, unlabelled=None)
    data = data or own_data(source)
    data.require_files()
    return chain(source, Path(out), config.plan(), data, config=config)


def run_file(file: str | Path, out: str | Path | None = None) -> Summary:
    """The whole chain as a file asks for it, such as the ``run.yaml`` that each run leaves in its folder.

    >>> summary = replank.run_file("out/run.yaml", "again")

    :param file: YAML or JSON: ``encoder``, ``out``, ``data`` with the settings of ``Data``, and those of ``Run``.
        Relative paths are relative to it.
    :param out: a folder other than the file's.
    :raises UsageError: a key that is none, or a value that cannot be one, with its line.
    """
    from replank.chain.run_file import read_run_file

    asked = read_run_file(Path(file), out=None if out is None else Path(out))
    return run(asked.encoder, asked.out, asked.config, data=asked.data)


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

    source = source_of(predecessor)
    data = data or own_data(source)
    data.require_files()
    return find(source, Path(out), (config or SearchConfig()).plan(), budget, data)
