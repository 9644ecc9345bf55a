"""The configuration of the scheme `integer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

from replank.models.manifest import ArtifactKind
from replank.system.errors import FieldError
from replank.system.settings import setting
from replank_export.integer.nodes import IntegerTarget


@dataclass(frozen=True)
class IntegerInt8:
    """The encoder of a torch model computes in integers only (I-BERT), calibrated on texts of the task.

    :cvar takes: the kind of model that it is made of.
    :param max_drop: the allowed loss of the headline metric against the source, as a fraction.
    :param integer_target: whose kernels the types of activations are chosen for: uint8 for ``cpu``, int8 for ``cuda``.
    :param calibration_rows: number of texts to calibrate on, at least 16; a model that was trained with quantization
        brings its ranges and needs none.
    :raises FieldError: a value out of range.
    """

    name: ClassVar[str] = "integer"
    takes: ClassVar[ArtifactKind] = "torch"
    max_drop: float = setting(0.02, "Allowed loss of the headline metric; 0.02 is two points.")
    integer_target: IntegerTarget = setting("cpu", "Whose kernels the types of activations are chosen for.")
    calibration_rows: int = setting(128, "Texts to calibrate on.")

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 1:
            raise FieldError("max_drop", self.max_drop, "a fraction, 0 to 1 (0.02 is two points)")
        if self.integer_target not in get_args(IntegerTarget):
            raise FieldError("integer_target", self.integer_target, f"one of {', '.join(get_args(IntegerTarget))}")
        if self.calibration_rows < 16:
            raise FieldError("calibration_rows", self.calibration_rows, "16 or more")
