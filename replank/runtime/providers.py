"""Execution providers: what can run an ONNX graph, each with what it needs, computes in, and cannot run."""

from __future__ import annotations

import functools
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from replank.system.environment import available_cores
from replank.system.errors import MissingExtraError, ModelError, ProviderError
from replank.system.extras import installed_version

if TYPE_CHECKING:
    import onnxruntime

Device = Literal["cpu", "cuda", "openvino", "openvino-bf16"]
# Integers that say how large a tensor is. ONNX Runtime computes them on the host on purpose: a GPU would only wait.
_SHAPE_ARITHMETIC = frozenset({"Shape", "Gather", "Slice", "Squeeze", "Unsqueeze", "Concat", "Cast", "Range"})
# A graph y = x + x of floats, small enough to ask of a provider whether it starts at all.
_TINY_GRAPH = bytes.fromhex(
    "080a3a340a0e0a01780a01781201792203416464120474696e795a0d0a017812"
    "080a06080112020a00620d0a017912080a06080112020a0042040a001012"
)


@dataclass(frozen=True)
class Provider(ABC):
    """One execution provider, the way it is used here.

    :param name: what ONNX Runtime calls it.
    :param arithmetic: what a graph of fp32 is computed in.
    :param refused: what models of a precision are told that it cannot run.
    :param leaves: operators that it may leave to the host; any other that it does not run is an error.
    """

    name: str
    arithmetic: Literal["fp32", "bf16"] = "fp32"
    refused: Mapping[str, str] = field(default_factory=dict)
    leaves: frozenset[str] = frozenset()

    @property
    @abstractmethod
    def missing(self) -> str | None:
        """What to install; ``None`` where it is."""

    @abstractmethod
    def attach(self, options: onnxruntime.SessionOptions, device: Device, threads: int) -> list[str] | None:
        """Have a session run here.

        :returns: the argument ``providers`` of the session; ``None`` where the options hold all.
        :raises ProviderError: it is not installed, or there is no hardware for it.
        """


@dataclass(frozen=True)
class BuiltIn(Provider):
    """A provider that is part of ONNX Runtime's wheel.

    :param preload: whether its libraries come in packages of their own, which must be loaded before.
    """

    preload: bool = False

    @property
    def missing(self) -> str | None:
        """The other wheel, where this one does not have it."""
        import onnxruntime

        if self.name in onnxruntime.get_available_providers():
            return None
        return "CUDA needs the replank[gpu] extra instead of replank[cpu]"

    def attach(self, options: onnxruntime.SessionOptions, device: Device, threads: int) -> list[str] | None:
        """By name; threads are the session's own."""
        import onnxruntime

        if self.missing:
            raise ProviderError(
                f"--device {device}: this onnxruntime has no {self.name}",
                hint=f"replank doctor tells what is installed; {self.missing}",
            )
        if self.preload:
            onnxruntime.preload_dlls()
        return [self.name]


@dataclass(frozen=True)
class OpenVino(Provider):
    """OpenVINO on the CPU, as the plugin ``onnxruntime-ep-openvino`` brings it.

    Left to itself it computes fp32 graphs in bf16 wherever the CPU can. On BERT-base's shape with 6 layers that takes
    half the time, and moves logits of 0.3 by 6e-3 instead of 7e-7: two labels of a thousand of random tokens change.
    So it has a name of its own, and who asks for ``openvino`` gets the numbers of fp32.
    """

    package: str = "onnxruntime-ep-openvino"

    @property
    def missing(self) -> str | None:
        """The plugin's package, where it is not installed."""
        return None if installed_version(self.package) else 'pip install "replank[openvino]"'

    def attach(self, options: onnxruntime.SessionOptions, device: Device, threads: int) -> list[str] | None:
        """By the CPU's device of it, which only exists after the registration."""
        import onnxruntime

        if self.missing:
            raise MissingExtraError(f"--device {device}: {self.package} is not installed", hint=self.missing)
        _register(self.package)
        found = [
            candidate
            for candidate in onnxruntime.get_ep_devices()
            if candidate.ep_name == self.name and candidate.device.type == onnxruntime.OrtHardwareDeviceType.CPU
        ]
        if not found:
            raise ProviderError(
                f"--device {device}: {self.package} {installed_version(self.package)} offers nothing for this CPU",
                hint="releases of the plugin up to 1.8.1 take the CPUs of Intel only; --device cpu runs everywhere",
            )
        able = found[0].ep_metadata.get("OPTIMIZATION_CAPABILITIES", "").split()
        if self.arithmetic.upper() not in able:
            raise ProviderError(
                f"--device {device}: this CPU does not compute in {self.arithmetic}", hint="take --device openvino"
            )
        hint = {"fp32": "f32", "bf16": "bf16"}[self.arithmetic]
        settings = {"CPU": {"INFERENCE_NUM_THREADS": str(threads), "INFERENCE_PRECISION_HINT": hint}}
        options.add_provider_for_devices(found[:1], {"load_config": json.dumps(settings)})
        return None


