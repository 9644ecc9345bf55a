"""Small graphs on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from family import write_family


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a graph of families, with valid.txt, test.txt and names."""
    return write_family(tmp_path_factory.mktemp("graphs") / "family")
