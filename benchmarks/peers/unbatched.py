"""What one writes first: FastAPI, and ONNX Runtime called once a request, in the framework's threads."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI
from onnx_model import PORT, OnnxModel
from pydantic import BaseModel

app = FastAPI()
model = OnnxModel()


class Request(BaseModel):
    """One text."""

    inputs: str


@app.post("/predict")
def predict(request: Request) -> list[float]:
    """Probabilities of its labels."""
    return model([request.inputs])[0]


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, log_level="warning", access_log=False)
