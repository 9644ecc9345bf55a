"""Static scales: what activations reach on texts of the task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from replank.text.padding import Batch

Calibration = Literal["minmax", "percentile", "entropy"]
_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


class TextReader(CalibrationDataReader):  # type: ignore[misc]
    """Texts, one at a time: padding has activations of its own, which would widen the ranges.

    :param path: a graph with the inputs that are asked for.
    :param method: how a range is chosen.
    :param ranges: file that keeps the ranges between two calls.
    """

    def __init__(self, path: Path, batches: Sequence[Batch], method: Calibration, ranges: Path) -> None:
        self._batches, self._method, self._ranges = batches, method, ranges
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self._names = [node.name for node in session.get_inputs()]
        self._feeds: Iterator[dict[str, Any]] = iter(())

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Which texts :meth:`get_next` gives."""
        self._feeds = (
            {name: batch.inputs().get(name, np.zeros_like(batch.input_ids)) for name in self._names}
            for batch in self._batches[start_index:end_index]
        )

    def get_next(self) -> dict[str, Any] | None:
        """The inputs of the next text, as ONNX Runtime asks for them; ``None`` after the last."""
        return next(self._feeds, None)

    def quantize(
        self, source: Path, target: Path, keep: Sequence[str], *, per_channel: bool, reduce_range: bool, is_large: bool
    ) -> None:
        """Write a graph with pairs of quantizing and dequantizing nodes around its products with weights."""
        quantize_static(
            str(source),
            str(target),
            self,
            quant_format=QuantFormat.QDQ,
            # Norms, softmax and the addition of the mask lose what INT8 has; products with weights do not.
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=per_channel,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(keep),
            calibrate_method=_METHODS[self._method],
            calibration_cache_path=str(self._ranges),
            use_external_data_format=is_large,
            extra_options={
                "MatMulConstBOnly": True,
                # One by one, whatever the method: histograms of texts of two lengths cannot be taken at once.
                "CalibStridedMinMax": 1,
                # What comes out of a product goes on in fp32: quantizing it too costs quality and saves no time.
                "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],
            },
        )
