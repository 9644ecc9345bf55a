"""The Open Inference Protocol, version 2, for KServe and other clients.

https://github.com/kserve/open-inference-protocol, with Triton's extension for binary tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from replank.runtime.predictors import Logits
from replank.system.errors import NotFoundError, NotReadyError, UsageError
from replank.system.extras import installed_version
from replank.tasks.task import Task
from replank_serve.engine.inference import Inference
from replank_serve.models.loaded_model import LoadedModel
from replank_serve.routes.openapi import described_body, described_errors, post
from replank_serve.routes.openinference_schema import (
    InferRequest,
    InferResponse,
    InputTensor,
    ModelMetadata,
    OutputRequest,
    ServerMetadata,
    TensorMetadata,
)
from replank_serve.routes.probes import require_alive
from replank_serve.routes.request_parsing import Inputs, as_inputs, read_body_as
from replank_serve.routes.service import InferenceService, answer, answer_headers
from replank_serve.routes.tensor_body import EXTENSION, HEAD_LENGTH, TENSOR_TYPES, binary_data

_INPUTS = ("text", "text_pair")
# Parameters of Triton's extensions that would change the answer.
_UNKNOWN_EXTENSIONS = {"classification", "shared_memory_region"}


def add_open_inference(app: FastAPI, service: InferenceService) -> None:
    """Add the routes under ``/v2``."""
    _add_health(app, service)
    _add_metadata(app, service)
    _add_infer(app, service)


def _add_infer(app: FastAPI, service: InferenceService) -> None:
    shape = {"name": "text", "shape": [2], "datatype": "BYTES"}
    example = {"id": "1", "inputs": [shape | {"data": ["What a wonderful film!", "I want my money back."]}]}

    async def infer(request: Request) -> Response:
        values, deadline = await service.read_tensors(request)
        body = read_body_as(InferRequest, values, "one tensor, or two of pairs")
        with _requested(service, **request.path_params).use() as loaded:
            inputs = _inputs(body, loaded, service.config.max_texts)
            wanted = _wanted(body, loaded)
            inference = await service.infer(request, loaded, inputs, deadline)
        return _answer(body, wanted, loaded, inference)

    for path, is_shown in _paths("/infer"):
        post(
            app,
            path,
            summary="Open Inference Protocol: classify texts or pairs",
            description="Also of a version, the model's digest: `/v2/models/{name}/versions/{version}/infer`; and with "
            "binary tensors, as Triton's clients send them.",
            openapi_extra=described_body(InferRequest, {"two": {"summary": "Two texts", "value": example}})
            | {"parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]},
            response_description="tensors",
            response_model=InferResponse,
            include_in_schema=is_shown,
        )(infer)


def _add_metadata(app: FastAPI, service: InferenceService) -> None:
    @app.get("/v2", summary="Open Inference Protocol: the server", responses=described_errors(401))
    async def server() -> ServerMetadata:
        version = installed_version("replank") or "unknown"
        return ServerMetadata(name="replank", version=version, extensions=[EXTENSION])

    async def model(name: str) -> ModelMetadata:
        return _metadata(service.models.get(name))

    async def model_version(name: str, version: str) -> ModelMetadata:
        return _metadata(_requested(service, name, version))

    _get_model(app, "", "a model", model, model_version)


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

    async def model_ready(name: str) -> dict[str, bool]:
        return _ready(service.models.get(name))

    async def version_ready(name: str, version: str) -> dict[str, bool]:
        return _ready(_requested(service, name, version))

    _get_model(app, "/ready", "ready, one model", model_ready, version_ready)


def _get_model(app: FastAPI, path: str, summary: str, model: Callable[..., Any], version: Callable[..., Any]) -> None:
    """Add a GET route of a model, and of the one version of it."""
    for (route, is_shown), function in zip(_paths(path), (model, version), strict=True):
        app.get(
            route,
            summary=f"Open Inference Protocol: {summary}",
            responses=described_errors(401, 404, 422, 503),
            include_in_schema=is_shown,
        )(function)


def _paths(path: str) -> tuple[tuple[str, bool], tuple[str, bool]]:
    """A route of a model without and with a version, and whether the description shows it."""
    return (f"/v2/models/{{name}}{path}", True), (f"/v2/models/{{name}}/versions/{{version}}{path}", False)


def _requested(service: InferenceService, name: str, version: str | None = None) -> LoadedModel:
    """The model of a request.

    :raises NotFoundError: no model has that name, or the model is of another version.
    """
    loaded = service.models.get(name)
    if version is not None and version != loaded.digest:
        raise NotFoundError(f"the model {name} has the version {loaded.digest or 'none'}, not {version[:64]!r}")
    return loaded


def _ready(loaded: LoadedModel) -> dict[str, bool]:
    if loaded.engine.state != "ready":
        raise NotReadyError(f"not ready: {loaded.engine.state}")
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


def _wanted(body: InferRequest, loaded: LoadedModel) -> dict[str, bool]:
    """The names of the requested outputs, all by default, and whether each is to be binary.

    :raises UsageError: the model has no such output, or it is asked for in a way that the server does not know.
    """
    known = [output.name for output in _outputs(loaded.model.task)]
    is_binary = bool(body.parameters.get("binary_data_output"))
    wanted = {}
    for output in body.outputs or [OutputRequest(name=name) for name in known]:
        if output.name not in known:
            raise UsageError(f"outputs: {output.name[:40]!r} is none of {', '.join(known)}")
        for parameter in _UNKNOWN_EXTENSIONS & output.parameters.keys():
            raise UsageError(f"outputs: the parameter {parameter} is not possible here")
        wanted[output.name] = bool(output.parameters.get("binary_data", is_binary))
    return wanted


def _answer(body: InferRequest, wanted: dict[str, bool], loaded: LoadedModel, inference: Inference) -> Response:
    """The wanted tensors, the binary ones behind the JSON."""
    tensors = _tensors(loaded.model.task, inference.logits)
    outputs, parts = [], []
    for name, is_binary in wanted.items():
        output = tensors[name]
        if is_binary:
            parts.append(binary_data(output["datatype"], output.pop("data")))
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        outputs.append(output)
    content = {"model_name": loaded.name, "model_version": loaded.digest or "", "outputs": outputs}
    if body.id is not None:
        content["id"] = body.id
    if not parts:
        return answer(content, loaded, inference)
    head = orjson.dumps(content)
    headers = answer_headers(loaded, inference) | {HEAD_LENGTH: str(len(head))}
    return Response(head + b"".join(parts), headers=headers, media_type=TENSOR_TYPES[-1])


def _tensors(task: Task, logits: Logits) -> dict[str, dict[str, Any]]:
    """All output tensors by name."""
    rows = task.scores(logits)
    data = task.kind.tensor_data(task.labels, rows)
    return {
        output.name: output.model_dump() | {"shape": [len(rows), *output.shape[1:]], "data": data[output.name]}
        for output in _outputs(task)
    }
