"""The id of the request that is being answered, for the log."""

from __future__ import annotations

from contextvars import ContextVar

# Empty outside of a request. The HTTP layer sets it.
REQUEST_ID: ContextVar[str] = ContextVar("replank.request_id", default="")
