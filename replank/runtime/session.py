"""ONNX Runtime sessions that run all of a graph where they were asked to, or not at all."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from replank.runtime.provider import Device, Plugin, Provider, ProviderArguments
from replank.runtime.providers import provider_of, require_onnxruntime
from replank.runtime.unshared_weights import unshared_weights
from replank.system.environment import available_cores, int8_target
from replank.system.errors import IncompatibleModelError, ModelError, ProviderError

if TYPE_CHECKING:
    import onnxruntime

# A graph y = x + x of floats.
_TINY_GRAPH = bytes.fromhex(
    "080a3a340a0e0a01780a01781201792203416464120474696e795a0d0a017812"
    "080a06080112020a00620d0a017912080a06080112020a0042040a001012"
)
# What onnxruntime says at the second reader of weights that it makes unsigned.
_SHARED = "Attempt to replace the existing tensor"
_DOCTOR = "replank doctor shows which library or driver is missing"


def open_session(
    graph: Path | bytes, *, device: Device = "cpu", threads: int | None = None, spinning: bool = True
) -> onnxruntime.InferenceSession:
    """Open a session on one execution provider, without fallback.

    :param graph: a file, or the contents of one.
    :param threads: threads of one operator; ``None`` for all cores that this process may use.
    :param spinning: whether threads spin while they wait for each other in a run, which is faster on a machine without
        other work, and slower than a single thread beside another busy process.
    :raises ProviderError: the execution provider is not installed, or did not start.
    :raises IncompatibleModelError: it cannot run a node of the graph.
    :raises ModelError: the graph cannot be loaded.
    """
    require_onnxruntime()
    import onnxruntime

    provider, threads = provider_of(device), threads or available_cores()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Between runs they sleep: the cores are for whoever prepares the next batch, and for other processes.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Only what ends the process: errors are raised too, and as lines of text they would break a log of JSON objects.
    options.log_severity_level = 4
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if int8_target() == "avx2":
        # Two products are added up in 16 bits. Weights of 8 bits, which would overflow there, become unsigned as the
        # graph is loaded, with a zero point of 128: slower, and exact. Weights of 7 bits stay what they are. With VNNI
        # it would change no answer, and take almost twice the time.
        options.add_session_config_entry("session.x64quantprecision", "1")
    providers = provider.attach(options, threads)
    try:
        session = _session(graph, options, providers)
    except Exception as error:  # onnxruntime's own exceptions share no base class but Exception
        if graph == _TINY_GRAPH:
            raise ProviderError(
                f"{provider.setting}: {provider.name} did not start: {_reason(error)}", hint=_DOCTOR
            ) from error
        start(device)  # if not even that runs, it is not the graph's fault
        name = graph if isinstance(graph, Path) else "a graph"
        if isinstance(provider, Plugin):
            # It compiles the graph by itself, and takes less than ONNX Runtime does.
            raise IncompatibleModelError(
                f"{provider.setting}: {provider.name} cannot load {name}: {' '.join(str(error).split())}",
                hint="`device='cpu'` runs every graph",
            ) from error
        raise ModelError(f"onnxruntime cannot load {name}: {error}") from error
    # Without this, a CUDA provider that fails to start leaves a session that runs on the CPU.
    if (actual := session.get_providers()[0]) != provider.name:
        raise ProviderError(
            f"{provider.setting}: {provider.name} did not start; onnxruntime fell back to {actual}",
            hint=_DOCTOR,
        )
    if lacking := nodes_elsewhere(session, provider):
        shown = ", ".join(f"{count} {operator}" for operator, count in lacking.most_common())
        raise IncompatibleModelError(
            f"{provider.setting}: {provider.name} cannot run all of the graph; it lacks {shown}",
            hint="`device='cpu'` runs them all",
        )
    return session


def _session(
    graph: Path | bytes, options: onnxruntime.SessionOptions, providers: ProviderArguments | None
) -> onnxruntime.InferenceSession:
    """A session on a graph, or on a copy whose weights onnxruntime can make unsigned."""
    try:
        return _strict_session(str(graph) if isinstance(graph, Path) else graph, options, providers)
    except Exception as error:
        if _SHARED not in str(error):
            raise
        return _strict_session(unshared_weights(graph), options, providers)


def _strict_session(
    graph: str | bytes, options: onnxruntime.SessionOptions, providers: ProviderArguments | None
) -> onnxruntime.InferenceSession:
    """A session that raises where a provider fails, as it starts or in a later run.

    Else onnxruntime would print it, where a command's data goes, and run on the CPU.
    """
    import onnxruntime

    return onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)


def _reason(error: Exception) -> str:
    """What CUDA says, or else the first line, of an error that also tells of onnxruntime's source and of the host."""
    text = str(error)
    found = re.search(r"CUDA failure \d+: [^;\n]+", text)
    return found[0].strip() if found else text.partition("\n")[0]


def start(device: Device) -> None:
    """Start a provider on a graph of one addition.

    :raises ReplankError: it cannot run here.
    """
    open_session(_TINY_GRAPH, device=device, threads=1)


def nodes_elsewhere(session: onnxruntime.InferenceSession, provider: Provider) -> Counter[str]:
    """The number of nodes of each operator that run on another provider than the given one.

    ``session.disable_cpu_ep_fallback`` would refuse them too, but not say which they are.
    """
    return Counter(
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name != provider.name
        for node in part.get_nodes()
        if node.op_type not in provider.host_operators
    )
