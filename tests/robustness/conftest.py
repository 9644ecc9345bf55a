"""What tests of attacks share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import replank as interface
from replank.data.config import DataConfig
from replank.robustness.config import AttackConfig
from replank.robustness.result import AttackResult


@pytest.fixture(scope="package")
def result(
    predecessor: Path, int8_artifact: Path, masked_lm: Path, encoder: Path, data: DataConfig, tmp_path_factory: Any
) -> AttackResult:
    """Two models under the same attack."""
    out = tmp_path_factory.mktemp("attack") / "attack.json"
    return interface.attack(
        [predecessor, int8_artifact], masked_lm, AttackConfig(rows=24), data=data, similarity_model=encoder, out=out
    )
