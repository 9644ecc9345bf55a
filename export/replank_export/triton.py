"""A model repository for the Triton Inference Server: the graph with Triton's configuration of it.

Triton takes token ids: clients tokenize with the model's ``tokenizer.json``. It batches only requests that were padded
to the same length. https://github.com/triton-inference-server/common, ``protobuf/model_config.proto``
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replank.models.source import Source, require_kind
from replank.runtime.providers import BUILT_IN, Device, provider_of
from replank.runtime.session import open_session
from replank.system.errors import FieldError, ModelError, UsageError
from replank.system.files import replace_folder
from replank.system.settings import setting

if TYPE_CHECKING:
    import onnxruntime

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_TYPES = {"tensor(int64)": "TYPE_INT64", "tensor(float)": "TYPE_FP32", "tensor(float16)": "TYPE_FP16"}
_LABELS = "labels.txt"


@dataclass(frozen=True)
class TritonConfig:
    """The settings of a model in a Triton repository.

    :param name: the model's name in requests; by default the name of its folder.
    :param device: one of :data:`BUILT_IN`, as Triton's ONNX Runtime loads no plugins.
    :param threads: threads per operator on the CPU; by default as many as Triton's machine has cores.
    :param max_batch: the largest number of requests of the same length in a batch.
    :param max_queue: the largest number of waiting requests; Triton refuses more.
    :param timeout_seconds: the longest time that a request waits before it is refused.
    :raises FieldError: a value out of range.
    """

    name: str | None = setting(None, "Name of the model in requests. [default: the name of its folder]")
    device: Device = setting("cpu", "Device that Triton runs the model on.", choices=tuple(BUILT_IN))
    threads: int | None = setting(None, "Threads per operator. [default: the cores of Triton's machine]")
    max_batch: int = setting(16, "Most requests of the same length in a batch.")
    max_queue: int = setting(512, "Most requests that wait; Triton refuses more.")
    timeout_seconds: float = setting(30.0, "Longest time that a request waits before it is refused, in seconds.")

    def __post_init__(self) -> None:
        if self.device not in BUILT_IN:
            raise FieldError("device", self.device, f"one of {', '.join(BUILT_IN)}")
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise FieldError("name", self.name, "letters, digits, and _ . -, of which . and - not first")
        for name in ("threads", "max_batch", "max_queue", "timeout_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 2**31:
                raise FieldError(name, value, "more than 0")


def write_repository(source: Source, repository: Path, config: TritonConfig, *, force: bool = False) -> Path:
    """Add a model to a repository, beside the models that it has.

    :param source: an ONNX model.
    :param repository: the repository's folder, created if it does not exist.
    :param force: replace an existing model of that name.
    :returns: the model's folder: ``config.pbtxt``, the labels, and the graph as version 1.
    :raises UsageError: a model of that name exists.
    :raises ReplankError: the folder cannot be written.
    :raises ModelError: a torch model, or a folder whose name Triton does not accept.
    :raises ProviderError: the device does not run the model's precision.
    """
    require_kind(source, "onnx", "triton")
    if source.references:
        raise ModelError(
            f"{source.name} attends to references, which Triton cannot find", hint="replank serve answers with them"
        )
    provider_of(config.device).require_precision(source)
    name = config.name or Path(source.name).resolve().name
    if not _NAME.fullmatch(name):
        raise ModelError(f"Triton does not accept {name} as the name of a model", hint="choose another `name`")
    target = repository / name
    if target.exists() and not (force and (target / "config.pbtxt").is_file()):
        raise UsageError(
            f"{target} exists", hint="choose another `name`, or replace a model of Triton's with `force=True`"
        )
    session = open_session(source.model_file, device="cpu", threads=1)
    # Written beside the repository and moved into it, as Triton may be watching it.
    with replace_folder(target, beside=repository) as folder:
        (folder / "1").mkdir()
        for file in source.weights.files:
            shutil.copyfile(file, folder / "1" / file.name)
        # Triton has labels for whole texts only.
        labels = () if source.task.is_per_token else source.task.labels
        if labels:
            # One line per label: Triton finds a label by its line number.
            lines = [re.sub(r"\s+", " ", label) for label in labels]
            (folder / _LABELS).write_text("\n".join(lines) + "\n", encoding="utf-8")
        text = model_config(session, name, config, labelled=bool(labels))
        (folder / "config.pbtxt").write_text(text, encoding="utf-8")
    return target


def model_config(session: onnxruntime.InferenceSession, name: str, config: TritonConfig, *, labelled: bool) -> str:
    """``config.pbtxt``, Triton's ``ModelConfig`` in text format.

    :param labelled: whether the output has one value per label in ``labels.txt``.
    """
    labels = f'  label_filename: "{_LABELS}"\n' if labelled else ""
    inputs = ",\n".join(f"{{\n{_tensor(node)}}}" for node in session.get_inputs())
    outputs = ",\n".join(f"{{\n{_tensor(node)}{labels}}}" for node in session.get_outputs())
    # By default one instance of the model uses all cores.
    threads = (
        f'parameters {{ key: "intra_op_thread_count" value {{ string_value: "{config.threads}" }} }}\n'
        if config.threads
        else ""
    )
    return f"""name: "{name}"
backend: "onnxruntime"
max_batch_size: {config.max_batch}
input [
{inputs}
]
output [
{outputs}
]
instance_group [ {{ count: 1 kind: {"KIND_GPU" if provider_of(config.device).is_gpu else "KIND_CPU"} }} ]
{threads}dynamic_batching {{
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: {round(config.timeout_seconds * 1e6)}
    max_queue_size: {config.max_queue}
  }}
}}
"""


def _tensor(node: Any) -> str:
    """An input or output, without the batch dimension, which Triton adds; -1 is any length."""
    dimensions = ", ".join(str(size) if isinstance(size, int) else "-1" for size in node.shape[1:])
    return f'  name: "{node.name}"\n  data_type: {_TYPES[node.type]}\n  dims: [ {dimensions} ]\n'


def files_of(folder: Path) -> Sequence[str]:
    """The files of a model in a repository, as paths relative to its folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
