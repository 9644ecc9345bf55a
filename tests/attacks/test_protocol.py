"""What is no request yet has limits too: its size, its time, and whether it is HTTP at all."""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from replank_serve.http.uvicorn_adapter import MAX_HEAD_BYTES
from served_process import Server, served
from waiting import HANG_SECONDS

HEAD = b"POST /predict HTTP/1.1\r\nhost: server\r\n"
BODY = b'{"inputs": "a"}'
SECONDS = 2.0


@pytest.fixture(scope="module")
def server(onnx_artifact: Path) -> Iterator[Server]:
    with served(onnx_artifact, timeout_seconds=HANG_SECONDS) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(onnx_artifact: Path) -> Iterator[Server]:
    with served(onnx_artifact, timeout_seconds=SECONDS) as running:
        yield running


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=HANG_SECONDS)


def answer(connection: socket.socket) -> tuple[int, dict[str, str]]:
    """The answer to the last thing that a connection is asked."""
    received = b""
    while part := connection.recv(65536):
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def resident_bytes(server: Server) -> int:
    pages = Path(f"/proc/{server.process.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


@pytest.mark.parametrize("sent", [b"", b"POST /pre", HEAD], ids=["nothing", "half a line", "half a head"])
def test_a_head_that_does_not_arrive_is_not_waited_for(impatient: Server, sent: bytes) -> None:
    with connect(impatient) as connection:
        connection.sendall(sent)
        status, body = answer(connection)
    assert (status, body["error_type"]) == (408, "deadline")


def test_a_dribbled_head_of_a_second_request_is_cut_off_too(impatient: Server) -> None:
    with connect(impatient) as connection:
        whole = HEAD + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
        connection.sendall(whole)
        assert b" 200 " in connection.recv(65536)
        # Ten times the time that a head has.
        with pytest.raises(OSError):
            for byte in HEAD + b"x: " + b"a" * round(100 * SECONDS):
                connection.sendall(bytes([byte]))
                time.sleep(0.1)


UNREAD = HEAD + b"content-type: text/plain\r\ncontent-length: 1000\r\n\r\na"


@pytest.mark.parametrize(
    ("request_", "then"),
    [(b"GET /health HTTP/1.1\r\nhost: server\r\n\r\n", b"\r\n"), (UNREAD, b"a")],
    ids=["an empty line", "more of a body that is not read"],
)
def test_bytes_behind_an_answer_do_not_hold_the_connection(impatient: Server, request_: bytes, then: bytes) -> None:
    with connect(impatient) as connection:
        connection.sendall(request_)
        assert connection.recv(65536).startswith(b"HTTP/1.1 ")
        connection.sendall(then)
        while connection.recv(65536):
            pass


def test_requests_of_a_client_that_left_are_no_errors(server: Server) -> None:
    body = b'{"inputs": "superb"}'
    whole = HEAD + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with connect(server) as connection:
        connection.sendall(2 * whole)
        server.until_slow()
    assert server.post("a").status_code == 200
    assert not [line for line in server.log if "ERROR" in line or "Traceback" in line or "never retrieved" in line]


@pytest.mark.parametrize("start", [b"POST /", HEAD + b"x: "], ids=["line", "header"])
def test_a_head_without_end_takes_no_memory(server: Server, start: bytes) -> None:
    before = resident_bytes(server)
    with connect(server) as connection:
        sent, part = 0, b"a" * 65536
        with pytest.raises(OSError):
            connection.sendall(start)
            while sent < 100_000_000:
                connection.sendall(part)
                sent += len(part)
    assert resident_bytes(server) - before < 8_000_000
    assert server.post("a").status_code == 200


def test_a_head_that_is_too_large_is_told_so(server: Server) -> None:
    with connect(server) as connection:
        # Not a byte more: a connection that is closed with bytes unread may be reset before the answer is read.
        connection.sendall((HEAD + b"x: ").ljust(MAX_HEAD_BYTES + 1, b"a"))
        status, body = answer(connection)
    assert (status, body["error_type"]) == (431, "too_large")


def test_what_is_no_http_gets_the_error_body_too(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        status, body = answer(connection)
    assert (status, body["error_type"], body["error"]) == (400, "malformed", "the request is not HTTP")


CHUNKED = b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n" % len(BODY) + BODY + b"\r\n"
LINE = b"x-trailer: " + b"a" * 1000 + b"\r\n"


@pytest.mark.parametrize("path", [b"/predict", b"/", b"/nothing"])
@pytest.mark.parametrize("part", [LINE, b"a" * 65536], ids=["many trailers", "one trailer"])
def test_trailers_without_end_take_no_memory(server: Server, path: bytes, part: bytes) -> None:
    """12 MB of them were kept for as long as the connection was open: verdict 431, or the end of the connection."""
    before = resident_bytes(server)
    with connect(server) as connection:
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\nhost: server\r\n" + CHUNKED + b"0\r\nx: ")
        sent = 0
        with pytest.raises(OSError):
            while sent < 100_000_000:
                connection.sendall(part)
                sent += len(part)
    assert resident_bytes(server) - before < 8_000_000
    assert server.post("a").status_code == 200


def test_a_chunk_header_without_end_is_refused(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(HEAD + CHUNKED + b"1;")
        time.sleep(0.1)
        connection.sendall(b"a" * 70_000)
        status, body = answer(connection)
    assert (status, body["error_type"]) == (431, "too_large")
    assert "trailers, or the header of a chunk," in body["error"]


def test_trailers_after_the_answer_end_the_connection(onnx_artifact: Path) -> None:
    with served(onnx_artifact, api_keys=["correct-horse-battery"]) as keyed, connect(keyed) as connection:
        before = resident_bytes(keyed)
        connection.sendall(HEAD + CHUNKED)
        assert b" 401 " in connection.recv(65536)
        connection.sendall(b"0\r\n")
        with pytest.raises(OSError):
            for _ in range(100_000):
                connection.sendall(LINE)
        assert resident_bytes(keyed) - before < 8_000_000


def test_a_trailer_is_no_header(server: Server) -> None:
    """Its last read brings the whole request, so that the trailers are there before the application looks."""
    with connect(server) as connection:
        head = HEAD + b"connection: close\r\n"
        trailers = b"0\r\nx-request-id: forged\r\n\r\n"
        connection.sendall(head + CHUNKED + trailers)
        received = b""
        while part := connection.recv(65536):
            received += part
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"forged" not in received


def test_a_body_of_tiny_chunks_is_no_attack(server: Server) -> None:
    """Their headers are six times as long as the body, and longer than a head may be."""
    body = json.dumps({"inputs": "a" + " " * 20_000}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    with connect(server) as connection:
        connection.sendall(HEAD + b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        for start in range(0, len(chunks), 1000):
            connection.sendall(chunks[start : start + 1000])
        connection.sendall(b"0\r\n\r\n")
        assert b"HTTP/1.1 200 " in connection.recv(65536)
