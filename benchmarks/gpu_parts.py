"""The parts of benchmarks/gpu.py: each makes the models that it needs, measures, and gives JSON values."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from base_speed import make_base
from closed_loop import Load
from gpu_attention import time_attention
from gpu_sessions import time_sessions
from live_server import served
from replank.benchmarking.run import BenchmarkConfig, benchmark
from replank.models.manifest import MANIFEST
from replank.models.source import Source, open_source
from replank.runtime.doctor import doctor
from replank.runtime.load import load_model
from replank.runtime.providers import provider_of
from replank.runtime.session import nodes_elsewhere, open_session
from replank.runtime.torch_modes import TorchMode
from replank_export.convert import ExportConfig, export
from replank_export.verify.compare import verify
from server_processes import KINDS, OURS
from servers import ask_engine, ask_http, read_texts

Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    :param layers: of the predecessor and of the successor.
    :param shape: what differs from BERT-base's configuration.
    :param seconds: of one way in one round at one shape.
    :param load_seconds: of one turn of clients.
    """

    layers: tuple[int, int] = (12, 6)
    shape: Mapping[str, int] = field(default_factory=dict)
    batch_sizes: tuple[int, ...] = (1, 8, 64)
    length: int = 128
    rounds: int = 5
    seconds: float = 0.3
    clients: tuple[int, ...] = (8, 32, 128)
    load_seconds: float = 4.0


WHOLE = Sizes()
TINY = Sizes(
    layers=(2, 1),
    shape={"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64},
    batch_sizes=(1, 2),
    length=16,
    rounds=2,
    seconds=0.0,
    clients=(2,),
    load_seconds=0.3,
)


@dataclass(frozen=True)
class Bench:
    """What is measured, where.

    :param device: ``cuda``, or ``cpu`` to try the code.
    :param work: folder of the models and of what is done.
    """

    device: str
    work: Path
    sizes: Sizes

    def torch(self, layers: int) -> Source:
        """A random model."""
        folder = self.work / f"torch-{layers}"
        if not (folder / "model.safetensors").exists():
            make_base(folder, layers, "bert", **self.sizes.shape)
        return open_source(folder)

    def onnx(self, layers: int, precision: Precision = "fp16") -> Source:
        """The random model as a graph, which was compared with torch on the CPU."""
        folder = self.work / f"onnx-{layers}-{precision}"
        if not (folder / MANIFEST).exists():
            export(self.torch(layers), folder, ExportConfig(precision=precision))
        return open_source(folder)


def check_installation(bench: Bench) -> dict[str, Any]:
    """What `replank doctor` says."""
    return {"checks": [asdict(check) for check in doctor()]}


def compare_numbers(bench: Bench) -> dict[str, Any]:
    """Graphs on the device against torch in fp32 on the CPU, under every padding, and what stays on the host."""
    layers = bench.sizes.layers[1]
    reference = load_model(bench.torch(layers))
    found = {}
    for precision in get_args(Precision):
        source = bench.onnx(layers, precision)
        differences = verify(reference, load_model(source, device=bench.device), precision=precision).differences
        everything = replace(provider_of(bench.device), host_operators=frozenset())
        on_host = nodes_elsewhere(open_session(source.model_file, device=bench.device), everything)
        found[precision] = {
            "within": not differences.failures,
            "tolerance": differences.tolerance,
            "max_abs": differences.max_abs,
            "cases": {case.case: case.max_abs for case in differences.cases},
            "label_agreement": min(case.label_agreement or 0.0 for case in differences.cases),
            "on_host": dict(on_host),
        }
    return found


def compare_sessions(bench: Bench) -> dict[str, Any]:
    """The session as the runtime has it, with buffers bound, and as CUDA graphs of padded shapes."""
    sizes = bench.sizes
    shapes = [(batch_size, sizes.length) for batch_size in sizes.batch_sizes]
    model = load_model(bench.onnx(sizes.layers[1]), device=bench.device)
    return time_sessions(model, shapes, rounds=sizes.rounds, seconds=sizes.seconds)


def compare_attention(bench: Bench) -> dict[str, Any]:
    """torch with each kernel of attention, on whole and on padded batches."""
    sizes = bench.sizes
    sources = [bench.torch(layers) for layers in sizes.layers]
    shapes = [(batch_size, sizes.length) for batch_size in sizes.batch_sizes]
    return time_attention(sources, bench.device, shapes, rounds=sizes.rounds, seconds=sizes.seconds)


def compare_speed(bench: Bench) -> dict[str, Any]:
    """torch, eager and compiled, beside ONNX Runtime, at both depths in fp16: interleaved, a process for each."""
    sizes = bench.sizes
    modes: tuple[TorchMode, ...] = ("fp16", "compiled-fp16") if bench.device == "cuda" else ("fp32",)
    sources = [make(layers) for make in (bench.torch, bench.onnx) for layers in sizes.layers]
    config = BenchmarkConfig(
        models=tuple(str(source.folder) for source in sources),
        devices=(bench.device,),
        torch_modes=modes,
        batch_sizes=sizes.batch_sizes,
        lengths=(sizes.length,),
        rounds=sizes.rounds,
        min_seconds=sizes.rounds * sizes.seconds,
        max_seconds=0.0,
    )
    return benchmark(config).to_json()


def compare_serving(bench: Bench) -> dict[str, Any]:
    """The server under a closed loop of clients, beside its engine in the clients' process."""
    sizes, source, kind = bench.sizes, bench.onnx(bench.sizes.layers[1]), KINDS[OURS]
    model = load_model(source, device=bench.device)
    with tempfile.TemporaryDirectory() as scratch:
        texts = read_texts(None, Path(scratch))
    rows: list[dict[str, Any]] = []
    with served(source.folder, "--device", bench.device) as server:

        async def take_turn(way: str, clients: int) -> Load:
            if way == "engine":
                return await ask_engine(model, texts, clients, sizes.load_seconds)
            return await ask_http(server.port, kind.path, kind.body, texts, clients, sizes.load_seconds)

        for number in range(sizes.rounds):
            for clients in sizes.clients:
                for way in sorted(("engine", "server"), reverse=bool(number % 2)):
                    load = asyncio.run(take_turn(way, clients))
                    rows.append({"round": number, "clients": clients, "way": way} | asdict(load))
    return {"rounds": rows}


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "doctor": check_installation,
    "numbers": compare_numbers,
    "sessions": compare_sessions,
    "attention": compare_attention,
    "speed": compare_speed,
    "serving": compare_serving,
}