PROVIDERS: Mapping[Device, Provider] = {
    "cpu": BuiltIn("CPUExecutionProvider"),
    "cuda": BuiltIn(
        "CUDAExecutionProvider",
        refused={"int8": "is INT8, which the CUDA provider cannot run"},
        leaves=_SHAPE_ARITHMETIC,
        preload=True,
    ),
    "openvino": OpenVino("OpenVINOExecutionProvider"),
    "openvino-bf16": OpenVino("OpenVINOExecutionProvider", arithmetic="bf16"),
}


def open_session(
    graph: Path | bytes, *, device: Device = "cpu", threads: int | None = None
) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session that runs where it was asked to, all of it, or not at all.

    :param graph: a file, or what such a file holds.
    :param threads: threads of one operator; the cores that this process may use where ``None``.
    :raises ProviderError: the execution provider is not installed, did not start, or cannot run a node of the graph.
    :raises ModelError: the graph cannot be loaded.
    """
    require_onnxruntime()
    import onnxruntime

    provider, threads = PROVIDERS[device], threads or available_cores()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    providers = provider.attach(options, device, threads)
    try:
        file = str(graph) if isinstance(graph, Path) else graph
        session = onnxruntime.InferenceSession(file, options, providers=providers)
    except Exception as error:  # onnxruntime's own exceptions share no base class but Exception
        name = graph if isinstance(graph, Path) else "a graph"
        raise ModelError(f"onnxruntime cannot load {name}: {error}") from error
    # Without this, a CUDA provider that fails to start leaves a session that runs on the CPU.
    if session.get_providers()[0] != provider.name:
        raise ProviderError(
            f"--device {device}: {provider.name} did not start; onnxruntime fell back to {session.get_providers()[0]}",
            hint="replank doctor shows which CUDA library or driver is missing",
        )
    if elsewhere := _elsewhere(session, provider):
        shown = ", ".join(f"{count} {operator}" for operator, count in elsewhere.most_common())
        raise ProviderError(
            f"--device {device}: {provider.name} cannot run all of the graph; it lacks {shown}",
            hint="--device cpu runs them all",
        )
    return session


def require_onnxruntime() -> None:
    """Make sure that one of the two wheels of ONNX Runtime is installed.

    :raises MissingExtraError: neither is.
    """
    if not (installed_version("onnxruntime") or installed_version("onnxruntime-gpu")):
        raise MissingExtraError(
            "onnxruntime is not installed", hint='pip install "replank[cpu]", or "replank[gpu]" for CUDA'
        )


def start(device: Device) -> None:
    """Start a provider on a graph of one addition.

    :raises ProviderError: it cannot run here.
    """
    open_session(_TINY_GRAPH, device=device, threads=1)


@functools.cache
def _register(package: str) -> None:
    """Load a plugin's library, once in a process: ONNX Runtime refuses a second time."""
    import onnxruntime

    plugin: Any = import_module(package.replace("-", "_"))
    onnxruntime.register_execution_provider_library(package, plugin.get_library_path())


def _elsewhere(session: onnxruntime.InferenceSession, provider: Provider) -> Counter[str]:
    """How many nodes of each operator run on another provider than was asked for.

    ``session.disable_cpu_ep_fallback`` would refuse them too, but not say which they are.
    """
    return Counter(
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name != provider.name
        for node in part.get_nodes()
        if node.op_type not in provider.leaves
    )
