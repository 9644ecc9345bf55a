"""Masks beside transformers' own pipeline: tokens, probabilities and texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import pipeline

from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.system.errors import FieldError, ModelError, UsageError
from replank_export.convert import ExportConfig, export

ONE = ["the film is [MASK].", "[MASK] music with a very long plot and another actor"]
SEVERAL = "the [MASK] is [MASK]"


@pytest.fixture(scope="module", params=["torch", "onnx"])
def model(request: pytest.FixtureRequest, masked_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The masked language model, and its graph."""
    if request.param == "torch":
        return load_model(open_source(masked_lm), threads=1)
    out = tmp_path_factory.mktemp("masks") / "onnx"
    return load_model(open_source(export(open_source(masked_lm), out, ExportConfig()).path), threads=1)


def test_fillings_are_those_of_transformers(model: Model, masked_lm: Path) -> None:
    ask: Any = pipeline("fill-mask", model=str(masked_lm))
    expected = [[row] for row in ask(ONE, top_k=7)] + [ask(SEVERAL, top_k=7)]
    found = model.fill([*ONE, SEVERAL], top=7)
    assert [len(masks) for masks in found] == [1, 1, 2]
    for masks, rows in zip(found, expected, strict=True):
        for mask, row in zip(masks, rows, strict=True):
            assert [filling.score for filling in mask] == pytest.approx([one["score"] for one in row], abs=1e-5)
            assert [(filling.token, filling.text, filling.sequence) for filling in mask] == [
                (one["token"], one["token_str"], one["sequence"]) for one in row
            ]


def test_what_cannot_be_filled(model: Model, successor: Path) -> None:
    with pytest.raises(UsageError, match=r"^text 2 has no mask$") as caught:
        model.fill([SEVERAL, "a film"])
    assert caught.value.hint == "[MASK] stands where a token is asked"
    with pytest.raises(UsageError, match=r"^the text has no mask within 64 tokens"):
        model.fill(["film " * 100 + "[MASK]"])
    with pytest.raises(FieldError, match="`top` is 0"):
        model.fill(ONE, top=0)
    with pytest.raises(ModelError, match="fills masks") as refused:
        model.predict(ONE)
    assert refused.value.hint == "call fill()"
    with pytest.raises(ModelError, match="labels whole texts"):
        load_model(open_source(successor), threads=1).fill(ONE)


def test_more_tokens_than_the_vocabulary_has_are_all_of_it(model: Model) -> None:
    (((*found,),),) = model.fill(ONE[:1], top=10_000)
    assert len(found) == model.text_encoder.vocabulary_size
    assert sum(filling.score for filling in found) == pytest.approx(1, abs=1e-4)
