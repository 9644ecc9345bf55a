"""uvicorn's HTTP protocol with limits on what comes before a body, on which it sets none: size and time."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from replank_serve.http.errors import error_body

# A head that comes in several pieces; one piece is what the kernel hands over at once, a quarter of a megabyte at most.
MAX_HEAD_BYTES = 65_536


class LimitedProtocol(HttpToolsProtocol):
    """One connection. A client that dribbles its request's head, or sends one without end, is answered and cut off."""

    # Of a connection's first request, or of a further one from its first byte, until its head is whole.
    head_seconds: float

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._in_head = True
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected; its first request is due."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, f"the request's line and headers are larger than {MAX_HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """The first byte of a request came."""
        super().on_message_begin()
        if not self._timer:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is whole; for the body the application cares."""
        self._end_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._refuse(400, "the request is not HTTP")

    def _expect_head(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._timer = self.loop.call_later(self.head_seconds, self._refuse, 408, "the request's head did not arrive")

    def _end_head(self) -> None:
        self._in_head = False
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, message: str) -> None:
        """Answer without the application, and hang up."""
        self._end_head()
        content = error_body(status, message, "")
        head = f"content-type: application/json\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head.encode() + content)
        self.transport.close()


def limited(head_seconds: float) -> type[LimitedProtocol]:
    """The protocol with a time for each head."""
    return type("LimitedProtocol", (LimitedProtocol,), {"head_seconds": head_seconds})
