"""The page in a real browser: what it does for every model, with keys, two models, narrow and dark."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from browser import CONTRAST, CONTROL_ENTER, KEY, Browser
from replank.models.source import open_source
from replank.runtime.load import load_model

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("serve", ["onnx=onnx_artifact"], indirect=True)
def test_typing_a_text_shows_bars(browser: Browser, serve: str, onnx_artifact: Path) -> None:
    model = load_model(open_source(onnx_artifact), threads=1)
    browser.open(serve)
    # The two come from two routes, in any order.
    browser.until(lambda: browser.texts("#state") == ["ready"])
    browser.until(lambda: browser.texts("#model") == ["onnx"])
    assert "negative, positive" in browser.texts("#facts")[0]

    browser.type("#first", "the film is superb", CONTROL_ENTER)
    browser.until(lambda: len(browser.texts("#results .bars li")) == 2)
    (scores,) = model.task.kind.scores(model.task.labels, model.logits(["the film is superb"]))
    assert browser.texts("#results .label") == [score.label for score in scores]
    assert browser.texts("#results .score") == [f"{100 * score.score:.1f} %" for score in scores]
    widths = browser.run(
        "return [...document.querySelectorAll('.filled')].map(bar => bar.offsetWidth / bar.parentElement.offsetWidth)"
    )
    assert widths == pytest.approx([score.score for score in scores], abs=0.01)
    assert re.search(
        r"Round trip\s+[\d.]+ ms[\s\S]*Inference\s+[\d.]+ ms\s+Tokens\s+6\s+Batch\s+1$", browser.texts("#timing")[0]
    )
    assert browser.run("return document.getElementById('choices').hidden") is True
    browser.click("#answer details summary")
    assert browser.texts("#tokens li") == ["[CLS]", "the", "film", "is", "superb", "[SEP]"]
    assert browser.complaints() == []


@pytest.mark.parametrize("serve", ["onnx=onnx_artifact"], indirect=True)
def test_a_text_per_line_and_an_error(browser: Browser, serve: str) -> None:
    browser.open(serve)
    browser.until(lambda: browser.texts("#model") == ["onnx"])
    browser.click("#lines")
    browser.type("#first", "<b>good</b> film\n\ndull plot")
    browser.click("#send")
    browser.until(lambda: browser.texts("#results .text") == ["<b>good</b> film", "dull plot"])
    assert len(browser.texts("#results .bars li")) == 4

    browser.run("document.getElementById('first').value = 'a\\n'.repeat(40)")
    browser.click("#send")
    browser.until(lambda: browser.run("return !document.getElementById('error').hidden"))
    assert browser.texts("#error")[0].startswith("413: inputs: 40 texts or pairs in one request; at most 32")
    assert browser.run("return document.getElementById('answer').hidden") is True


@pytest.mark.parametrize("serve", ["old=onnx_artifact new=int8_artifact pairs=pair_onnx_artifact"], indirect=True)
def test_two_models_answer_side_by_side(browser: Browser, serve: str, onnx_artifact: Path, int8_artifact: Path) -> None:
    texts = ["the film is superb", "dull plot"]
    browser.open(serve)
    browser.until(lambda: browser.texts("#model") == ["old"])
    assert browser.texts("#model-choice option") == ["old", "new", "pairs"]
    # What takes pairs cannot be asked the same.
    assert browser.texts("#other-choice option") == ["nothing", "new"]
    browser.type("#other-choice", "new")
    browser.click("#lines")
    browser.type("#first", "\n".join(texts), CONTROL_ENTER)
    browser.until(lambda: browser.texts("#results .text") == texts)
    assert browser.texts("#results .side h2") == ["old", "new"] * 2
    assert browser.texts("#timing h2") == ["old", "new"]
    assert len(browser.texts("#timing dl")) == 2
    shown = browser.texts("#results .best .score")
    for row, text in enumerate(texts):
        for column, artifact in enumerate((onnx_artifact, int8_artifact)):
            model = load_model(open_source(artifact), threads=1)
            (scores,) = model.task.kind.scores(model.task.labels, model.logits([text]))
            assert float(shown[2 * row + column].split()[0]) == pytest.approx(100 * scores[0].score, abs=0.11)
    assert browser.texts(".verdict") == ["Both answer the same."] * 2
    assert '"model":"old"' in browser.run("return document.getElementById('curl').textContent")

    browser.type("#model-choice", "pairs")
    browser.until(lambda: browser.texts("#model") == ["pairs"])
    assert browser.run("return document.getElementById('second-field').hidden") is False
    assert browser.run("return document.getElementById('other-choice').disabled") is True
    assert browser.run("return document.getElementById('answer').hidden") is True
    assert browser.complaints() == []


@pytest.mark.parametrize("serve", ["onnx=onnx_artifact key"], indirect=True)
def test_a_server_with_keys_asks_for_one(browser: Browser, serve: str) -> None:
    browser.open(serve)
    browser.until(lambda: browser.run("return !document.getElementById('key-form').hidden"))
    assert browser.texts("#error")[0].startswith("401: expected one of the server's keys")
    browser.type("#key", "wrong-wrong-wrong" + Keys.ENTER)
    browser.until(lambda: browser.run("return !document.getElementById('key-form').hidden"))
    browser.run("document.getElementById('key').value = ''")
    browser.type("#key", KEY + Keys.ENTER)
    browser.until(lambda: browser.texts("#model") == ["onnx"])
    assert browser.run("return document.getElementById('error').hidden") is True
    browser.type("#first", "the film is superb", CONTROL_ENTER)
    browser.until(lambda: len(browser.texts("#results .bars li")) == 2)
    curl = browser.run("return document.getElementById('curl').textContent")
    assert '-H "authorization: Bearer $KEY"' in curl
    assert KEY not in browser.run("return document.documentElement.outerHTML")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("serve", ["old=onnx_artifact new=int8_artifact"], indirect=True)
def test_nothing_is_cut_off_on_a_narrow_screen_nor_pale_in_the_dark(browser: Browser, serve: str, scheme: str) -> None:
    browser.emulate(width=320, scheme=scheme)
    browser.open(serve)
    browser.until(lambda: browser.texts("#model") == ["old"])
    browser.type("#other-choice", "new")
    browser.type("#first", "superb" * 40, CONTROL_ENTER)
    browser.until(lambda: len(browser.texts("#results .side")) == 2)
    browser.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert browser.run("return document.documentElement.scrollWidth") == 320
    outside = browser.run(
        "return [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 320)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []
    pale = browser.run(CONTRAST)
    assert pale == []
    # Every control can be reached without a pointer.
    assert browser.run(
        "return [...document.querySelectorAll('main button, select, textarea')].every(e => e.tabIndex === 0)"
    )


@pytest.mark.parametrize("serve", ["onnx=onnx_artifact"], indirect=True)
def test_the_docs_list_every_route(browser: Browser, serve: str) -> None:
    browser.open(f"{serve}/docs")
    described = httpx.get(f"{serve}/openapi.json").json()["paths"]
    routes = [path for path, methods in described.items() for _ in methods]
    browser.until(lambda: len(browser.texts(".route")) == len(routes))
    assert [" ".join(text.split()) for text in browser.texts(".route h2")][:5] == [
        "POST /predict", "POST /ner", "POST /embed", "POST /tokenize", "GET /health"
    ]  # fmt: skip
    assert f"curl {serve}/predict" in browser.texts(".route pre")[0]
    assert browser.complaints() == []
