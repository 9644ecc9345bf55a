"""The id of the current request, for the log."""

from __future__ import annotations

from contextvars import ContextVar

# Empty outside a request. The HTTP layer sets it.
REQUEST_ID: ContextVar[str] = ContextVar("replank.request_id", default="")
