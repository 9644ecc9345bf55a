"""A model repository for the Triton Inference Server: the graph with the configuration that Triton needs.

Triton takes token ids: clients tokenize with the model's ``tokenizer.json``. It runs together only what was padded
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
    """How Triton runs a model.

    :param name: what clients ask for; the model's folder name where ``None``.
    :param device: one of :data:`BUILT_IN`: Triton's ONNX Runtime loads no plugins.
    :param threads: of one operator on the CPU; as many as Triton's machine has cores where ``None``.
    :param max_batch: requests of the same length that run together.
    :param max_queue: requests that may wait; Triton refuses those beyond.
    :param timeout_seconds: how long a request may wait before it is refused.
    :raises UsageError: a value out of range.
    """

    name: str | None = setting(None, "Name that clients ask for. [default: that of the model's folder]")
    device: Device = setting("cpu", "Place that Triton runs it on.", choices=tuple(BUILT_IN))
    threads: int | None = setting(None, "Threads of one operator. [default: the cores of Triton's machine]")
    max_batch: int = setting(16, "Requests of the same length that run together.")
    max_queue: int = setting(512, "Requests that may wait; Triton refuses those beyond.")
    timeout_seconds: float = setting(30.0, "Seconds that a request may wait before it is refused.")

    def __post_init__(self) -> None:
        if self.device not in BUILT_IN:
            raise FieldError("device", self.device, f"one of {', '.join(BUILT_IN)}")
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise FieldError("name", self.name, "letters, digits, and _ . - between them")
        for name in ("threads", "max_batch", "max_queue", "timeout_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 2**31:
                raise FieldError(name, value, "more than 0")


def write_repository(source: Source, repository: Path, config: TritonConfig, *, force: bool = False) -> Path:
    """Put a model into a repository, beside whatever other models it has.

    :param source: an ONNX model.
    :param repository: made if it is not there.
    :param force: replace the model of that name.
    :returns: the model's folder: ``config.pbtxt``, the labels, and the graph as version 1.
    :raises UsageError: there is a model of that name.
    :raises ReplankError: the folder cannot be written.
    :raises ModelError: a torch model, or a name that Triton does not take.
    :raises ProviderError: the device does not run this precision.
    """
    require_kind(source, "onnx", "triton")
    provider_of(config.device).require_precision(source.name, source.precision)
    name = config.name or Path(source.name).resolve().name
    if not _NAME.fullmatch(name):
        raise ModelError(f"{name} is no name of a model for Triton", hint="choose one with `name`")
    target = repository / name
    if target.exists() and not (force and (target / "config.pbtxt").is_file()):
        raise UsageError(
            f"{target} exists", hint="choose another `name`, or replace a model of Triton's with `force=True`"
        )
    session = open_session(source.model_file, device="cpu", threads=1)
    # Beside the repository, not in it: Triton may watch it.
    with replace_folder(target, beside=repository) as folder:
        (folder / "1").mkdir()
        for file in (source.model_file, *sorted(source.folder.glob("*.onnx_data"))):
            shutil.copyfile(file, folder / "1" / file.name)
        # Triton knows labels of whole texts only.
        labels = () if source.task.is_per_token else source.task.labels
        if labels:
            # A line each: Triton counts them.
            lines = [re.sub(r"\s+", " ", label) for label in labels]
            (folder / _LABELS).write_text("\n".join(lines) + "\n", encoding="utf-8")
        text = model_config(session, name, config, labelled=bool(labels))
        (folder / "config.pbtxt").write_text(text, encoding="utf-8")
    return target


def model_config(session: onnxruntime.InferenceSession, name: str, config: TritonConfig, *, labelled: bool) -> str:
    """``config.pbtxt``, a ``ModelConfig`` of Triton's as text.

    :param labelled: whether the last dimension of the output is that of the labels in ``labels.txt``.
    """
    labels = f'  label_filename: "{_LABELS}"\n' if labelled else ""
    inputs = ",\n".join(f"{{\n{_tensor(node)}}}" for node in session.get_inputs())
    outputs = ",\n".join(f"{{\n{_tensor(node)}{labels}}}" for node in session.get_outputs())
    # Triton counts the cores itself; one copy of the model uses them all.
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
    """The first dimension, of the batch, is Triton's own; -1 is any length."""
    dimensions = ", ".join(str(size) if isinstance(size, int) else "-1" for size in node.shape[1:])
    return f'  name: "{node.name}"\n  data_type: {_TYPES[node.type]}\n  dims: [ {dimensions} ]\n'


def files_of(folder: Path) -> Sequence[str]:
    """The files of a model in a repository, by their names in it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
