"""A real server in a process of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from waiting import HANG_SECONDS, until

# A model whose answer to the word "superb" takes as many seconds as the second argument says, whose inference thread
# ends when it reads "awful", and which fails on "weak"; with another tokenizer, if the fourth argument names one. The
# process may start nobody, and connect to nobody but a collector that it was told of.
RUNNER = """
import json, os, sys, time
from dataclasses import replace
from replank.runtime.load import load_model
from replank.models.source import open_source
from replank.text.tokenization import TextEncoder
from replank_serve.app import ServeConfig
from replank_serve.server import run_server
from tokenizers import Tokenizer

def watch(event, arguments):
    if event == "socket.connect" and str(arguments[1][1]) in os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""):
        return
    if event in ("socket.connect", "subprocess.Popen", "os.fork"):
        sys.stderr.write(f"FORBIDDEN {event} {arguments}\\n")

sys.addaudithook(watch)
model = load_model(open_source(sys.argv[1]), threads=1)
slow_id, deadly_id, broken_id = model.text_encoder.tokenize(["superb awful weak"])[0].ids[1:4]

if any(sys.argv[4:]):
    tokenizer = Tokenizer.from_file(sys.argv[4])
    encoder = TextEncoder(tokenizer, pad_id=0, max_length=model.text_encoder.max_length, token_type_ids=True)
    model = replace(model, text_encoder=encoder)

def predictor(batch):
    if slow_id in batch.input_ids:
        sys.stderr.write("SLOW\\n")
        sys.stderr.flush()
        time.sleep(float(sys.argv[2]))
    if deadly_id in batch.input_ids:
        raise SystemExit("awful")
    if broken_id in batch.input_ids:
        raise RuntimeError("weak")
    return model.predictor(batch)

settings = {"max_queue_tokens": 200, "max_texts": 4, "drain_seconds": 1.5} | json.loads(sys.argv[3])
run_server(replace(model, predictor=predictor), ServeConfig(port=0, **settings))
"""


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str
    log: list[str]

    def post(self, inputs: object) -> httpx.Response:
        return httpx.post(f"{self.url}/predict", json={"inputs": inputs}, timeout=HANG_SECONDS)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(HANG_SECONDS)

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def ready(self) -> int:
        """The status of the server's readiness; 0 if nobody can connect."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=HANG_SECONDS).status_code
        except httpx.TransportError:
            return 0

    def until_slow(self) -> None:
        """Wait until the model is at the word "superb"."""
        until(lambda: "SLOW\n" in self.log)


@contextmanager
def served(artifact: Path, slow_seconds: float = 0.0, tokenizer: str = "", **settings: object) -> Iterator[Server]:
    command = [sys.executable, "-c", RUNNER, str(artifact), str(slow_seconds), json.dumps(settings), tokenizer]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stderr
        for line in process.stderr:
            log.append(line)
            ready.set()
        ready.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert ready.wait(HANG_SECONDS)
        match = re.search(r"serving onnx on (http://127\.0\.0\.1:\d+) \(docs: /docs\)", log[0])
        assert match, log
        yield Server(process, match[1], log)
    finally:
        process.kill()
        process.wait()
        reader.join()
        if process.stderr:
            process.stderr.close()
        assert not [line for line in log if line.startswith("FORBIDDEN")]
