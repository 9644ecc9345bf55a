"""The server's log on stderr: one line per event, as text or as a JSON object, with the id of its request."""

from __future__ import annotations

import logging
import time
from typing import Any

from pythonjsonlogger import json

from replank.system.logs import configure_logging
from replank_serve.engine.request_id import REQUEST_ID

_TEXT = "%(asctime)s %(levelname)s %(message)s"
_NAMES = {"asctime": "time", "levelname": "level", "name": "logger", "exc_info": "exception", "stack_info": "stack"}


def log_to_stderr(*, log_requests: bool, json_logs: bool) -> None:
    """Configure the log of this process.

    :param log_requests: log every request, not only those that fail with a server error. For a short text, that line
        is a tenth of the server's work.
    """
    # DEBUG, where it was asked for, stays.
    level = min(logging.INFO, logging.getLogger("replank").getEffectiveLevel())
    configure_logging(level, JsonFormatter() if json_logs else logging.Formatter(_TEXT))
    logging.getLogger("replank_serve.request").setLevel(logging.INFO if log_requests else logging.WARNING)
    if json_logs:
        _take_over()


def _take_over() -> None:
    """Bring the warnings and records of all libraries to the root's handler, also of those that are imported later.

    Some libraries give their loggers a handler, which would write lines of text.
    """
    logging.captureWarnings(True)
    logging.setLoggerClass(_PropagatingLogger)
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.__class__ = _PropagatingLogger


class _PropagatingLogger(logging.Logger):
    """A logger that takes no handler of its own."""

    @property
    def propagate(self) -> bool:
        return True

    @propagate.setter
    def propagate(self, value: bool) -> None:
        pass

    def addHandler(self, hdlr: logging.Handler) -> None:
        """Nothing."""


class JsonFormatter(json.JsonFormatter):
    """One JSON object per line, in ASCII, so that no text can break a line or imitate one.

    Its fields are ``time`` (UTC), ``level``, ``logger``, ``message``, the record's extra fields, ``exception`` where
    there is one, and ``request_id`` within a request.
    """

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03d+00:00"

    def __init__(self) -> None:
        super().__init__(("asctime", "levelname", "name", "message"), rename_fields=_NAMES, json_ensure_ascii=True)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Add the request's id."""
        if request_id := REQUEST_ID.get():
            log_data.setdefault("request_id", request_id)
        return log_data
