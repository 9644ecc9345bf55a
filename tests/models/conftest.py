"""Plain folders of models, as transformers and Optimum would write them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def plain(predecessor: Path, tmp_path: Path) -> Path:
    """A classifier as a plain folder."""
    folder = shutil.copytree(predecessor, tmp_path / "plain")
    (folder / "replank.json").unlink()
    return folder


@pytest.fixture
def plain_graph(onnx_artifact: Path, tmp_path: Path) -> Path:
    """Its graph as a plain folder."""
    folder = shutil.copytree(onnx_artifact, tmp_path / "graph")
    (folder / "replank.json").unlink()
    return folder


@pytest.fixture
def encoder_copy(encoder: Path, tmp_path: Path) -> Path:
    """An encoder in a plain folder, to change or damage."""
    return shutil.copytree(encoder, tmp_path / "plain")
