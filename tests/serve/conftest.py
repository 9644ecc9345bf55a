"""A browser, and servers of artifacts."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import KEY, Browser
from commands import replank_process
from served_process import Server, served


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if not (shutil.which("chromedriver") and shutil.which("chromium")):
        pytest.skip("needs the programs chromium and chromedriver")
    opened = Browser(tmp_path / "profile")
    yield opened
    opened.quit()


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server of the artifacts whose fixtures the test names, as ``name=fixture``; of a key too.

    ``--graph=fixture`` likewise is an option.
    """
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


@pytest.fixture(scope="module")
def classifier(onnx_artifact: Path) -> Iterator[Server]:
    with served(onnx_artifact) as server:
        yield server
