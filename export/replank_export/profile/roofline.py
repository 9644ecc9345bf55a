"""The roofline: a lower bound on a model's latency on this machine.

A forward pass is bound by compute, at the rate of the fastest MatMul of the model's own shapes, or by memory, at the
bandwidth with which weights are read; the longer of the two times is the bound (Williams et al. 2009,
https://doi.org/10.1145/1498765.1498785). Elementwise operators, norms and softmax are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from onnx import ValueInfoProto, helper, numpy_helper

from replank.runtime.model import Model
from replank.runtime.session import open_session
from replank.runtime.timing import random_batch, time_calls
from replank.system.environment import available_cores
from replank_export.profile.flops import ForwardPass

# By precision: the operator, and the types of its two operands and of its result.
_OPERATORS: dict[str, tuple[str, type, type, type]] = {
    "fp32": ("MatMul", np.float32, np.float32, np.float32),
    "int8": ("MatMulInteger", np.uint8, np.int8, np.int32),
}
_COPIED_BYTES = 2**28
# Shapes with less than this share of all multiply-accumulates are not measured.
_LEAST_SHARE = 0.02
_MATMULS_PER_RUN = 4
_SECONDS_PER_SHAPE = 0.3
_SECONDS_PER_MODEL = 2.0
_WARM_UP = 2
_LEAST_RUNS = 5
_OPSET, _IR_VERSION = 17, 8


@dataclass(frozen=True)
class Machine:
    """Measured peak rates of a machine.

    :param threads: number of threads in the measurements.
    :param flops_per_second: peak rate of MatMuls by precision: ``fp32``, ``int8``.
    :param bytes_per_second: memory bandwidth of reads and writes together.
    :param cache_bytes: size of the largest cache; 0 if unknown.
    """

    threads: int
    flops_per_second: dict[str, float]
    bytes_per_second: float
    cache_bytes: int


@dataclass(frozen=True)
class Roofline:
    """The lower bound on a latency, in milliseconds.

    :param compute_ms: time of the multiply-accumulates.
    :param memory_ms: time to read the weights that do not fit into the cache.
    """

    compute_ms: float
    memory_ms: float

    @property
    def ms(self) -> float:
        """The longer of the two times."""
        return max(self.compute_ms, self.memory_ms)


def roofline(forward_pass: ForwardPass, machine: Machine) -> Roofline:
    """The lower bound on the latency of a forward pass; precisions without MatMuls on the CPU count as fp32."""
    rates = machine.flops_per_second
    seconds = sum(2 * matmul.macs / rates.get(matmul.precision, rates["fp32"]) for matmul in forward_pass.matmuls)
    streamed = max(0, forward_pass.matrix_bytes - machine.cache_bytes)
    return Roofline(compute_ms=1e3 * seconds, memory_ms=1e3 * streamed / machine.bytes_per_second)


def measure_machine(forward_pass: ForwardPass) -> Machine:
    """The peak rates of this machine, measured on MatMuls of a model's shapes and on memory; takes seconds."""
    threads = available_cores()
    shapes = {
        (matmul.rows, matmul.inner, matmul.columns)
        for matmul in forward_pass.matmuls
        if matmul.has_weight and matmul.macs >= _LEAST_SHARE * forward_pass.macs
    }
    return Machine(
        threads=threads,
        flops_per_second={
            precision: max(_measure_matmul(*shape, precision) for shape in shapes) for precision in _OPERATORS
        },
        bytes_per_second=_measure_memory(threads),
        cache_bytes=_cache_bytes(),
    )


def measure_latency(model: Model, batch_size: int, length: int) -> tuple[float, float]:
    """The latency of a model on random tokens without padding.

    :returns: the median and the minimum in milliseconds; they are far apart on a busy machine.
    """
    batch = random_batch(model, batch_size, length, seed=0)
    samples = _samples(lambda: model.predictor(batch), _SECONDS_PER_MODEL)
    return median(samples), min(samples)


def _measure_matmul(rows: int, inner: int, columns: int, precision: str) -> float:
    """The peak rate of ONNX Runtime's MatMul with a weight, in FLOPs per second."""
    operator, left_type, right_type, result_type = _OPERATORS[precision]
    generator = np.random.default_rng(0)
    left: NDArray[np.generic] = generator.integers(0, 100, size=(rows, inner)).astype(left_type)
    # Of 7 bits, as weights are that are quantized for a CPU without VNNI.
    right: NDArray[np.generic] = generator.integers(0, 64, size=(inner, columns)).astype(right_type)
    names = [str(index) for index in range(_MATMULS_PER_RUN)]
    graph = helper.make_graph(
        # Several per run, to hide the overhead of the call; with equal inputs, only one would be computed.
        [helper.make_node(operator, [f"left{name}", "right"], [name]) for name in names],
        "matmuls",
        [_tensor(f"left{name}", left_type, left.shape) for name in names],
        [_tensor(name, result_type, (rows, columns)) for name in names],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)])
    session = open_session(model.SerializeToString())
    feeds = {f"left{name}": left for name in names}
    milliseconds = min(_samples(lambda: session.run(names[:1], feeds), _SECONDS_PER_SHAPE))
    return 2e3 * _MATMULS_PER_RUN * rows * inner * columns / milliseconds


def _tensor(name: str, numpy_type: type, shape: tuple[int, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(numpy_type)), shape)


def _measure_memory(threads: int) -> float:
    """The memory bandwidth in bytes per second, of a copy that is larger than any cache."""
    source = np.ones(_COPIED_BYTES, dtype=np.uint8)
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(lambda pair: np.copyto(*pair), parts))

        milliseconds = min(_samples(copy, _SECONDS_PER_SHAPE))
    return 2e3 * _COPIED_BYTES / milliseconds


def _samples(run: Callable[[], object], seconds: float) -> list[float]:
    """The milliseconds of each call, repeated for the given time."""
    return time_calls(run, warmup=_WARM_UP, min_iterations=_LEAST_RUNS, min_seconds=seconds)


def _cache_bytes() -> int:
    """The size of the largest cache that the first core uses, if Linux reports it."""
    caches = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    sizes = [path.read_text(encoding="ascii").strip() for path in caches]
    return max((int(size.removesuffix("K")) * 1024 for size in sizes), default=0)
