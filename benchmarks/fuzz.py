"""Fuzzing: thousands of malformed requests to a real server, and a check of its answers, metrics and memory.

Broken and truncated JSON, wrong types, huge bodies, bytes that are not HTTP, partial requests, texts of every kind,
over eight connections at once. No response may be 5xx except 503 and 504; afterwards the server must answer as
before, its counters must balance, and its memory must not have grown.

    python benchmarks/fuzz.py MODEL --requests 10000

prints the result as JSON, and exits with 1 if any of that failed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from live_server import numbers, served

CLIENTS = 8
# Buffers grow during the first share of the requests; after it, memory may grow by at most MAX_GROWTH.
WARM_SHARE = 0.2
MAX_GROWTH = 0.1
ALPHABETS = (
    "abc \n\t\"'\\/{}[]:,",
    "\x00\x01\x1f\x7f\x85\u2028\u2029\ufeff\ufffe\uffff",
    "\ud800\udbff\udc00\udfff",
    "\u0301\u0336\u20dd\u200d\u200b\u202e\u2066",
    "\U0001f600\U0001f468\U0001f3fd\U000e0067\U0010ffff",
    "\u05d8\u0639\u0e01\u6a21\uac00\u1e9e\u0130\ufb01",
)
# Bytes, and whether they must get a response.
Sent = tuple[bytes, bool]
Make = Callable[[random.Random], Sent]
PATHS = ("/predict", "/tokenize", "/ner", "/v2/models/model/infer")
ODD_PATHS = ("/v2/models/%00/infer", "/models/%ff", "/info?model=%ed", "/page/../../etc/passwd")
ODD_HEADERS = ("x-request-id", "traceparent", "authorization", "accept", "content-encoding", "expect")


def text(generator: random.Random) -> str:
    """Characters that are difficult for tokenizers, JSON or logs."""
    alphabet = generator.choice(ALPHABETS) + generator.choice(ALPHABETS)
    return "".join(generator.choices(alphabet, k=generator.choice((0, 1, 5, 50, 2000))))


def value(generator: random.Random, depth: int = 3) -> Any:
    """Any JSON value."""
    kind = generator.randrange(8 if depth else 6)
    if kind == 6:
        return [value(generator, depth - 1) for _ in range(generator.randrange(4))]
    if kind == 7:
        return {text(generator)[:20]: value(generator, depth - 1) for _ in range(generator.randrange(4))}
    number = generator.choice((0, -1, 1.5, 10**30, float("nan"), float("inf")))
    return (None, True, number, text(generator), "good film", "")[kind]


def valid(generator: random.Random) -> dict[str, Any]:
    """A valid request for one of the routes."""
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [text(generator)]}
    inputs = generator.choice((text(generator), [text(generator), "good film"], [tensor]))
    return {"inputs": inputs} | generator.choice(({}, {}, {"top": 1}, {"model": None}, {"id": "a"}))


def body(generator: random.Random) -> bytes:
    """The body of a request, valid or not."""
    values = valid(generator)
    kind = generator.randrange(7)
    if kind == 0:
        values[generator.choice(("inputs", "top", "model", "id", "outputs", text(generator)))] = value(generator)
    encoded = json.dumps(value(generator) if kind == 1 else values).encode()
    if kind == 2:
        return encoded[: generator.randrange(len(encoded))]
    if kind == 3:
        at = generator.randrange(len(encoded))
        return encoded[:at] + generator.randbytes(generator.randrange(1, 9)) + encoded[at + 1 :]
    if kind == 4 and generator.random() < 0.1:
        long = b'{"inputs": "' + b"a" * 3_000_000 + b'"}'
        return generator.choice(
            (b"[" * 100_000, b'{"inputs": ' + b"9" * 50_000, b'{"inputs": [' + b'"",' * 100_000, long)
        )
    return encoded


def request(generator: random.Random) -> Sent:
    """An HTTP request."""
    path = generator.choice((*PATHS * 6, *ODD_PATHS, "/" + generator.randbytes(9).hex("%")))
    method = generator.choice(("POST",) * 30 + ("GET", "DELETE", "OPTIONS", "BREW"))
    kind = generator.choice(("application/json",) * 9 + ("text/plain", "", "application/json; charset=\xff"))
    content = body(generator)
    length = len(content) if generator.random() < 0.9 else generator.choice((0, -1, len(content) + 9, 10**25))
    headers = {"host": "a", "connection": "close", "content-type": kind, "content-length": length}
    if generator.random() < 0.2:
        odd = generator.choice(("\xff" * 9, "a" * 3000, "00-0-0-0", "gzip", "100-continue", "Bearer"))
        headers[generator.choice(ODD_HEADERS)] = odd
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {one}" for name, one in headers.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content, length == len(content)


def chunked(generator: random.Random) -> Sent:
    """A chunked request, valid or not."""
    headers = "host: a\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked"
    content = body(generator)[:5000]
    size = generator.choice((f"{len(content):x}", "zz", "-1", "f" * 20))
    end = generator.choice((b"\r\n0\r\n\r\n", b"", b"\r\n"))
    return f"POST /predict HTTP/1.1\r\n{headers}\r\n\r\n{size}\r\n".encode() + content + end, False


def cut_off(generator: random.Random) -> Sent:
    """A truncated request."""
    whole, _ = request(generator)
    return whole[: generator.randrange(len(whole))], False


def noise(generator: random.Random) -> Sent:
    """Bytes that are not HTTP."""
    return generator.randbytes(generator.choice((1, 50, 5000))) + b"\r\n\r\n", False


KINDS: tuple[tuple[Make, int], ...] = ((request, 14), (cut_off, 3), (chunked, 2), (noise, 1))


def send(address: tuple[str, int], seed: int) -> str:
    """The outcome of one request: a status, a kind of error, or ``left``."""
    generator = random.Random(seed)  # noqa: S311 - chaos, no secret
    (make,) = generator.choices([make for make, _ in KINDS], [weight for _, weight in KINDS])
    content, is_due = make(generator)
    answer = b""
    try:
        with socket.create_connection(address, timeout=60) as connection:
            half = generator.randrange(len(content) + 1)
            connection.sendall(content[:half])
            if generator.random() < 0.02:
                time.sleep(0.05)
            connection.sendall(content[half:])
            if generator.random() < 0.05:
                return "left"
            # A server rightly waits for the rest of a partial request; the client disconnects.
            connection.settimeout(60 if is_due else 0.2)
            while part := connection.recv(65536):
                answer += part
    except OSError as error:
        if not answer:
            return type(error).__name__ if is_due else "left"
    return judged(answer)


def judged(answer: bytes) -> str:
    """The status of a response, followed by its fault if it has one."""
    head, _, content = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/1.1 (\d{3}) ", head)
    if not match:
        return "no HTTP" if head else "closed"
    status = match[1].decode()
    if b"Traceback" in content:
        return f"{status} with a stack trace"
    # The HTTP server itself, not the application, answers what is not HTTP.
    if b"x-request-id" in head and status >= "400" and b'"error_type":' not in content:
        return f"{status} without the error body"
    return status


def is_fault(outcome: str) -> bool:
    """Whether an outcome is a fault of the server."""
    return " " in outcome or outcome == "TimeoutError" or (outcome[0] == "5" and outcome not in ("503", "504"))


def predict(url: str) -> Any:
    """The server's answer to a valid request."""
    content = json.dumps({"inputs": ["the film is superb", "dull"]}).encode()
    asked = urllib.request.Request(f"{url}/predict", content, {"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=60) as response:  # noqa: S310
        return json.load(response)


def fuzz(url: str, requests: int, seed: int) -> dict[str, Any]:
    """Send malformed requests, and compare the server before and after."""
    host, port = url.removeprefix("http://").split(":")
    before = predict(url)
    outcomes: Counter[str] = Counter()
    warm = int(WARM_SHARE * requests)
    with ThreadPoolExecutor(CLIENTS) as pool:
        for part in (range(seed, seed + warm), range(seed + warm, seed + requests)):
            outcomes.update(pool.map(lambda number: send((host, int(port)), number), part))
            if part.start == seed:
                first = numbers(url)
    time.sleep(1)
    last = numbers(url)
    growth = last["process_resident_memory_bytes"] / first["process_resident_memory_bytes"] - 1
    balance = last["replank_requests_received_total"] - last["replank_requests_total"]
    return {
        "requests": requests,
        "outcomes": dict(outcomes.most_common()),
        "faults": {outcome: count for outcome, count in outcomes.items() if is_fault(outcome)},
        "answers_as_before": predict(url) == before,
        "in_progress_besides_this": balance - 1,
        "waiting": last["replank_queue_items"],
        "memory_mb": [round(each["process_resident_memory_bytes"] / 1e6, 1) for each in (first, last)],
        "memory_growth": round(growth, 4),
        "open_files": [int(each["process_open_fds"]) for each in (first, last)],
    }


def main() -> None:
    """Fuzz a server and judge it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with served(arguments.model) as server:
        result = fuzz(server.url, arguments.requests, arguments.seed)
    print(json.dumps(result, indent=2))
    sound = result["answers_as_before"] and not result["in_progress_besides_this"] and not result["waiting"]
    flat = result["memory_growth"] <= MAX_GROWTH or arguments.requests < 5000
    sys.exit(0 if sound and flat and not result["faults"] else 1)


if __name__ == "__main__":
    main()
