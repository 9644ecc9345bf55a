"""A further INT8 scheme: stages, probes and search need a type and its line in SCHEMES, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import onnx
import pytest

import replank_export.int8
import replank_export.schemes
from replank.chain.search_plan import SearchConfig
from replank.data.config import DataConfig
from replank.models.int8_facts import Int8Facts
from replank.models.provenance import variant_name
from replank.models.source import open_source
from replank.system.errors import UsageError
from replank.text.padding import Batch
from replank_export.int8 import SCHEMES, Int8Config, StaticInt8
from replank_export.int8.prepared_graph import TABLES, PreparedGraph
from replank_export.probe import quantize_probe
from replank_export.quantize import quantize
from replank_export.schemes import AutoInt8


@dataclass(frozen=True)
class TablesOnlyInt8(Int8Config):
    """Only embedding tables are quantized; texts are counted, to show that they arrive."""

    name: ClassVar[str] = "tables-only"
    texts: int = 5

    def texts_wanted(self) -> int:
        return self.texts

    def graph(self, path: Path, texts: Sequence[Batch]) -> PreparedGraph:
        assert [batch.shape[0] for batch in texts] == [1] * self.texts
        return TablesOnlyGraph(path, per_channel=self.per_channel, reduce_range=self.reduce_range)

    def ort_config(self) -> dict[str, Any]:
        return {"is_static": False, "format": "tables"}


class TablesOnlyGraph(PreparedGraph):
    def _write(self, target: Path, keep: Sequence[str]) -> None:
        self._quantize_weights(self._path, target, keep, TABLES)


def only_tables_are_int8(path: Path) -> bool:
    """Of two layers and a head: six linear layers a layer, and the pooler and the classifier."""
    operators = Counter(node.op_type for node in onnx.load(str(path)).graph.node)
    return operators["MatMul"] + operators["Gemm"] == 2 * 6 + 2 and operators["DequantizeLinear"] == 3


def test_quantize_asks_the_scheme_for_all_that_differs(onnx_artifact: Path, data: DataConfig, tmp_path: Path) -> None:
    config = TablesOnlyInt8(allow_slower=True)
    artifact = quantize(open_source(onnx_artifact), tmp_path / "int8", config, data)
    assert only_tables_are_int8(artifact.model_file)
    made_by = artifact.manifest.made_by
    assert (made_by.facts_of(Int8Facts).scheme, made_by.config["type"]) == ("tables-only", "TablesOnlyInt8")
    # Gemm of the pooler and the classifier, and the MatMuls of the layers.
    assert Counter(entry.operator for entry in made_by.facts_of(Int8Facts).kept_in_float).total() == 2 * 6 + 2
    stored = json.loads((artifact.path / "ort_config.json").read_text(encoding="utf-8"))
    assert stored["quantization"] == config.ort_config()


def test_a_scheme_with_calibration_is_refused_without_data(onnx_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the scheme tables-only is calibrated on texts") as caught:
        quantize(open_source(onnx_artifact), tmp_path / "int8", TablesOnlyInt8())
    assert "or choose `scheme=dynamic`, which needs none" in (caught.value.hint or "")
    assert not list(tmp_path.iterdir())


def test_a_probe_is_calibrated_on_random_texts(onnx_artifact: Path, tmp_path: Path) -> None:
    probe = quantize_probe(open_source(onnx_artifact), tmp_path, TablesOnlyInt8(texts=16), length=16, opset=18)
    assert only_tables_are_int8(probe.model_file)


def test_search_tries_every_registered_scheme_of_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SearchConfig().plan().precisions == ("fp32", *(f"int8-{name}" for name in SCHEMES))
    more = {**SCHEMES, TablesOnlyInt8.name: TablesOnlyInt8}
    for module in (replank_export.int8, replank_export.schemes):
        monkeypatch.setattr(module, "SCHEMES", more)
    plan = SearchConfig(max_drop=0.25).plan()
    assert plan.precisions[-1] == "int8-tables-only"
    assert plan.int8["int8-tables-only"] == TablesOnlyInt8(max_drop=0.25, allow_slower=True)


def test_search_tries_other_schemes_where_they_are_asked_for() -> None:
    plan = SearchConfig(max_drop=0.25, schemes=("integer", "static")).plan()
    assert plan.precisions == ("fp32", "int8-integer", "int8-static")
    assert plan.int8["int8-static"] == StaticInt8(max_drop=0.25, allow_slower=True)
    plan = SearchConfig(max_drop=0.25, schemes=("auto",)).plan()
    assert plan.int8 == {"int8-auto": AutoInt8(max_drop=0.25, allow_slower=True)}


@pytest.mark.parametrize("scheme", [*SCHEMES.values(), TablesOnlyInt8])
def test_reports_tell_a_schemes_name_by_its_type(scheme: type[Int8Config]) -> None:
    assert variant_name(scheme.__name__) == scheme.name
