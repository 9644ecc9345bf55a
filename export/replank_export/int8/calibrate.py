"""Calibration of static scales: the ranges of activations on texts of the task."""

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
    """Calibration texts, one at a time: the activations of padding would widen the ranges.

    :param path: the graph whose inputs the texts are fed to.
    :param method: how the range of a tensor is chosen from its values.
    :param ranges: a file that caches the ranges for later calls.
    """

    def __init__(self, path: Path, batches: Sequence[Batch], method: Calibration, ranges: Path) -> None:
        self._batches, self._method, self._ranges = batches, method, ranges
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self._names = [node.name for node in session.get_inputs()]
        self._feeds: Iterator[dict[str, Any]] = iter(())

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Select the texts that :meth:`get_next` returns."""
        self._feeds = (
            {name: batch.inputs().get(name, np.zeros_like(batch.input_ids)) for name in self._names}
            for batch in self._batches[start_index:end_index]
        )

    def get_next(self) -> dict[str, Any] | None:
        """The inputs of the next text by name; ``None`` after the last."""
        return next(self._feeds, None)

    def quantize(
        self, source: Path, target: Path, keep: Sequence[str], *, per_channel: bool, reduce_range: bool, is_large: bool
    ) -> None:
        """Write a graph with QuantizeLinear and DequantizeLinear nodes before its linear layers."""
        quantize_static(
            str(source),
            str(target),
            self,
            quant_format=QuantFormat.QDQ,
            # Norms, softmax and the addition of the mask lose accuracy in INT8; linear layers do not.
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
                # The output of a linear layer stays in fp32: quantizing it too costs quality and saves no time.
                "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],
            },
        )
