"""The chain on a knowledge graph: mined once, four models, each beside what needs none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from family import write_family
from replank.benchmarking.summary import Summary
from replank.chain.comparison import comparison_table
from replank.chain.mined_examples import with_mined_examples
from replank.chain.pipeline import run
from replank.chain.plan import Plan, RunConfig
from replank.data.config import DataConfig
from replank.graphs.config import MiningConfig
from replank.graphs.mined_folder import mine_into
from replank.graphs.mining import Mined, mine
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.resampling.answers_file import answers_of
from replank.resampling.compare import compare_answers
from replank.resampling.resample import Resampling
from replank.system.errors import DataError, UsageError
from replank.tasks.metrics import score
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.training.config import FinetuneConfig
from replank_export.convert import ExportConfig
from replank_export.int8 import DynamicInt8

STAGES = ("predecessor", "successor", "onnx", "int8")
METRICS = ("mrr", "hits@1", "hits@10", "auc_pr")


@pytest.fixture(scope="module")
def chain(encoder: Path, family: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("relation-chain")
    mine_into(family, out / "examples", MiningConfig(negatives=2, max_paths=3, candidates=8))
    tiny = {"batch_size": 32, "learning_rate": 2e-3, "precision": "fp32", "epochs": 2.0}
    plan = Plan(
        FinetuneConfig(**tiny),  # type: ignore[arg-type]
        TheseusConfig(**tiny, layers=2),  # type: ignore[arg-type]
        ExportConfig(),
        DynamicInt8(max_drop=1.0, allow_slower=True),
    )
    run(open_source(encoder), out, plan, DataConfig(data=out / "examples", task="relation-prediction", max_length=64))
    return out


def test_each_model_is_judged_beside_ceiling_random_order_and_most_paths(chain: Path) -> None:
    summary = Summary.from_json(json.loads((chain / "summary.json").read_text(encoding="utf-8")))
    assert summary.baselines is not None
    assert set(summary.baselines) == {"ceiling", "random order", "most paths"}
    for name, model in zip(STAGES, summary.models, strict=True):
        quality = Artifact.open(chain / name).manifest.quality
        assert quality is not None
        assert tuple(quality.metrics) == METRICS == tuple(model.metrics)
        assert quality.baselines == summary.baselines
        assert quality.metrics["hits@1"] <= summary.baselines["ceiling"]["hits@1"]
    assert comparison_table(summary).row_count == 4 + 3
    assert "Most paths: " in (chain / "report.md").read_text(encoding="utf-8")


def test_metrics_are_those_of_the_kept_answers_and_are_compared_by_queries(chain: Path) -> None:
    first, last = (answers_of(Artifact.open(chain / name)) for name in ("predecessor", "int8"))
    assert first is not None
    assert last is not None
    quality = Artifact.open(chain / "int8").manifest.quality
    assert quality is not None
    assert score(last.task, last.predicted, last.truth, last.groups) == pytest.approx(quality.metrics, abs=1e-6)
    compared = compare_answers([first], [last], (), Resampling(100, 0))
    assert tuple(compared.metrics) == METRICS
    for name, metric in compared.metrics.items():
        assert metric.b == pytest.approx(quality.metrics[name], abs=1e-6)
        assert metric.difference.low <= metric.difference.value <= metric.difference.high


def test_the_form_of_the_questions_travels_with_the_model(chain: Path, family: Path, tmp_path: Path) -> None:
    reasoning = Artifact.open(chain / "int8").manifest.task.reasoning
    assert reasoning is not None
    assert (reasoning.context, reasoning.max_paths) == ("individual", 3)
    assert set(reasoning.relations) == {"is a parent of", "is a child of", "is a sibling of", "lives in"}
    mine_into(family, tmp_path / "alone", MiningConfig(context="none"))
    model = open_source(chain / "int8").task
    with pytest.raises(DataError, match="the model was taught 'individual'"):
        DataConfig(data=tmp_path / "alone").load(model)


def test_alone_every_candidate_has_its_question(family: Path, tmp_path: Path) -> None:
    mine_into(family, tmp_path / "alone", MiningConfig(context="none", candidates=6))
    data = DataConfig(data=tmp_path / "alone").load()
    test = data.split("test")
    assert not data.task.is_pair
    assert test.second is None
    assert test.groups is not None
    assert np.array_equal(test.groups.candidate_of_row, np.arange(len(test.groups.is_right)))


def test_a_run_mines_its_graph_once_and_every_stage_reads_that(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, out = write_family(tmp_path / "family", families=2), tmp_path / "out"
    folders: list[Path] = []

    def counted(folder: Path, config: MiningConfig) -> Mined:
        folders.append(folder)
        return mine(folder, config)

    for module in ("replank.graphs.mined_folder", "replank.data.relations"):
        monkeypatch.setattr(f"{module}.mine", counted)
    config = RunConfig(layers=2, finetune_epochs=1, compress_epochs=1, max_drop=1.0)
    plan = replace(config.plan(), quantize=DynamicInt8(max_drop=1.0, allow_slower=True))
    data = DataConfig(data=graph, task="relation-prediction", max_length=32)
    run(open_source(encoder), out, plan, data, config=config)
    assert folders == [graph]
    mined = DataConfig(data=out / "examples").load()
    for name in STAGES:
        manifest = Artifact.open(out / name).manifest
        assert manifest.made_by.data == mined.digests
        assert manifest.task.name == "family"
    # What repeats it elsewhere begins with the graph again.
    assert "family" in (out / "run.yaml").read_text(encoding="utf-8")
    run(open_source(encoder), out, plan, data, config=config)
    assert folders == [graph]


def test_examples_of_another_graph_are_not_taken_for_this_ones(tmp_path: Path) -> None:
    graph, other = (write_family(tmp_path / name, families=2, seed=seed) for seed, name in enumerate(("family", "b")))
    data = DataConfig(data=graph, task="relation-prediction")
    mined = with_mined_examples(data, tmp_path / "out")
    assert (mined.data, mined.dataset) == (tmp_path / "out" / "examples", "family")
    assert with_mined_examples(data, tmp_path / "out") == mined
    assert with_mined_examples(mined, tmp_path / "out") is mined
    with pytest.raises(UsageError, match=r"was mined from other inputs \(differs in: graph\)"):
        with_mined_examples(replace(data, data=other), tmp_path / "out")
    (graph / "entity2text.txt").write_text("p0_0\tsomebody else\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"was mined from other inputs \(differs in: graph\)"):
        with_mined_examples(data, tmp_path / "out")
