"""The configuration of the scheme `auto`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from replank.models.manifest import ArtifactKind
from replank.system.errors import FieldError
from replank.system.settings import setting
from replank_export.int8 import SCHEMES, Int8Config


@dataclass(frozen=True)
class AutoInt8:
    """Whichever scheme and execution provider are the fastest pair here, of those that keep the quality.

    :cvar takes: the kind of model that it is made of.
    :param max_drop: the allowed loss of the headline metric against the source, as a fraction.
    :param allow_slower: also accept a pair that is not faster than the source on this machine.
    :param calibration_rows: number of texts that a scheme with calibration gets, at least 16.
    :raises FieldError: a value out of range.
    """

    name: ClassVar[str] = "auto"
    takes: ClassVar[ArtifactKind] = "onnx"
    max_drop: float = setting(0.005, "Allowed loss of the headline metric; 0.005 is half a point.")
    allow_slower: bool = setting(False, "Write the model even if it is not faster than its source on this machine.")
    calibration_rows: int = setting(128, "Texts to calibrate on.")

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 1:
            raise FieldError("max_drop", self.max_drop, "a fraction, 0 to 1 (0.005 is half a point)")
        if self.calibration_rows < 16:
            raise FieldError("calibration_rows", self.calibration_rows, "16 or more")

    def schemes(self) -> Mapping[str, Int8Config]:
        """The configuration of each scheme that is tried: all that quantize a graph, with these settings.

        Whether one is faster than its source is not for itself to judge: its provider has a part in it.
        """
        given = {entry.name: getattr(self, entry.name) for entry in fields(self)} | {"allow_slower": True}
        return {
            name: scheme(**{entry.name: given[entry.name] for entry in fields(scheme) if entry.name in given})
            for name, scheme in SCHEMES.items()
        }
