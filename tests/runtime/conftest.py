"""The clock of what measures providers."""

from __future__ import annotations

import pytest

from providers import CLOCK
from replank.runtime import provider_measurement, timing


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model take as long as it is said to, and no time besides."""
    monkeypatch.setattr(timing, "time", CLOCK)
    monkeypatch.setattr(provider_measurement, "time", CLOCK)
