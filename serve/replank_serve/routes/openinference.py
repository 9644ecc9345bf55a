"""The Open Inference Protocol, version 2: the same models for KServe, Triton's clients and whoever speaks it.

Texts travel as BYTES tensors, written as JSON strings. https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response

from replank.runtime.predictors import Logits
from replank.system.errors import NotReadyError, UsageError
from replank.system.extras import installed_version
from replank.tasks.task import Task
from replank_serve.models.loaded_model import Served
from replank_serve.routes.hosting import Hosting, answer, described_body, described_errors
from replank_serve.routes.openinference_schema import (
    InferRequest,
    InferResponse,
    InputTensor,
    ModelMetadata,
    ServerMetadata,
    TensorMetadata,
)
from replank_serve.routes.probes import require_alive
from replank_serve.routes.request_parsing import Texts, as_texts, read_body_as

_INPUTS = ("text", "text_pair")


def add_open_inference(app: FastAPI, hosting: Hosting) -> None:
    """Add the routes under ``/v2``."""
    _add_health(app, hosting)
    models = hosting.models

    @app.get("/v2", summary="Open Inference Protocol: the server", responses=described_errors(401))
    async def server() -> ServerMetadata:
        return ServerMetadata(name="replank", version=installed_version("replank") or "unknown", extensions=[])

    @app.get(
        "/v2/models/{name}", summary="Open Inference Protocol: a model", responses=described_errors(401, 404, 422, 503)
    )
    async def model(name: str) -> ModelMetadata:
        return _metadata(models.get(name))

    shape = {"name": "text", "shape": [2], "datatype": "BYTES"}
    example = {"id": "1", "inputs": [shape | {"data": ["What a wonderful film!", "I want my money back."]}]}

    @app.post(
        "/v2/models/{name}/infer",
        summary="Open Inference Protocol: classify texts or pairs",
        openapi_extra=described_body(InferRequest, {"two": {"summary": "Two texts", "value": example}}),
        response_description="tensors",
        response_model=InferResponse,
        responses=described_errors(),
    )
    async def infer(request: Request, name: str) -> Response:
        values, deadline = await hosting.read(request)
        body = read_body_as(InferRequest, values, "one tensor, or two of pairs")
        with models.get(name).use() as served:
            texts = _texts(body, served, hosting.config.max_texts)
            wanted = _wanted(body, served)
            inference = await hosting.infer(request, served, texts, deadline)
        tensors = _tensors(served.model.task, inference.logits)
        content = {
            "model_name": served.name,
            "model_version": served.digest or "",
            "outputs": [tensors[output] for output in wanted],
        }
        return answer(content if body.id is None else content | {"id": body.id}, served, inference)


def _add_health(app: FastAPI, hosting: Hosting) -> None:
    @app.get("/v2/health/live", summary="Open Inference Protocol: alive", responses=described_errors(503))
    async def live() -> dict[str, bool]:
        require_alive(hosting)
        return {"live": True}

    @app.get("/v2/health/ready", summary="Open Inference Protocol: ready, all models", responses=described_errors(503))
    async def ready() -> dict[str, bool]:
        if hosting.models.state != "ready":
            raise NotReadyError(f"not ready: {hosting.models.state}")
        return {"ready": True}

    @app.get(
        "/v2/models/{name}/ready",
        summary="Open Inference Protocol: ready, one model",
        responses=described_errors(401, 404, 422, 503),
    )
    async def model_ready(name: str) -> dict[str, bool]:
        state = hosting.models.get(name).engine.state
        if state != "ready":
            raise NotReadyError(f"not ready: {state}")
        return {"ready": True}


def _metadata(served: Served) -> ModelMetadata:
    task = served.model.task
    names = _INPUTS if task.is_pair else _INPUTS[:1]
    return ModelMetadata(
        name=served.name,
        versions=[served.digest] if served.digest else [],
        platform=f"{served.model.source.kind}_{served.model.source.precision}",
        inputs=[TensorMetadata(name=name, datatype="BYTES", shape=[-1]) for name in names],
        outputs=_outputs(task),
    )


def _outputs(task: Task) -> list[TensorMetadata]:
    return [
        TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        for tensor in task.kind.tensors(task)
    ]


def _texts(body: InferRequest, served: Served, max_texts: int) -> Texts:
    """The texts of a request's tensors.

    :raises UsageError: a tensor of another name or shape than the model takes.
    """
    task = served.model.task
    if not task.kind.tensors(task):
        raise UsageError(f"the model {served.name} {task.kind.serves}; POST {task.kind.route} asks it")
    names = _INPUTS if task.is_pair else _INPUTS[:1]
    if sorted(tensor.name for tensor in body.inputs) != sorted(names):
        expected = "the tensors text and text_pair" if task.is_pair else "the tensor text"
        raise UsageError(f"inputs: expected {expected}")
    columns = {tensor.name: _strings(tensor) for tensor in body.inputs}
    if len({len(column) for column in columns.values()}) > 1:
        raise UsageError("inputs: text and text_pair differ in length")
    rows = [list(row) for row in zip(*(columns[name] for name in names), strict=True)]
    return as_texts(rows, task, max_texts)


def _strings(tensor: InputTensor) -> list[str]:
    """The data of a tensor, which may be nested as its shape says."""
    flat: list[str] = []
    for part in tensor.data:
        flat.extend([part] if isinstance(part, str) else part)
    if tensor.shape not in ([len(flat)], [len(flat), 1]):
        raise UsageError(f"inputs: the data of {tensor.name[:40]!r} are {len(flat)} texts, which is not its shape")
    return flat


def _wanted(body: InferRequest, served: Served) -> list[str]:
    """The names of the outputs to answer with."""
    known = [output.name for output in _outputs(served.model.task)]
    wanted = [output.name for output in body.outputs] if body.outputs else known
    for name in wanted:
        if name not in known:
            raise UsageError(f"outputs: {name[:40]!r} is none of {', '.join(known)}")
    return wanted


def _tensors(task: Task, logits: Logits) -> dict[str, dict[str, Any]]:
    """All outputs by name."""
    rows = task.kind.scores(task, logits)
    data = task.kind.tensor_data(task, rows)
    return {
        output.name: output.model_dump() | {"shape": [len(rows), *output.shape[1:]], "data": data[output.name]}
        for output in _outputs(task)
    }
