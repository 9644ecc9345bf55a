"""Log messages of the command line: which are shown, and how."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from replank.system.logs import LogMessage, configure_logging, log_level, send_log_messages
from replank.system.quiet import quiet_logging, quiet_transformers


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


def test_a_child_sends_what_its_parent_would_show(capsys: pytest.CaptureFixture[str]) -> None:
    sent: list[LogMessage] = []
    configure_logging()
    send_log_messages(sent.append, logging.DEBUG)
    assert shown(capsys) == []
    assert [message for message in sent if message.logger in ("replank_compress.training.train", "torch.onnx")] == [
        LogMessage("replank_compress.training.train", logging.DEBUG, "DEBUG of replank_compress.training.train"),
        LogMessage("replank_compress.training.train", logging.INFO, "INFO of replank_compress.training.train"),
        LogMessage("replank_compress.training.train", logging.WARNING, "WARNING of replank_compress.training.train"),
        LogMessage("torch.onnx", logging.WARNING, "WARNING of torch.onnx"),
    ]
    try:
        raise ValueError("100 % wrong")
    except ValueError as error:
        logging.getLogger("replank.x").debug("why:", exc_info=error)
    assert sent[-1].text.startswith("why:\nTraceback (most recent call last):")
    configure_logging(logging.DEBUG)
    sent[-1].show()
    assert capsys.readouterr().err.endswith("\nValueError: 100 % wrong\n")


def test_a_parent_shows_a_childs_message_by_its_own_rules(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    for level in (logging.DEBUG, logging.INFO):
        LogMessage("replank_export.x", level, f"{logging.getLevelName(level)} of a child").show()
    assert capsys.readouterr().err == "INFO of a child\n"


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_nothing_is_silenced_where_everything_is_to_be_seen(capsys: pytest.CaptureFixture[str], level: int) -> None:
    configure_logging(level)
    assert log_level() == level
    with quiet_logging():
        logging.getLogger("torch.onnx").warning("a guess")
        logging.getLogger("torch.onnx").error("a failure")
    assert capsys.readouterr().err.splitlines() == ["a guess", "a failure"][level == logging.INFO :]
    logging.getLogger("torch.onnx").warning("again")
    assert capsys.readouterr().err == "again\n"


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_transformers_too(level: int) -> None:
    from transformers.utils import logging as untyped

    transformers_logging: Any = untyped
    before = transformers_logging.get_verbosity()
    configure_logging(level)
    with quiet_transformers():
        assert transformers_logging.get_verbosity() == (logging.ERROR if level == logging.INFO else before)
    assert transformers_logging.get_verbosity() == before != logging.ERROR
