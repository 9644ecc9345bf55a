"""What ends with a connection, and what with a deadline, without a task or a timer for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect

from replank_serve.engine.deadlines import Deadlines
from replank_serve.engine.inference import PendingRequest
from replank_serve.http.connection import CONNECTION, Connection, while_connected
from waiting import HANG_SECONDS


def request_of(connection: Connection | None, receive: Callable[[], Awaitable[object]] | None = None) -> Request:
    scope = {"type": "http", "extensions": {CONNECTION: connection} if connection else {}}
    return Request(scope, receive)  # type: ignore[arg-type]


async def never() -> None:
    await asyncio.Event().wait()


def run(work: Awaitable[None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(HANG_SECONDS):
            await work

    asyncio.run(limited())


def test_work_ends_with_its_connection() -> None:
    async def scenario() -> None:
        connection = Connection()
        asyncio.get_running_loop().call_soon(connection.lose)
        with pytest.raises(ClientDisconnect):
            await while_connected(request_of(connection), never())
        # A pipelined request that comes to its turn too late.
        with pytest.raises(ClientDisconnect):
            await while_connected(request_of(connection), never())

    run(scenario())


def test_work_that_is_done_is_not_disturbed() -> None:
    async def scenario() -> None:
        connection = Connection()
        assert await while_connected(request_of(connection), asyncio.sleep(0, "done")) == "done"
        connection.lose()
        await asyncio.sleep(0)

    run(scenario())


def test_another_server_tells_by_a_message() -> None:
    async def scenario() -> None:
        messages = iter([{"type": "http.request"}, {"type": "http.disconnect"}])

        async def receive() -> object:
            return next(messages)

        with pytest.raises(ClientDisconnect):
            await while_connected(request_of(None, receive), never())

    run(scenario())


def test_a_cancelled_caller_is_cancelled_and_not_said_to_have_left() -> None:
    async def scenario() -> None:
        connection = Connection()
        task = asyncio.ensure_future(while_connected(request_of(connection), never()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scenario())


def test_requests_expire_in_the_order_of_their_deadlines_on_one_timer() -> None:
    async def scenario() -> None:
        loop, deadlines, order = asyncio.get_running_loop(), Deadlines(), list[float]()

        def ended(seconds: float, _: asyncio.Future[None]) -> None:
            order.append(seconds)

        now = loop.time()
        requests = [PendingRequest(loop.create_future(), "", 1, now + wait, wait) for wait in (0.2, 0.1, 600, 0.15)]
        for request in requests:
            deadlines.add(request)
            request.future.add_done_callback(partial(ended, request.seconds))
        while len(order) < 3:
            await asyncio.sleep(0.001)
        assert order == [0.1, 0.15, 0.2]
        with pytest.raises(Exception, match=r"no answer within 0\.2 seconds"):
            await requests[0].future
        for request in requests[:2] + requests[3:]:
            request.future.exception()
            deadlines.discard(request)
        assert list(deadlines) == [requests[2]]
        deadlines.close()

    run(scenario())
