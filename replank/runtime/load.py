"""Loading of models: with ONNX Runtime or torch, on the device that was asked for."""

from __future__ import annotations

import logging
from typing import Any

from replank.models.int8_facts import Int8Facts
from replank.models.onnx_checks import require_interface
from replank.models.onnx_file import operators_of
from replank.models.source import Source
from replank.references.bank import read_bank
from replank.runtime.finite_masks import finite_masks
from replank.runtime.model import Model
from replank.runtime.predictors import OnnxPredictor, Predictor, ReferencePredictor, TorchPredictor, innermost
from replank.runtime.provider_choice import Auto, choose_device
from replank.runtime.providers import Device, provider_of
from replank.runtime.session import open_session
from replank.runtime.torch_devices import default_torch_device, torch_device
from replank.runtime.torch_model import load_to_run, require_head
from replank.system.environment import available_cores, int8_target
from replank.system.errors import ModelError
from replank.system.extras import require
from replank.system.files import file_identity
from replank.tasks.task import Task

_log = logging.getLogger(__name__)


def load_model(
    source: Source, *, task: Task | None = None, device: Device | Auto = "cpu", threads: int | None = None
) -> Model:
    """Load a model to run it.

    :param task: what it is used for; its own task where ``None``. Data says how vectors are scored, and not how they
        are made.
    :param device: where to run it; ``auto``: where it is fastest, see :func:`choose_device`.
    :param threads: threads of one operator; the cores that this process may use where ``None``.
    :raises ModelError: the model has no head for the task, or cannot be loaded.
    :raises ProviderError: the device cannot run it. Nothing is ever run elsewhere in silence.
    """
    if task is None or (source.task.gives_vectors and task.gives_vectors and task.vectors is None):
        task = source.task
    threads = threads or available_cores()
    width = source.encoder.hidden_size(source.config)
    bank = read_bank(source.folder, source.references, width) if source.references else None

    def load(device: Device) -> Model:
        predictor = (
            _load_torch(source, task, device, threads)
            if source.kind == "torch"
            else _load_onnx(source, task, device, threads)
        )
        if bank is not None:
            predictor = ReferencePredictor(predictor, bank)
        return Model(source, task, source.text_encoder(task), predictor, device)

    if device != "auto":
        return load(device)
    return load(default_torch_device()) if source.kind == "torch" else choose_device(source, threads, load)


def can_sleep(model: Model) -> bool:
    """Whether a model has threads of ONNX Runtime's own, which may sleep instead of spin while they wait."""
    predictor = innermost(model.predictor)
    return isinstance(predictor, OnnxPredictor) and model.device == "cpu" and predictor.threads > 1


def sleeping_predictor(model: Model) -> Predictor:
    """A second predictor of a model that :func:`can_sleep`, whose threads sleep while they wait.

    It has weights of its own: ONNX Runtime packs them for each session.

    :raises ModelError: the model's file has been replaced since it was loaded.
    """
    predictor, file = innermost(model.predictor), model.source.model_file
    threads, read = (predictor.threads, predictor.read) if isinstance(predictor, OnnxPredictor) else (None, None)
    session = open_session(file, device=model.device, threads=threads, spinning=False)
    if file_identity(file) != read:
        raise ModelError(f"{file} has been replaced")
    return model.run_by(OnnxPredictor(session, model.task.kind.output)).predictor


def _load_onnx(source: Source, task: Task, device: Device, threads: int) -> Predictor:
    provider = provider_of(device)
    provider.require_precision(source)
    if provider.refused_operators:
        provider.require_operators(source.name, operators_of(source.model_file))
    facts = source.manifest.made_by.facts if source.manifest else None
    made_for = facts.target if isinstance(facts, Int8Facts) else None
    if made_for and made_for != int8_target():
        _log.warning(
            "%s is INT8 made for %s, and this machine is %s: its answers are the same, but one made here may be faster",
            source.name,
            made_for,
            int8_target(),
        )
    read = file_identity(source.model_file)
    session = open_session(source.model_file, device=device, threads=threads)
    require_interface(session, source.name, task.kind, takes_references=source.references is not None)
    return OnnxPredictor(session, task.kind.output, read)


def _load_torch(source: Source, task: Task, device: Device, threads: int) -> Predictor:
    place = torch_device(device, source.name)
    require_head(source, task.kind)
    require("torch", "transformers")
    import torch

    torch.set_num_threads(threads)
    attention: dict[str, Any] = {"attn_implementation": finite_masks()} if source.encoder.mixes_attention else {}
    return TorchPredictor(load_to_run(source, task, **attention), place)
