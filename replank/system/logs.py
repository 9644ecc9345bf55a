"""Log messages of the command line."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

_PACKAGES = ("replank", "replank_compress", "replank_export", "replank_serve")


def configure_logging(level: int = logging.INFO, formatter: logging.Formatter | None = None) -> None:
    """Show log messages on stderr: replank's own from ``level`` on, and warnings of other libraries.

    INFO is progress, WARNING needs a person's attention, DEBUG is everything else. A second call replaces the first.

    :param formatter: by default, the message and nothing else.
    """
    root = logging.getLogger()
    for earlier in [handler for handler in root.handlers if isinstance(handler, _StderrHandler)]:
        root.removeHandler(earlier)
    handler = _StderrHandler()
    handler.setFormatter(formatter or logging.Formatter("%(message)s"))
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
