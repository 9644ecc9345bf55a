"""The Open Inference Protocol, version 2, for KServe and other clients.

Texts are BYTES tensors, written as JSON strings. https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response

from replank.runtime.predictors import Logits
from replank.system.errors import NotReadyError, UsageError
from replank.system.extras import installed_version
from replank.tasks.task import Task
from replank_serve.models.loaded_model import LoadedModel
from replank_serve.routes.openapi import described_body, described_errors
from replank_serve.routes.openinference_schema import (
    InferRequest,
    InferResponse,
    InputTensor,
    ModelMetadata,
    ServerMetadata,
    TensorMetadata,
)
from replank_serve.routes.probes import require_alive
from replank_serve.routes.request_parsing import Inputs, as_inputs, read_body_as
from replank_serve.routes.service import InferenceService, answer

_INPUTS = ("text", "text_pair")


def add_open_inference(app: FastAPI, service: InferenceService) -> None:
    """Add the routes under ``/v2``."""
    _add_health(app, service)
    models = service.models

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
        values, deadline = await service.read(request)
        body = read_body_as(InferRequest, values, "one tensor, or two of pairs")
        with models.get(name).use() as loaded:
            inputs = _inputs(body, loaded, service.config.max_texts)
            wanted = _wanted(body, loaded)
            inference = await service.infer(request, loaded, inputs, deadline)
        tensors = _tensors(loaded.model.task, inference.logits)
        content = {
            "model_name": loaded.name,
            "model_version": loaded.digest or "",
            "outputs": [tensors[output] for output in wanted],
        }
        return answer(content if body.id is None else content | {"id": body.id}, loaded, inference)


def _add_health(app: FastAPI, service: InferenceService) -> None:
    @app.get("/v2/health/live", summary="Open Inference Protocol: alive", responses=described_errors(503))
    async def live() -> dict[str, bool]:
        require_alive(service)
        return {"live": True}

    @app.get("/v2/health/ready", summary="Open Inference Protocol: ready, all models", responses=described_errors(503))
    async def ready() -> dict[str, bool]:
        if service.models.state != "ready":
            raise NotReadyError(f"not ready: {service.models.state}")
        return {"ready": True}

    @app.get(
        "/v2/models/{name}/ready",
        summary="Open Inference Protocol: ready, one model",
        responses=described_errors(401, 404, 422, 503),
    )
    async def model_ready(name: str) -> dict[str, bool]:
        state = service.models.get(name).engine.state
        if state != "ready":
            raise NotReadyError(f"not ready: {state}")
        return {"ready": True}


def _metadata(loaded: LoadedModel) -> ModelMetadata:
    task = loaded.model.task
    names = _INPUTS if task.is_pair else _INPUTS[:1]
    return ModelMetadata(
        name=loaded.name,
        versions=[loaded.digest] if loaded.digest else [],
        platform=f"{loaded.model.source.kind}_{loaded.model.source.precision}",
        inputs=[TensorMetadata(name=name, datatype="BYTES", shape=[-1]) for name in names],
        outputs=_outputs(task),
    )


def _outputs(task: Task) -> list[TensorMetadata]:
    return [
        TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        for tensor in task.kind.tensors(task.labels)
    ]


def _inputs(body: InferRequest, loaded: LoadedModel, max_texts: int) -> Inputs:
    """The inputs in a request's tensors.

    :raises UsageError: a tensor's name or shape is not one that the model takes.
    """
    task = loaded.model.task
    if not task.kind.tensors(task.labels):
        raise UsageError(f"the model {loaded.name} {task.kind.serves}; POST {task.kind.route} asks it")
    names = _INPUTS if task.is_pair else _INPUTS[:1]
    if sorted(tensor.name for tensor in body.inputs) != sorted(names):
        expected = "the tensors text and text_pair" if task.is_pair else "the tensor text"
        raise UsageError(f"inputs: expected {expected}")
    columns = {tensor.name: _strings(tensor) for tensor in body.inputs}
    if len({len(column) for column in columns.values()}) > 1:
        raise UsageError("inputs: text and text_pair differ in length")
    rows = [list(row) for row in zip(*(columns[name] for name in names), strict=True)]
    return as_inputs(rows, task, max_texts)


def _strings(tensor: InputTensor) -> list[str]:
    """The data of a tensor; it may be flat or nested like its shape."""
    flat: list[str] = []
    for part in tensor.data:
        flat.extend([part] if isinstance(part, str) else part)
    if tensor.shape not in ([len(flat)], [len(flat), 1]):
        raise UsageError(f"inputs: the data of {tensor.name[:40]!r} are {len(flat)} texts, which is not its shape")
    return flat


def _wanted(body: InferRequest, loaded: LoadedModel) -> list[str]:
    """The names of the requested outputs; all by default."""
    known = [output.name for output in _outputs(loaded.model.task)]
    wanted = [output.name for output in body.outputs] if body.outputs else known
    for name in wanted:
        if name not in known:
            raise UsageError(f"outputs: {name[:40]!r} is none of {', '.join(known)}")
    return wanted


def _tensors(task: Task, logits: Logits) -> dict[str, dict[str, Any]]:
    """All output tensors by name."""
    rows = task.kind.scores(task.labels, logits)
    data = task.kind.tensor_data(task.labels, rows)
    return {
        output.name: output.model_dump() | {"shape": [len(rows), *output.shape[1:]], "data": data[output.name]}
        for output in _outputs(task)
    }
