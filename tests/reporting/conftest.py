"""The folder that reports are about."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from chain_folder import summary


@pytest.fixture
def folder(predecessor: Path, successor: Path, onnx_artifact: Path, int8_artifact: Path, tmp_path: Path) -> Path:
    """The four artifacts of a chain, with the comparison that ``run`` would leave."""
    for artifact in (predecessor, successor, onnx_artifact, int8_artifact):
        shutil.copytree(artifact, tmp_path / artifact.name)
    (tmp_path / "summary.json").write_text(json.dumps(summary(tmp_path)), encoding="utf-8")
    return tmp_path
