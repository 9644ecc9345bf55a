"""What the page shows of each kind of model: pairs, several labels, vectors, ranked passages, filled masks."""

from __future__ import annotations

from pathlib import Path

import pytest

from browser import CONTRAST, CONTROL_ENTER, Browser
from plain_folders import multi_label_folder, with_head
from replank.graphs.knowledge import KnowledgeGraph
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.pooling import pool
from replank.runtime.relations import relate
from replank_export.convert import ExportConfig, export

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("serve", ["onnx=pair_onnx_artifact"], indirect=True)
def test_a_pair_has_two_fields_named_by_the_task(browser: Browser, serve: str) -> None:
    browser.open(serve)
    browser.until(lambda: browser.texts("#model") == ["onnx"])
    assert browser.texts("#form > .field label") == ["One", "Two"]
    browser.type("#first", "the film is superb")
    browser.type("#second", "a dull plot")
    browser.click("#send")
    browser.until(lambda: len(browser.texts("#results .bars li")) == 2)
    assert sorted(browser.texts("#results .label")) == ["no", "yes"]


@pytest.fixture(scope="module")
def several_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose labels do not exclude each other."""
    return multi_label_folder(tmp_path_factory.mktemp("several"), ("joy", "anger", "fear"))


@pytest.mark.parametrize("serve", ["several=several_labels"], indirect=True)
def test_labels_that_hold_stand_out_beside_their_thresholds(browser: Browser, serve: str, several_labels: Path) -> None:
    (answer,) = load_model(open_source(several_labels), threads=1).predict(["the film is superb"])
    browser.open(serve)
    browser.until(lambda: browser.texts("#model") == ["several"])
    browser.type("#first", "the film is superb", CONTROL_ENTER)
    browser.until(lambda: len(browser.texts("#results .bars li")) == 3)
    assert browser.texts("#results .best .label") == list(answer.labels)
    marks = browser.run(
        "return [...document.querySelectorAll('.threshold')].map(m => m.offsetLeft / m.parentElement.offsetWidth)"
    )
    assert marks == pytest.approx([0.5] * 3, abs=0.01)
    assert browser.complaints() == []


@pytest.fixture(scope="module")
def features_artifact(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder without a head."""
    return export(open_source(encoder), tmp_path_factory.mktemp("features") / "onnx", ExportConfig(features=True)).path


@pytest.mark.parametrize(
    "serve", ["vectors=features_artifact other=features_artifact labels=onnx_artifact"], indirect=True
)
def test_a_model_of_vectors_shows_them(browser: Browser, serve: str, features_artifact: Path) -> None:
    browser.open(serve)
    browser.until(lambda: browser.texts("#model") == ["vectors"])
    assert browser.texts("#task")[0].startswith("Answers with vectors; reads up to ")
    # Other routes are not asked the same.
    assert browser.texts("#other-choice option") == ["nothing", "other"]
    browser.type("#other-choice", "other")
    browser.click("#lines")
    browser.type("#first", "good film\ndull plot", CONTROL_ENTER)
    browser.until(lambda: browser.texts("#results .text") == ["good film", "dull plot"])
    model = load_model(open_source(features_artifact), threads=1)
    (tokens,) = model.text_encoder.tokenize(["good film"])
    vector = pool(model.predictor(model.text_encoder.pad([tokens]))[0], "mean", normalize=True)
    assert browser.texts("#results .vector p")[0] == f"{len(vector)} numbers"
    shown = [float(number) for number in browser.texts("#results .vector pre")[0].removesuffix(", …").split(", ")]
    assert shown == pytest.approx(vector[: len(shown)].tolist(), abs=0.002)
    # Vectors decide nothing on which two models could agree.
    assert browser.texts(".verdict") == []
    assert "/embed" in browser.run("return document.getElementById('curl').textContent")
    assert browser.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("serve", ["vectors=features_artifact"], indirect=True)
def test_several_vectors_make_a_matrix(browser: Browser, serve: str, features_artifact: Path, scheme: str) -> None:
    texts = ["good film", "dull plot", "a lovely scene with music"]
    vectors = load_model(open_source(features_artifact), threads=1).embed(texts, normalize=True)
    browser.emulate(width=320, scheme=scheme)
    browser.open(serve)
    browser.until(lambda: browser.texts("#model") == ["vectors"])
    browser.type("#first", texts[0], CONTROL_ENTER)
    browser.until(lambda: len(browser.texts("#results .vector")) == 1)
    assert browser.texts(".matrix") == []
    browser.click("#lines")
    browser.type("#first", "\n" + "\n".join(texts[1:]), CONTROL_ENTER)
    browser.until(lambda: len(browser.texts(".matrix tbody tr")) == 3)
    shown = [float(number) for number in browser.texts(".matrix tbody td")]
    assert shown == pytest.approx((vectors @ vectors.T).flatten().tolist(), abs=0.006)
    assert [text.split(" ", 1)[1] for text in browser.texts(".matrix [scope=row]")] == texts
    assert browser.texts(".matrix [scope=col]") == ["1", "2", "3"]
    # A wide one scrolls in itself, and can be scrolled without a pointer.
    assert browser.run("return document.documentElement.scrollWidth") == 320
    assert browser.run("return document.querySelector('.scrolled').tabIndex") == 0
    assert browser.run(CONTRAST) == []
    assert browser.complaints() == []


