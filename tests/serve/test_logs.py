"""The server's log: one line per event, which no text can break or imitate."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from replank_serve.engine.request_id import REQUEST_ID
from replank_serve.http.logs import JsonFormatter

SCRIPT = """
import logging, sys, warnings
from replank_serve.http.logs import log_to_stderr

early = logging.getLogger("loud.early")
early.addHandler(logging.StreamHandler())
early.propagate = False
log_to_stderr(log_requests=sys.argv[1] == "requests", json_logs=sys.argv[2] == "json")
logging.getLogger("replank_serve.server").info("serving")
logging.getLogger("replank.models").warning("a model's\\nwarning")
logging.getLogger("uvicorn.error").info("chatter")
logging.getLogger("somebody.else").warning("trouble")
for name in ("uvicorn", "loud.early"):
    logging.getLogger(name).error("%s", name)
late = logging.getLogger("loud.late")
late.addHandler(logging.StreamHandler())
late.propagate = False
late.warning("late")
warnings.warn("old\\nways")
for level in (logging.INFO, logging.WARNING):
    logging.getLogger("replank_serve.request").log(level, "POST /predict")
"""


def formatted(message: object, *arguments: object, request_id: str = "", **settings: Any) -> dict[str, Any]:
    """The fields of a record's line."""
    exc_info = settings.pop("exc_info", None)
    log = logging.getLogger("replank_serve.test")
    record = log.makeRecord(log.name, logging.WARNING, __file__, 1, message, arguments, exc_info, **settings)
    record.created = 1_700_000_000.25
    record.msecs = 250.0
    token = REQUEST_ID.set(request_id)
    line = JsonFormatter().format(record)
    REQUEST_ID.reset(token)
    assert line.isascii()
    assert line.isprintable()
    fields = json.loads(line)
    assert isinstance(fields, dict)
    return fields


def said(*arguments: str) -> list[str]:
    """The lines of a process that logs in several places."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_a_record_is_one_object_with_its_time_in_utc() -> None:
    assert formatted("%d requests", 3) == {
        "time": "2023-11-14T22:13:20.250+00:00",
        "level": "WARNING",
        "logger": "replank_serve.test",
        "message": "3 requests",
    }
    assert datetime.fromisoformat(formatted("")["time"]) == datetime(2023, 11, 14, 22, 13, 20, 250_000, UTC)


@pytest.mark.parametrize(
    "text",
    [
        "two\nlines",
        "a\r\nb",
        '{"level": "ERROR"}',
        '"}\n{"message": "forged',
        "\u2028\u2029\x85",
        "\x1b[2J",
        "é😀",
        "\ud800",
    ],
)
def test_no_text_breaks_a_line_or_forges_a_field(text: str) -> None:
    fields = formatted("%s", text, request_id=text, extra={"path": text})
    assert (fields["message"], fields["path"], fields["request_id"]) == (text, text, text)
    assert fields["level"] == "WARNING"


def test_a_request_and_extra_fields_are_in_it_and_an_exception() -> None:
    try:
        raise RuntimeError("no\nkernel")
    except RuntimeError:
        fields = formatted("failed", request_id="order-66", exc_info=sys.exc_info(), extra={"status": 500})
    assert (fields["request_id"], fields["status"]) == ("order-66", 500)
    assert fields["exception"].startswith("Traceback (most recent call last):\n")
    assert fields["exception"].endswith("RuntimeError: no\nkernel")
    # The middleware names the request itself, also where its context has ended.
    assert formatted("", request_id="inner", extra={"request_id": "outer"})["request_id"] == "outer"


def test_values_that_json_does_not_know_are_written_as_text() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "odd\n"

    assert formatted("", extra={"value": Odd()})["value"] == "odd\n"


@pytest.mark.parametrize(("requests", "expected"), [("requests", 2), ("failures", 1)])
def test_every_line_of_the_process_is_json(requests: str, expected: int) -> None:
    lines = [json.loads(line) for line in said(requests, "json")]
    loggers = [line["logger"] for line in lines]
    libraries = ["somebody.else", "uvicorn", "loud.early", "loud.late", "py.warnings"]
    assert loggers == ["replank_serve.server", "replank.models", *libraries] + ["replank_serve.request"] * expected
    assert "UserWarning: old\nways" in lines[6]["message"]
    assert lines[1]["message"] == "a model's\nwarning"


def test_lines_of_text_have_a_time_and_a_level() -> None:
    first = said("failures", "text")[0].split()
    assert datetime.fromisoformat(f"{first[0]} {first[1].replace(',', '.')}")
    assert first[2:] == ["INFO", "serving"]
