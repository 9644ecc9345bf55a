"""Progress: plain lines where nobody watches, a bar on a terminal, and never a word on stdout."""

from __future__ import annotations

import io
import sys
import time

import pytest

from replank.system.progress import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock to set by hand."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_come_now_and_then_and_at_the_end(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with progress("train", total=5) as advance:
        advance(1, "loss 0.9")
        clock[0] += 14
        advance(1, "loss 0.8")
        clock[0] += 2
        advance(1, "loss 0.7")
        clock[0] += 1
        advance(1, "loss 0.6")
        advance()
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["train: 3/5 after 16 s loss 0.7", "train: 5/5 after 17 s"]
    assert captured.out == ""


def test_what_an_earlier_run_did_counts(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with progress("train", total=10, done=8) as advance:
        advance(2)
    assert capsys.readouterr().err == "train: 10/10 after 0 s\n"


def test_work_that_stops_early_says_nothing_more(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with pytest.raises(KeyboardInterrupt), progress("train", total=10) as advance:
        advance(3)
        raise KeyboardInterrupt
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("train", total=4, done=1) as advance:
        advance(2, "loss 0.5")
        advance(1)
    text = terminal.getvalue()
    assert "train" in text
    assert "4/4" in text
    assert "loss 0.5" in text, "a step without a note keeps the last one"
    assert capsys.readouterr().out == ""
