"""Comparing a candidate's numbers with its reference's, and what must not get past."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.models.quality import Difference, Differences
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import QualityGateError
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task
from replank.text.padding import Batch
from replank_export.convert import ExportConfig, export
from replank_export.verify.compare import difference, verify
from replank_export.verify.padding_cases import padding_cases


def test_the_padding_cases_are_what_their_names_say(successor: Path) -> None:
    cases = {case.name: case.batches for case in padding_cases(load_model(open_source(successor)))}
    left = cases["left padding"][0].attention_mask
    assert (left[:, -1] == 1).all()
    assert (left[:, 0] == 0).any()
    both = cases["padding on both sides"][0].attention_mask
    assert ((both[:, 0] == 0) & (both[:, -1] == 0)).any()
    holes = cases["holes"][0].attention_mask
    assert (np.abs(np.diff(holes, axis=1)).sum(axis=1) > 2).any()
    assert [batch.shape for batch in cases["maximal length"]] == [(2, 64), (1, 64)]
    assert cases["length one"][0].shape == (3, 1)
    assert all(batch.attention_mask.any(axis=1).all() for batches in cases.values() for batch in batches)


def test_a_graph_that_ignores_left_padding_is_refused(successor: Path, onnx_artifact: Path) -> None:
    reference, candidate = load_model(open_source(successor)), load_model(open_source(onnx_artifact))

    def blind(batch: Batch) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """What ONNX Runtime's default fusion does: it counts the mask and takes it for a prefix."""
        prefix = np.arange(batch.shape[1]) < batch.attention_mask.sum(axis=1, keepdims=True)
        return candidate.predictor(dataclasses.replace(batch, attention_mask=prefix.astype(np.int64)))

    result = verify(reference, dataclasses.replace(candidate, predictor=blind), precision="fp32")
    assert {item.case for item in result.differences.failures} == {"left padding", "padding on both sides", "holes"}
    with pytest.raises(QualityGateError, match=r"differ from those of .* the tolerance is 0.0001"):
        result.require()


def test_a_graph_that_gives_no_numbers_is_refused_at_any_precision(successor: Path, onnx_artifact: Path) -> None:
    reference, candidate = load_model(open_source(successor)), load_model(open_source(onnx_artifact))
    broken = dataclasses.replace(candidate, predictor=lambda batch: candidate.predictor(batch) * np.float32(np.nan))
    with pytest.raises(QualityGateError, match="nan"):
        verify(reference, broken, precision="int8").require()


def test_difference_is_what_its_fields_say() -> None:
    reference = np.array([[3.0, -1.0], [0.0, 1.0]], dtype=np.float32)
    candidate = np.array([[3.0, -1.0], [1.0, 0.5]], dtype=np.float32)
    task = Task("t", KINDS["classification"], ("a", "b"), ("text",), "label", ("accuracy",))
    found = difference("x", reference, candidate, task)
    cosine = (9 + 1 + 0 + 0.5) / np.sqrt(11 * (9 + 1 + 1 + 0.25))
    sqnr = round(10 * float(np.log10(11 / 1.25)), 2)
    assert found == Difference(
        case="x",
        rows=2,
        max_abs=1.0,
        mean_abs=0.375,
        scale=3.0,
        cosine=found.cosine,
        sqnr_db=sqnr,
        label_agreement=0.5,
    )
    assert found.cosine == pytest.approx(cosine)
    assert difference("x", reference, reference, task).sqnr_db is None
    assert Differences(tolerance=1e-4, max_abs=1.0, cases=(found,)).failures == [found]


def test_the_worst_example_is_shown(successor: Path, onnx_artifact: Path, data: DataConfig) -> None:
    reference, candidate = load_model(open_source(successor)), load_model(open_source(onnx_artifact))
    texts = data.load().split("test").head(24)
    worst_text = texts.first[17]
    (asked,) = candidate.text_encoder.tokenize([worst_text])

    def wrong(batch: Batch) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Wrong by a quarter on one text alone."""
        same = [row[: len(asked)].tolist() == asked.ids for row in batch.input_ids]
        return candidate.predictor(batch) + np.where(np.array(same)[:, None], [[0.0, 0.25]], 0.0)

    result = verify(reference, dataclasses.replace(candidate, predictor=wrong), precision="fp32", examples=texts)
    assert result.worst is not None
    assert result.worst.texts == (worst_text,)
    np.testing.assert_allclose(np.subtract(result.worst.candidate, result.worst.reference), [0.0, 0.25], atol=1e-5)
    assert worst_text not in str(result.differences)


def test_the_command_shows_what_is_farthest_apart(
    replank: Replank, onnx_artifact: Path, int8_artifact: Path, data: DataConfig
) -> None:
    given = ("--data", data.data, "--text", "sentence", "--max-drop", "0.1")
    done = replank("verify", onnx_artifact, int8_artifact, *given)
    assert done.code == 0
    assert "farthest apart" in done.out
    assert "cosine" in done.out
    report = json.loads(replank("verify", onnx_artifact, int8_artifact, *given, "--json").out)
    texts = data.load().split("test").first
    assert report["worst"]["texts"][0] in texts
    apart = np.abs(np.subtract(report["worst"]["reference"], report["worst"]["candidate"])).max()
    real = next(case for case in report["cases"] if case["case"] == "real texts")
    assert apart == pytest.approx(real["max_abs"], rel=1e-4)


def test_models_of_two_tasks_are_not_compared(
    replank: Replank, onnx_artifact: Path, encoder: Path, tmp_path: Path
) -> None:
    export(open_source(encoder), tmp_path / "features", ExportConfig(features=True))
    done = replank("verify", onnx_artifact, tmp_path / "features")
    assert done.code == 2
    assert "gives 2 outputs (classification)" in error_lines(done)[0]
    assert "any number of outputs (feature-extraction)" in error_lines(done)[0]
