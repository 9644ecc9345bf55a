"""A model folder for the tests of texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiny import tiny_settings, write_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A BERT's folder without its weights."""
    write_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(tiny_settings(type_vocab_size=2)), encoding="utf-8")
    return tmp_path
