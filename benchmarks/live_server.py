"""A server process for a script, its address, and its metrics."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class LiveServer:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        """The port."""
        return int(self.url.rpartition(":")[2])


@contextmanager
def served(model: Path, *options: str) -> Iterator[LiveServer]:
    """A server of a model, named ``model``; on SIGTERM it must exit with 0."""
    code = "from replank.cli.main import main; main()"
    command = [sys.executable, "-c", code, "serve", f"model={model}", "--port", "0", *options]
    with tempfile.NamedTemporaryFile("r+") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            while not (match := re.search(r" on (http://\S+)", Path(log.name).read_text(encoding="utf-8"))):
                if process.poll() is not None:
                    sys.exit(Path(log.name).read_text(encoding="utf-8"))
                time.sleep(0.1)
            yield LiveServer(match[1], process)
        finally:
            process.terminate()
    if process.returncode:
        sys.exit(f"the server ended with {process.returncode}")


def numbers(url: str) -> dict[str, float]:
    """The server's metrics, summed over labels."""
    found: defaultdict[str, float] = defaultdict(float)
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as response:  # noqa: S310
        for family in text_string_to_metric_families(response.read().decode()):
            for sample in family.samples:
                found[sample.name] += sample.value
    return dict(found)
