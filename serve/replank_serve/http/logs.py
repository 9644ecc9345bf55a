"""The server's log: one line on stderr for each event, as text or as a JSON object, with the request it belongs to."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from replank_serve.engine.request_id import REQUEST_ID

_LOGGERS = ("replank_serve", "uvicorn")
# What every record has; whatever else one has was given to it as `extra`.
_STANDARD_FIELDS = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


def log_to_stderr(*, log_requests: bool, json_logs: bool) -> None:
    """Write the log of this process's server, whatever the rest of the process logs.

    :param log_requests: whether requests that were answered, or refused, have a line each. Of a short text, the line
        would be a tenth of the server's work.
    """
    formatter = JsonFormatter() if json_logs else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    for name in _LOGGERS:
        log = logging.getLogger(name)
        if not log.handlers:
            log.addHandler(handler)
            log.setLevel(logging.INFO if name == "replank_serve" else logging.WARNING)
            log.propagate = False
    logging.getLogger("replank_serve.request").setLevel(logging.INFO if log_requests else logging.WARNING)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: no text in it can break a line or look like another one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's time (UTC), level, logger and message, its request, its extra fields and its exception."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            fields["request_id"] = request_id
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)
