"""Static INT8: the scales of activations are fixed, calibrated on texts of the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args

import onnx

from replank.system.errors import FieldError
from replank.system.settings import setting
from replank.text.padding import Batch
from replank_export.graph_files import save_graph
from replank_export.int8.calibrate import Calibration, TextReader
from replank_export.int8.config import Int8Config
from replank_export.int8.prepared_graph import TABLES, PreparedGraph
from replank_export.int8.tanh_gelu import spell_out_gelus
from replank_export.int8.token_scales import scale_tokens


@dataclass(frozen=True)
class StaticInt8(Int8Config):
    """Scales of activations are fixed, calibrated on texts of the task, and written as pairs of nodes (QDQ).

    :param calibration: how a tensor's range is chosen from its values: all of them (``minmax``), all but outliers
        (``percentile``, 99.999 %), or the range with the least loss of information (``entropy``).
    :param calibration_rows: number of texts to calibrate on, at least 16.
    """

    name: ClassVar[str] = "static"
    calibration: Calibration = setting("minmax", "How the range of an activation is chosen from its values.")
    calibration_rows: int = setting(128, "Texts to calibrate on.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calibration not in get_args(Calibration):
            raise FieldError("calibration", self.calibration, f"one of {', '.join(get_args(Calibration))}")
        if self.calibration_rows < 16:
            raise FieldError("calibration_rows", self.calibration_rows, "16 or more")

    def texts_wanted(self) -> int:
        """The calibration rows."""
        return self.calibration_rows

    def graph(self, path: Path, texts: Sequence[Batch]) -> PreparedGraph:
        """See :class:`StaticGraph`."""
        model = onnx.load(str(path))
        scale_tokens(model)
        spell_out_gelus(model)
        save_graph(model, path)
        reader = TextReader(path, texts, self.calibration, path.with_name("ranges.json"))
        return StaticGraph(path, reader, per_channel=self.per_channel, reduce_range=self.reduce_range)

    def ort_config(self) -> dict[str, Any]:
        """Pairs of QuantizeLinear and DequantizeLinear."""
        return {"is_static": True, "format": "QDQ", "per_channel": self.per_channel}


class StaticGraph(PreparedGraph):
    """A graph whose linear layers take input of a fixed scale.

    :param reader: the calibration texts; ranges are found when the graph is first written.
    """

    def __init__(self, path: Path, reader: TextReader, *, per_channel: bool, reduce_range: bool) -> None:
        super().__init__(path, per_channel=per_channel, reduce_range=reduce_range)
        self._reader = reader

    def _write(self, target: Path, keep: Sequence[str]) -> None:
        tables_done = self._path.with_name("tables_in_int8.onnx")
        self._quantize_weights(self._path, tables_done, keep, TABLES)
        self._reader.quantize(
            tables_done,
            target,
            keep,
            per_channel=self._per_channel,
            reduce_range=self._reduce_range,
            is_large=self._is_large,
        )