@pytest.fixture(scope="module")
def ranker_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder with one number for a pair."""
    return with_head(tmp_path_factory.mktemp("ranker") / "ranker", "SequenceClassification", 1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("serve", ["ranker=ranker_folder other=ranker_folder labels=onnx_artifact"], indirect=True)
def test_passages_are_ranked(browser: Browser, serve: str, ranker_folder: Path, scheme: str) -> None:
    passages = ["the plot is very dull", "a lovely film", "music " * 20]
    ranked = load_model(open_source(ranker_folder), threads=1).rank("a good film", [text.strip() for text in passages])
    browser.emulate(width=320, scheme=scheme)
    browser.open(serve)
    browser.until(lambda: browser.texts("#model") == ["ranker"])
    assert browser.texts("#form > .field label") == ["Query", "Passages, one per line"]
    assert browser.texts("#send") == ["Rank"]
    assert browser.texts("#other-choice option") == ["nothing", "other"]
    browser.type("#first", "a good film")
    browser.type("#second", "\n".join(text.strip() for text in passages), CONTROL_ENTER)
    browser.until(lambda: len(browser.texts("#results .ranked li")) == 3)
    assert browser.texts(".ranked .label") == [passages[found.index].strip() for found in ranked]
    assert browser.texts(".ranked .score") == [f"{100 * found.score:.1f} %" for found in ranked]
    assert "/rerank" in browser.run("return document.getElementById('curl').textContent")
    browser.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert len(browser.texts(".tokens")) == 3
    assert browser.run("return document.documentElement.scrollWidth") == 320
    assert browser.run(CONTRAST) == []
    # Without a passage the server says what is missing.
    browser.run("document.getElementById('second').value = ''")
    browser.click("#send")
    browser.until(lambda: browser.texts("#error")[0].startswith("422: texts: the list is empty"))
    browser.type("#model-choice", "labels")
    browser.until(lambda: browser.texts("#send") == ["Predict"])
    assert browser.run("return document.getElementById('second-field').hidden") is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("serve", ["judge=relation_model labels=onnx_artifact --graph=family"], indirect=True)
def test_a_graph_is_asked_and_shows_the_paths_of_its_answers(
    browser: Browser, serve: str, relation_model: Path, family: Path, scheme: str
) -> None:
    judge = load_model(open_source(relation_model), threads=1)
    expected = relate(judge, KnowledgeGraph.open(family), "p0 0", "is a parent of", "?")
    browser.emulate(width=320, scheme=scheme)
    browser.open(serve)
    browser.until(lambda: browser.texts("#model") == ["judge"])
    browser.type("#head", "p0 0")
    browser.type("#relation", "is a parent of")
    browser.click("#relate")
    browser.until(lambda: len(browser.texts("#relations > li")) == len(expected))
    assert browser.texts("#relations .text") == [f"{one.head} {one.relation} {one.tail}" for one in expected]
    assert browser.texts("#relations .path li") == [" ".join(edge) for one in expected for edge in one.path]
    assert any(one.path for one in expected)
    known = [text.endswith(", known to the graph") for text in browser.texts("#relations .quiet")]
    assert known == [one.is_known for one in expected]
    assert "/relations" in browser.run("return document.getElementById('relations-curl').textContent")
    assert browser.run("return document.documentElement.scrollWidth") == 320
    assert browser.run(CONTRAST) == []
    # What the graph does not know is said, and what it does: the nearest names.
    browser.type("#head", "x")
    browser.click("#relate")
    browser.until(lambda: browser.texts("#error")[0].startswith("422: "))
    assert "has no entity 'p0 0x'" in browser.texts("#error")[0]
    assert browser.run("return document.getElementById('relations-answer').hidden") is True
    # A model of labels is asked nothing of the graph.
    browser.type("#model-choice", "labels")
    browser.until(lambda: browser.run("return document.getElementById('relations-form').hidden"))


@pytest.mark.parametrize("serve", ["filler=masked_lm"], indirect=True)
def test_masks_are_filled(browser: Browser, serve: str, masked_lm: Path) -> None:
    text = "the [MASK] is [MASK]"
    ((first, second),) = load_model(open_source(masked_lm), threads=1).fill([text])
    browser.open(serve)
    browser.until(lambda: browser.texts("#model") == ["filler"])
    assert browser.texts("#task")[0].endswith("[MASK] stands where a token is asked.")
    browser.type("#first", text)
    browser.click("#send")
    browser.until(lambda: len(browser.texts("#results .bars li")) == 10)
    assert browser.texts("#results .label") == [found.text for found in (*first, *second)]
    assert browser.texts("#results .side .side h2") == ["Mask 1", "Mask 2"]
    assert browser.complaints() == []
