"""mosec as its documentation shows it: one worker, batches of 32, and the shortest wait it has. POST /inference."""

from __future__ import annotations

import sys
from typing import Any

from mosec import Server, Worker  # type: ignore[import-not-found]
from onnx_model import PORT, OnnxModel


class Classifier(Worker):  # type: ignore[misc]
    """Batches of requests."""

    def __init__(self) -> None:
        super().__init__()
        self.model = OnnxModel()

    def forward(self, data: list[Any]) -> list[list[float]]:
        """Probabilities of each request's text."""
        return self.model([request["inputs"] for request in data])


if __name__ == "__main__":
    sys.argv[1:] = ["--port", str(PORT), "--address", "127.0.0.1"]
    server = Server()
    # A wait of 0 silently means the default of 10 ms.
    server.append_worker(Classifier, num=1, max_batch_size=32, max_wait_time=1)
    server.run()
