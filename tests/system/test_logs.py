"""Log messages of the command line: which are shown, and how."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from replank.system.logs import configure_logging


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Untouched loggers, which a server of an earlier test may have set up; afterwards all is as before."""
    names = ("replank", "replank_compress", "replank_export", "replank_serve", "torch", "torch.onnx")
    found = [logging.getLogger(), *map(logging.getLogger, names)]
    before = [(log, list(log.handlers), log.propagate, log.level) for log in found]
    for log in found[1:]:
        log.handlers[:] = []
        log.propagate = True
        log.setLevel(logging.NOTSET)
    yield
    for log, handlers, propagate, level in before:
        log.handlers[:] = handlers
        log.propagate = propagate
        log.setLevel(level)


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    for name in ("replank.chain.run", "replank_compress.training.train", "replank_serve.app", "torch.onnx"):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).log(level, "%s of %s", logging.getLevelName(level), name)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_progress_is_shown_of_replank_and_warnings_of_everybody(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    assert shown(capsys) == [
        "INFO of replank.chain.run",
        "WARNING of replank.chain.run",
        "INFO of replank_compress.training.train",
        "WARNING of replank_compress.training.train",
        "INFO of replank_serve.app",
        "WARNING of replank_serve.app",
        "WARNING of torch.onnx",
    ]


def test_a_second_call_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(logging.DEBUG)
    configure_logging(logging.WARNING, logging.Formatter("> %(message)s"))
    assert [line for line in shown(capsys) if "replank" in line] == [
        "> WARNING of replank.chain.run",
        "> WARNING of replank_compress.training.train",
        "> WARNING of replank_serve.app",
    ]
