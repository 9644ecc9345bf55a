"""What tests of chains share."""

from __future__ import annotations

import pytest


@pytest.fixture
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever runs beside the tests: what was measured on a busy machine is measured again."""
    monkeypatch.setattr("replank.chain.costs.disturbance", lambda *_: None)
