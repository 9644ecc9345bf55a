"""The page in a real browser: headless Chromium, driven over plain WebDriver."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from replank.answers import answers
from replank.runtime import load_model
from replank.source import open_source

pytestmark = pytest.mark.browser

RUNNER = """
import sys
from replank.runtime import load_model
from replank.source import open_source
from serve.app import ServeConfig
from serve.server import run_server
run_server(load_model(open_source(sys.argv[1]), threads=1), ServeConfig(port=0))
"""
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1200,1000",
)  # fmt: skip
ENTER_WITH_CONTROL = "\ue009\ue007"


class Browser:
    """The little of WebDriver that is needed here."""

    def __init__(self, port: int, profile: Path) -> None:
        self._url = f"http://127.0.0.1:{port}"
        chromium = shutil.which("chromium")
        options = {"args": [*ARGUMENTS, f"--user-data-dir={profile}"], "binary": chromium}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        self._url += f"/session/{session}"

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def quit(self) -> None:
        self._call("DELETE", "")

    def type(self, selector: str, text: str) -> None:
        self._call("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        self._call("POST", f"/element/{self._find(selector)}/click", {})

    def run(self, script: str) -> Any:
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def texts(self, selector: str) -> list[str]:
        script = f"return [...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText)"
        found: list[str] = self.run(script)
        return found

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, self.texts("body")
            time.sleep(0.05)

    def _find(self, selector: str) -> str:
        element = self._call("POST", "/element", {"using": "css selector", "value": selector})
        return str(next(iter(element.values())))

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["value"]


@pytest.fixture(scope="module")
def driver() -> Iterator[int]:
    if not (shutil.which("chromedriver") and shutil.which("chromium")):
        pytest.skip("needs the programs chromium and chromedriver")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(["chromedriver", f"--port={port}", "--log-level=OFF"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def browser(driver: int, tmp_path: Path) -> Iterator[Browser]:
    browser = Browser(driver, tmp_path / "profile")
    yield browser
    browser.quit()


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server of the artifact whose fixture the test names."""
    artifact = request.getfixturevalue(request.param)
    process = subprocess.Popen([sys.executable, "-c", RUNNER, str(artifact)], stderr=subprocess.PIPE, text=True)
    assert process.stderr
    match = re.search(r"http://\S+", process.stderr.readline())
    assert match
    yield match[0]
    process.terminate()
    assert process.wait(10) == 0
    process.stderr.close()


@pytest.mark.parametrize("serve", ["onnx_artifact"], indirect=True)
def test_typing_a_text_shows_bars(browser: Browser, serve: str, onnx_artifact: Path) -> None:
    model = load_model(open_source(onnx_artifact), threads=1)
    browser.open(serve)
    browser.until(lambda: browser.texts("#state") == ["ready"])
    assert browser.texts("#model") == ["onnx"]
    assert "negative, positive" in browser.texts("#facts")[0]

    browser.type("#first", "the film is superb" + ENTER_WITH_CONTROL)
    browser.until(lambda: len(browser.texts("#results .bars li")) == 2)
    (scores,) = answers(model.task, model.logits(["the film is superb"]))
    assert browser.texts("#results .label") == [score.label for score in scores]
    assert browser.texts("#results .score") == [f"{100 * score.score:.1f} %" for score in scores]
    widths = browser.run(
        "return [...document.querySelectorAll('.filled')].map(bar => bar.offsetWidth / bar.parentElement.offsetWidth)"
    )
    assert widths == pytest.approx([score.score for score in scores], abs=0.01)
    assert re.search(
        r"Round trip\s+[\d.]+ ms[\s\S]*Inference\s+[\d.]+ ms[\s\S]*Batch\s+1$", browser.texts("#timing")[0]
    )
    assert browser.complaints() == []


@pytest.mark.parametrize("serve", ["onnx_artifact"], indirect=True)
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


@pytest.mark.parametrize("serve", ["pair_onnx_artifact"], indirect=True)
def test_a_pair_has_two_fields_named_by_the_task(browser: Browser, serve: str) -> None:
    browser.open(serve)
    browser.until(lambda: browser.texts("#model") == ["onnx"])
    assert browser.texts("form .field label") == ["One", "Two"]
    browser.type("#first", "the film is superb")
    browser.type("#second", "a dull plot")
    browser.click("#send")
    browser.until(lambda: len(browser.texts("#results .bars li")) == 2)
    assert sorted(browser.texts("#results .label")) == ["no", "yes"]


@pytest.mark.parametrize("serve", ["onnx_artifact"], indirect=True)
def test_the_docs_list_every_route(browser: Browser, serve: str) -> None:
    browser.open(f"{serve}/docs")
    browser.until(lambda: len(browser.texts(".route")) == 4)
    assert [" ".join(text.split()) for text in browser.texts(".route h2")] == [
        "POST /predict", "GET /health", "GET /ready", "GET /info"
    ]  # fmt: skip
    assert f"curl {serve}/predict" in browser.texts(".route pre")[0]
    assert browser.complaints() == []
