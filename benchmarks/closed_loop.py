"""A closed-loop load: clients that each send one text after the other, and use little of the cores they share."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Ask = Callable[[str], Awaitable[object]]


@dataclass(frozen=True)
class Load:
    """The measurements of a load.

    :param per_second: answered texts per second.
    :param errors: responses with another status than 200.
    :param processor_ms: of each meter, milliseconds of processor time for each answered text.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    processor_ms: dict[str, float]


async def closed_loop(
    asks: Sequence[Ask],
    texts: Sequence[str],
    warmup_seconds: float,
    seconds: float,
    meters: Mapping[str, Callable[[], float]],
) -> Load:
    """Run clients for some time; requests that begin and end within it count.

    :param asks: one for each client.
    :param texts: sent in this order over all clients, in a cycle.
    :param meters: functions that give the processor time of somebody so far, in seconds.
    """
    turn = itertools.cycle(texts)
    begin = time.perf_counter() + warmup_seconds
    end = begin + seconds
    samples: list[float] = []
    errors = 0

    async def client(ask: Ask) -> None:
        nonlocal errors
        while (asked := time.perf_counter()) < end:
            try:
                await ask(next(turn))
            except RefusedError:
                errors += 1
                continue
            answered = time.perf_counter()
            if asked >= begin and answered <= end:
                samples.append(answered - asked)

    async def meter() -> dict[str, float]:
        await asyncio.sleep(begin - time.perf_counter())
        before = {name: read() for name, read in meters.items()}
        await asyncio.sleep(end - time.perf_counter())
        return {name: read() - before[name] for name, read in meters.items()}

    metering = asyncio.ensure_future(meter())
    await asyncio.gather(*map(client, asks))
    used = await metering
    if not samples:
        raise RefusedError("no request was answered")
    p50, p99 = 1e3 * np.percentile(samples, (50, 99))
    processor_ms = {name: 1e3 * found / len(samples) for name, found in used.items()}
    return Load(len(samples) / seconds, float(p50), float(p99), errors, processor_ms)


class RefusedError(Exception):
    """A response with another status than 200."""


class HttpClient:
    """A kept-alive connection that posts JSON. On bare sockets: an HTTP library would use more time than the server.

    :param body: the JSON body for a text.
    """

    def __init__(self, port: int, path: str, body: Callable[[str], object]) -> None:
        self._port = port
        self._path = path
        self._body = body
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, text: str) -> bytes:
        """Post a text and read the whole response.

        :raises RefusedError: its status is not 200.
        """
        reader = await self.post(text)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        answer = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        if status.split()[1] != "200":
            raise RefusedError(status)
        return answer

    async def post(self, text: str) -> asyncio.StreamReader:
        """Post a text without waiting for the response, which the reader will give."""
        if not self._streams:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        body = json.dumps(self._body(text)).encode()
        head = f"POST {self._path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        return reader

    def close(self) -> None:
        """Close the connection."""
        if self._streams:
            self._streams[1].close()
            self._streams = None
