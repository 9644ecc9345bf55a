"""The graph's side of INT8: which products are quantized, which stay in floating point, and how to tell."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from replank.system.environment import Int8Target, int8_target
from replank.system.errors import ModelError, UsageError
from replank.system.quiet import quiet_logging
from replank.text.padding import Batch
from replank_export.graph_files import is_large, save_graph
from replank_export.int8.calibrate import Calibration, TextReader
from replank_export.int8.decompose import open_for_int8
from replank_export.int8.token_scales import scale_tokens

# Operators whose work is a product with a weight matrix, or a look-up in one: what INT8 is for.
PRODUCTS = ("MatMul", "Gemm", "Attention")
TABLES = ("EmbedLayerNormalization", "Gather")


@dataclass(frozen=True)
class Int8Config(ABC):
    """What every way to INT8 has in common.

    :param per_channel: one scale a column of each weight matrix instead of one for all.
    :param max_drop: how far the headline metric may fall below the source's, as a fraction: 0.005 is half a point.
    :param target: the instructions that it is made for; ``native``: those of this machine.
    :param allow_slower: write a graph that is not faster than its source on this machine, too.
    """

    scheme: ClassVar[str]
    per_channel: bool = True
    max_drop: float = 0.005
    target: Int8Target | Literal["native"] = "native"
    allow_slower: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 1:
            raise UsageError(f"--max-drop is {self.max_drop}; expected a fraction, 0 to 1 (0.005 is half a point)")
        if self.target not in (targets := ("native", *get_args(Int8Target))):
            raise UsageError(f"--target is {self.target!r}; expected {', '.join(targets)}")

    @property
    def instructions(self) -> Int8Target:
        """The instructions that the graph is made for."""
        return int8_target() if self.target == "native" else self.target

    @property
    def reduce_range(self) -> bool:
        """Whether weights take 7 bits: without VNNI the sum of two products overflows 16 bits."""
        return self.instructions == "avx2"


@dataclass(frozen=True)
class DynamicInt8(Int8Config):
    """Activations are scaled batch by batch, so no calibration data is needed."""

    scheme: ClassVar[str] = "dynamic"


@dataclass(frozen=True)
class StaticInt8(Int8Config):
    """Activations have fixed scales, found on texts of the task; quantization is written out as pairs of nodes (QDQ).

    :param calibration: how a tensor's range is chosen from what was seen: all of it (``minmax``), all but outliers
        (``percentile``, 99.999 %), or what loses the least information (``entropy``).
    :param calibration_rows: texts to calibrate on, 16 at least.
    """

    scheme: ClassVar[str] = "static"
    calibration: Calibration = "minmax"
    calibration_rows: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calibration not in get_args(Calibration):
            raise UsageError(f"--calibration is {self.calibration!r}; expected {', '.join(get_args(Calibration))}")
        if self.calibration_rows < 16:
            raise UsageError(f"--calibration-rows is {self.calibration_rows}; expected 16 or more")


class PreparedGraph(ABC):
    """A graph in fp32, ready to be quantized more than once.

    :param path: the prepared file.
    :param config: how it is quantized.
    """

    def __init__(self, path: Path, config: Int8Config) -> None:
        self._path, self._config = path, config
        self._is_large = is_large(path)

    def write(self, target: Path, keep: Sequence[str] = ()) -> None:
        """Write the graph in INT8.

        :param keep: names of nodes that stay in floating point.
        """
        with quiet_logging():  # it logs its guesses and advice; what it did is counted instead
            self._write(target, keep)

    @property
    def products(self) -> list[str]:
        """Names of the nodes that can be kept in floating point: those that hold a weight matrix."""
        return list(dict.fromkeys(entry["node"] for entry in float_weights(self._path)))

    @abstractmethod
    def _write(self, target: Path, keep: Sequence[str]) -> None: ...

    def _quantize_weights(self, source: Path, target: Path, keep: Sequence[str], operators: Sequence[str]) -> None:
        quantize_dynamic(
            str(source),
            str(target),
            op_types_to_quantize=list(operators),
            per_channel=self._config.per_channel,
            reduce_range=self._config.reduce_range,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(keep),
            use_external_data_format=self._is_large,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
        )


class DynamicGraph(PreparedGraph):
    """See :class:`DynamicInt8`."""

    def _write(self, target: Path, keep: Sequence[str]) -> None:
        self._quantize_weights(self._path, target, keep, (*PRODUCTS, *TABLES))


class StaticGraph(PreparedGraph):
    """See :class:`StaticInt8`.

    :param batches: what the ranges are found on, the first time that the graph is written.
    """

    def __init__(self, path: Path, config: StaticInt8, batches: Sequence[Batch]) -> None:
        super().__init__(path, config)
        self._reader = TextReader(path, batches, config.calibration, path.with_name("ranges.json"))

    def _write(self, target: Path, keep: Sequence[str]) -> None:
        between = self._path.with_name("between.onnx")
        self._quantize_weights(self._path, between, keep, TABLES)
        self._reader.quantize(
            between,
            target,
            keep,
            per_channel=self._config.per_channel,
            reduce_range=self._config.reduce_range,
            is_large=self._is_large,
        )


@contextmanager
def prepared(source: Path, config: Int8Config, batches: Sequence[Batch] = ()) -> Iterator[PreparedGraph]:
    """Prepare a graph; the file lives as long as the block.

    :param batches: texts without padding, which a static graph is calibrated on.
    """
    with tempfile.TemporaryDirectory(prefix="replank-") as scratch:
        opened, path = Path(scratch) / "opened.onnx", Path(scratch) / "prepared.onnx"
        model = onnx.load(str(source))
        open_for_int8(model)
        save_graph(model, opened)
        # Where it fails it leaves a file in the working directory, and it logs its guesses and advice.
        with quiet_logging(), chdir(scratch):
            try:
                # Without the types of the fused operators' outputs the quantizer gives up.
                quant_pre_process(
                    str(opened),
                    str(path),
                    skip_optimization=True,
                    auto_merge=True,  # graphs of others give each input axes of its own
                    save_as_external_data=is_large(opened),
                )
            except Exception as error:  # it raises bare Exceptions
                raise ModelError(
                    f"the shapes in {source} cannot be worked out: {error}", hint="make the graph with replank export"
                ) from error
        # Last, for it is in no need of types, and the inference of them knows no maximum of an axis.
        model = onnx.load(str(path))
        scale_tokens(model)
        save_graph(model, path)
        yield StaticGraph(path, config, batches) if isinstance(config, StaticInt8) else DynamicGraph(path, config)


def float_weights(path: Path) -> list[dict[str, Any]]:
    """The weight matrices that a graph keeps in floating point, the largest first.

    :returns: ``{"node", "operator", "shape"}`` of each operator that multiplies or looks up such a matrix.
    """
    graph = onnx.load(str(path), load_external_data=False).graph
    shapes = {
        tensor.name: list(tensor.dims)
        for tensor in graph.initializer
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16) and len(tensor.dims) >= 2
    }
    found = [
        {"node": node.name, "operator": node.op_type, "shape": shapes[name]}
        for node in graph.node
        if node.op_type in (*PRODUCTS, *TABLES)
        for name in node.input
        if name in shapes
    ]
    return sorted(found, key=lambda entry: -int(np.prod(entry["shape"])))
