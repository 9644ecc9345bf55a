"""LitServe as its documentation shows it: batches of 32, 2 ms of waiting. POST /predict.

Without postponed annotations: LitServe reads those of `decode_request` itself, and refuses every request otherwise.
"""

from typing import Any

import litserve  # type: ignore[import-not-found]
from onnx_model import PORT, OnnxModel


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """Batches of requests."""

    def setup(self, device: str) -> None:
        """Load the model in the worker's process."""
        self.model = OnnxModel()

    def decode_request(self, request: dict[str, Any]) -> str:
        """The text of a request; LitServe goes by the argument's name."""
        return str(request["inputs"])

    def predict(self, texts: list[str]) -> list[list[float]]:
        """Probabilities of each text's labels."""
        return self.model(texts)

    def encode_response(self, output: list[float]) -> dict[str, list[float]]:
        """The answer to one request."""
        return {"scores": output}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(max_batch_size=32, batch_timeout=0.002), accelerator="cpu")
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False, log_level="warning")
