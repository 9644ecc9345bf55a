"""The servers under comparison: how each is started, in its own environment, and called."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
_START_SECONDS = 180
# Places in /proc/PID/stat, counted from behind the name: the session, and ticks in user mode and in the kernel.
_SESSION, _USER, _SYSTEM = 3, 11, 12
OURS, UNBATCHED = "replank", "unbatched"


@dataclass(frozen=True)
class Kind:
    """A server.

    :param command: its command line, from the Python of its environment, the model's folder and the port.
    :param path: the path of its route.
    :param body: the JSON body for a text.
    """

    command: Callable[[str, Path, int], list[str]]
    path: str = "/predict"
    body: Callable[[str], object] = lambda text: {"inputs": text}


def _script(name: str) -> Callable[[str, Path, int], list[str]]:
    return lambda python, model, port: [python, str(PEERS / name)]


KINDS = {
    OURS: Kind(
        lambda python, model, port: [
            *(python, "-P", "-c", "from replank.cli.main import main; main()"),
            *("serve", str(model), "--port", str(port)),
        ]
    ),
    UNBATCHED: Kind(_script("unbatched.py")),
    "mosec": Kind(_script("mosec_server.py"), path="/inference"),
    "litserve": Kind(_script("litserve_server.py")),
    # In the model's folder: it finds no ONNX file by an absolute path. Its warm-up exceeds a model's maximal length.
    "infinity": Kind(
        lambda python, model, port: [
            *(str(Path(python).parent / "infinity_emb"), "v2", "--model-id", ".", "--served-model-name", "model"),
            *("--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--engine", "optimum"),
            *("--no-bettertransformer", "--onnx-disable-optimize", "--no-model-warmup"),
        ],
        path="/classify",
        body=lambda text: {"input": [text], "model": "model"},
    ),
}


class ServerProcess:
    """A server with its child processes, stopped except while it is measured."""

    def __init__(self, name: str, python: str, model: Path, threads: int) -> None:
        self.kind = KINDS[name]
        self.port = _free_port()
        command = self.kind.command(python, model, self.port)
        threads_of = {"THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        offline = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
        self._process = subprocess.Popen(
            command,
            env=os.environ | threads_of | offline | {"MODEL": str(model), "PORT": str(self.port)},
            cwd=model,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._await_answer(name)
        except BaseException:
            self.end()
            raise
        self.pause()

    def pause(self) -> None:
        """Stop it (SIGSTOP)."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Resume it (SIGCONT)."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def processor_seconds(self) -> float:
        """Processor time so far, of it and its child processes."""
        ticks = 0
        for file in Path("/proc").glob("[0-9]*/stat"):
            # A process may end meanwhile; behind its name, which may hold anything, the fields are numbers.
            with suppress(OSError):
                fields = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                if int(fields[_SESSION]) == self._process.pid:
                    ticks += int(fields[_USER]) + int(fields[_SYSTEM])
        return ticks / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """Kill it with its children, some of which LitServe would leave behind."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _await_answer(self, name: str) -> None:
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{name} does not start: {' '.join(self._process.args)}")  # type: ignore[arg-type]
            time.sleep(0.2)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            body = json.dumps(self.kind.body("a"))
            connection.request("POST", self.kind.path, body, {"content-type": "application/json"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def environments(mosec: str | None, litserve: str | None, infinity: str | None) -> dict[str, str]:
    """The Python of each available server."""
    given = {"mosec": mosec, "litserve": litserve, "infinity": infinity}
    return {OURS: sys.executable, UNBATCHED: sys.executable} | {name: path for name, path in given.items() if path}
