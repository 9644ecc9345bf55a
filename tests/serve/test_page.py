"""The page in a real browser: headless Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from commands import replank_process
from plain_folders import multi_label_folder, with_head
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.pooling import pool
from replank_export.convert import ExportConfig, export
from waiting import HANG_SECONDS

pytestmark = pytest.mark.browser

KEY = "correct-horse-battery"
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1200,1000",
)  # fmt: skip
CONTROL_ENTER = Keys.CONTROL + Keys.ENTER
# Texts of less than 4.5 to 1 against what is behind them (https://www.w3.org/TR/WCAG22/#contrast-minimum).
CONTRAST = """
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => numbers(colour).slice(0, 3).map(c => c / 255)
  .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (numbers(colour)[3] !== 0) return colour;
  }
  return 'rgb(255, 255, 255)';
};
const ratio = (e) => {
  const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
};
return [...document.querySelectorAll('body *')]
  .filter(e => e.innerText?.trim() && !e.children.length && e.offsetParent && ratio(e) < 4.5)
  .map(e => `${e.outerHTML.slice(0, 80)} ${ratio(e).toFixed(1)}`);
"""


class Browser:
    """Chromium, as the tests look at it."""

    def __init__(self, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # With both programs named, selenium looks for no others, nor fetches any.
        self._driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))

    def open(self, url: str) -> None:
        self._driver.get(url)

    def quit(self) -> None:
        self._driver.quit()

    def type(self, selector: str, *keys: str) -> None:
        self._driver.find_element(By.CSS_SELECTOR, selector).send_keys(*keys)

    def click(self, selector: str) -> None:
        self._driver.find_element(By.CSS_SELECTOR, selector).click()

    def run(self, script: str) -> Any:
        return self._driver.execute_script(script)

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.run(
            f"return [...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText)"
        )
        return found

    def emulate(self, width: int, scheme: str) -> None:
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        for command, values in (("DeviceMetricsOverride", screen), ("EmulatedMedia", media)):
            self._driver.execute_cdp_cmd(f"Emulation.set{command}", values)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self._driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def until(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self._driver, timeout=HANG_SECONDS, poll_frequency=0.05).until(lambda _: condition())


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if not (shutil.which("chromedriver") and shutil.which("chromium")):
        pytest.skip("needs the programs chromium and chromedriver")
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.quit()


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server of the artifacts whose fixtures the test names, as ``name=fixture``; of a key too."""
    models = [name.partition("=") for name in request.param.split()]
    folders = [f"{name}={request.getfixturevalue(fixture)}" for name, _, fixture in models if fixture]
    keys = {"REPLANK_API_KEY": KEY} if "key" in request.param.split() else {}
    with replank_process("serve", *folders, "--port", 0, "--threads", 1, env=os.environ | keys) as process:
        assert process.stderr
        match = re.search(r"http://\S+", process.stderr.readline())
        assert match
        yield match[0]
        process.terminate()
    assert process.returncode == 0


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
