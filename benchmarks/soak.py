"""A soak test: half an hour of load, in which nothing may leak and every request must be answered once.

Clients connect, send some texts each and disconnect, now and then without waiting for the response. Each minute the
model is replaced by itself. At the end the server gets SIGTERM under load. Every answer is compared with the first one
to the same text; requests before SIGTERM must be answered, and later ones answered or refused.

    python benchmarks/soak.py MODEL [--minutes 30] [--data FOLDER] [--neighbours 1 --out FILE]

Most texts are short, and one of eleven is as long as ten. `--neighbours` runs processes beside it that are always busy.
The result is written to benchmarks/results/soak.json or FILE; the exit status is 1 if any of that failed, or if memory
or open files grew from the first to the last tenth of the time.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from busy_server import busy
from closed_loop import HttpClient, RefusedError
from live_server import LiveServer, numbers, served
from replank.system.environment import machine, versions
from servers import read_texts

RESULT = Path(__file__).parent / "results" / "soak.json"
_CLIENTS = 24
_LEAVING_SHARE = 0.02
_MAX_ASKED = 40
# So many texts, one after the other, are a long one.
_LONG_OF = 10
_TOLERANCE = 1e-3
_SAMPLE_SECONDS = 5.0
_SWAP_SECONDS = 60.0
# Buffers grow at first.
_WARM_SHARE = 0.1
_MAX_MEMORY_GROWTH = 0.05
_ENDING_SECONDS = 3.0

Answers = dict[str, dict[str, float]]


@click.command(help=__doc__)
@click.argument("model", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Data set with the texts.")
@click.option("--minutes", default=30.0, show_default=True, type=click.FloatRange(min=0.2))
@click.option("--neighbours", default=0, show_default=True, type=click.IntRange(0), help="Busy processes beside it.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, show_default=True)
def main(model: Path, data: Path | None, minutes: float, neighbours: int, out: Path) -> None:
    """Run, judge, and write the result."""
    with tempfile.TemporaryDirectory() as scratch:
        texts = _of_all_lengths(read_texts(data, Path(scratch))[:500])
    with busy(neighbours), served(model, "--allow-load", "--model-root", str(model.resolve().parent)) as server:
        result = asyncio.run(_soak(server, model.resolve(), texts, 60 * minutes))
        result["exit_status"] = server.process.wait(30)
    result |= {"faults": _faults(result), "neighbours": neighbours}
    result |= {"machine": asdict(machine()), "versions": versions()}
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in result.items() if name != "samples"}, indent=1))
    sys.exit(1 if result["faults"] else 0)


async def _soak(server: LiveServer, model: Path, texts: Sequence[str], seconds: float) -> dict[str, Any]:
    clients = _Clients(server.port, await _first_answers(server.port, texts))
    visits = [asyncio.ensure_future(clients.come_and_go(random.Random(number))) for number in range(_CLIENTS)]  # noqa: S311
    samples: list[dict[str, float]] = []
    swaps, began = 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        await asyncio.sleep(_SAMPLE_SECONDS)
        samples.append({"second": round(passed)} | _sizes(await asyncio.to_thread(numbers, server.url)))
        if passed > (swaps + 1) * _SWAP_SECONDS:
            await asyncio.to_thread(_swap, server.url, model)
            swaps += 1
    before = Counter(clients.outcomes)
    clients.ending = True
    server.process.terminate()
    await asyncio.sleep(_ENDING_SECONDS)
    for visit in visits:
        visit.cancel()
    await asyncio.gather(*visits, return_exceptions=True)
    return {
        "seconds": seconds,
        "clients": _CLIENTS,
        "swaps": swaps,
        "latency_ms": clients.latency_ms(),
        "outcomes": dict(before),
        "after_sigterm": dict(clients.outcomes - before),
        "growth": _growth(samples),
        "samples": samples,
    }


class _Clients:
    """Clients that count the outcomes of their requests.

    :param expected: the correct answers.
    """

    def __init__(self, port: int, expected: Answers) -> None:
        self.outcomes: Counter[str] = Counter()
        self.ending = False
        self._port = port
        self._expected = expected
        self._seconds: list[float] = []

    def latency_ms(self) -> dict[str, float]:
        """Percentiles of the time from a request to its whole answer, before SIGTERM."""
        p50, p99, most = 1e3 * np.percentile(self._seconds, (50, 99, 100))
        return {"p50": round(p50, 1), "p99": round(p99, 1), "max": round(most, 1)}

    async def come_and_go(self, chance: random.Random) -> None:
        """Visit after visit, until cancelled, or refused after SIGTERM."""
        texts = list(self._expected)
        while True:
            client = _client(self._port)
            try:
                for _ in range(chance.randint(1, _MAX_ASKED)):
                    text = chance.choice(texts)
                    if chance.random() < _LEAVING_SHARE:
                        await client.post(text)
                        await asyncio.sleep(chance.random() / 100)
                        self.outcomes["left"] += 1
                        break
                    self.outcomes[await self._outcome(client, text)] += 1
            except ConnectionRefusedError:
                self.outcomes["refused" if self.ending else "lost"] += 1
                if self.ending:
                    return
            finally:
                client.close()

    async def _outcome(self, client: HttpClient, text: str) -> str:
        asked = time.perf_counter()
        try:
            scores = _scores(await client.ask(text))
        except RefusedError as error:
            return f"refused with {error}" if not self.ending else "refused"
        except (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError):
            return "lost"
        if not self.ending:
            self._seconds.append(time.perf_counter() - asked)
        expected = self._expected[text]
        return "answered" if all(abs(scores[name] - expected[name]) < _TOLERANCE for name in expected) else "wrong"


def _of_all_lengths(texts: Sequence[str]) -> list[str]:
    ends = range(_LONG_OF, len(texts) + 1, _LONG_OF)
    return [*texts, *(" ".join(texts[end - _LONG_OF : end]) for end in ends)]


async def _first_answers(port: int, texts: Sequence[str]) -> Answers:
    client = _client(port)
    answers = {text: _scores(await client.ask(text)) for text in texts}
    client.close()
    return answers


def _client(port: int) -> HttpClient:
    return HttpClient(port, "/predict", lambda text: {"inputs": text})


def _scores(answer: bytes) -> dict[str, float]:
    return {score["label"]: score["score"] for score in json.loads(answer)}


def _swap(url: str, model: Path) -> None:
    body = json.dumps({"folder": str(model)}).encode()
    request = urllib.request.Request(f"{url}/models/model", body, {"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        response.read()


def _sizes(found: dict[str, float]) -> dict[str, float]:
    return {
        "memory_mb": round(found["process_resident_memory_bytes"] / 1e6, 1),
        "open_files": found["process_open_fds"],
        "waiting": found["replank_queue_items"],
        "received": found["replank_requests_received_total"],
    }


def _growth(samples: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """The medians of the first tenth of the time after the warm-up and of the last tenth."""
    tenth = max(1, int(len(samples) * _WARM_SHARE))
    parts = samples[tenth : 2 * tenth], samples[-tenth:]
    return {
        name: [statistics.median(sample[name] for sample in part) for part in parts]
        for name in ("memory_mb", "open_files")
    }


def _faults(result: dict[str, Any]) -> list[str]:
    """The violated conditions."""
    faults = [
        f"{count} requests {outcome}"
        for phase in ("outcomes", "after_sigterm")
        for outcome, count in result[phase].items()
        if outcome not in ("answered", "left", *(["refused"] if phase == "after_sigterm" else []))
    ]
    first, last = result["growth"]["memory_mb"]
    if last > first * (1 + _MAX_MEMORY_GROWTH):
        faults.append(f"memory grew from {first} to {last} MB")
    first, last = result["growth"]["open_files"]
    # Connections that are just being opened or closed are files too.
    if last > first + _CLIENTS / 2:
        faults.append(f"open files grew from {first:g} to {last:g}")
    if result["exit_status"]:
        faults.append(f"the server ended with {result['exit_status']}")
    return faults


if __name__ == "__main__":
    main()
