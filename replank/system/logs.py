"""Log messages of the command line and of its child processes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

_PACKAGES = ("replank", "replank_compress", "replank_export", "replank_serve")
# With an error's traceback.
WHERE = "where it happened:"


def configure_logging(level: int = logging.INFO, formatter: logging.Formatter | None = None) -> None:
    """Show log messages on stderr: replank's own from ``level`` on, and warnings of other libraries.

    INFO is progress, WARNING needs a person's attention, DEBUG is everything else. A second call replaces the first.

    :param formatter: by default, the message and nothing else.
    """
    handler = _StderrHandler()
    handler.setFormatter(formatter or logging.Formatter("%(message)s"))
    _handle_by(handler, level)


def log_level() -> int:
    """The level from which replank's own messages are shown, for a child process to do the same."""
    return logging.getLogger("replank").getEffectiveLevel()


@dataclass(frozen=True)
class LogMessage:
    """A log message on its way from a child process to its parent.

    :param text: with a traceback, if there is one.
    """

    logger: str
    level: int
    text: str

    def show(self) -> None:
        """Log it here."""
        logging.getLogger(self.logger).log(self.level, "%s", self.text)


def send_log_messages(send: Callable[[LogMessage], None], level: int) -> None:
    """Hand the messages of this process, a child, to ``send`` instead of showing them.

    :param level: the parent's :func:`log_level`.
    """
    _handle_by(_Sender(send), level)


def _handle_by(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    for earlier in [found for found in root.handlers if isinstance(found, (_StderrHandler, _Sender))]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for package in _PACKAGES:
        logging.getLogger(package).setLevel(level)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """A handler that writes to what ``sys.stderr`` is at the time of a message, such as a progress bar's stand-in."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _Sender(logging.Handler):
    """A handler that hands messages on."""

    def __init__(self, send: Callable[[LogMessage], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send(LogMessage(record.name, record.levelno, self.format(record)))
