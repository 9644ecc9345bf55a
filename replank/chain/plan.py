"""The configuration of a chain: that of each stage, or the few settings in which most chains differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from replank.system.errors import FieldError, UsageError
from replank.system.settings import setting
from replank.system.trackers import REPORT_TO_HELP, TRAINING_ARGUMENTS_HELP, Tracker

if TYPE_CHECKING:
    from replank.robustness.gate import AttackPlan
    from replank_compress.methods.theseus import TheseusConfig
    from replank_compress.training.config import FinetuneConfig
    from replank_compress.trim import TrimConfig
    from replank_export.convert import ExportConfig
    from replank_export.schemes import Scheme

SchemeName = Literal["dynamic", "static", "integer", "auto"]


@dataclass(frozen=True)
class Plan:
    """The configuration of each stage, and of the attack at the end, if there is one."""

    finetune: FinetuneConfig
    compress: TheseusConfig
    export: ExportConfig
    quantize: Scheme
    trim: TrimConfig | None = None
    attack: AttackPlan | None = None


@dataclass(frozen=True)
class RunConfig:
    """The settings in which most chains differ.

    :raises FieldError: a value out of range.
    """

    layers: int | None = setting(None, "Layers of the successor; by default half the predecessor's.")
    finetune_epochs: float = setting(3.0, "Passes over the training split for the predecessor.")
    compress_epochs: float = setting(5.0, "Passes over the training split for the successor.")
    seed: int = setting(42, "Seed of everything random.")
    scheme: SchemeName = setting("dynamic", "Scheme of INT8; see replank quantize.")
    max_drop: float | None = setting(None, "Loss of the headline metric allowed to INT8; by default the scheme's own.")
    allow_unfused: bool = setting(False, "Write a slower graph if not everything can be fused.")
    unlabelled: Path | None = setting(
        None, "File of further texts, without labels, on which the successor learns the predecessor's answers alone."
    )
    trim_vocabulary: Path | None = setting(
        None, "File of texts, one a line: first of all, tokens that none of them needs are dropped."
    )
    training_arguments: Mapping[str, Any] | Path | None = setting(None, TRAINING_ARGUMENTS_HELP)
    report_to: Tracker | None = setting(None, REPORT_TO_HELP)
    attack_rows: int | None = setting(
        None, "Held-out texts on which the models are attacked at the end; none are if not given."
    )
    masked_lm: str | Path | None = setting(
        None, "The masked language model that proposes words for it: folder or hub name."
    )
    max_robustness_drop: float | None = setting(
        None, "Loss of accuracy under attack allowed to successor and INT8: 0.05 is five points."
    )

    def __post_init__(self) -> None:
        if self.scheme not in (names := get_args(SchemeName)):
            raise FieldError("scheme", self.scheme, f"one of {', '.join(names)}")
        if self.report_to not in (None, *get_args(Tracker)):
            raise FieldError("report_to", self.report_to, f"one of {', '.join(get_args(Tracker))}")
        if (self.attack_rows is None) != (self.masked_lm is None):
            raise UsageError("`attack_rows` and `masked_lm` need each other")
        if self.max_robustness_drop is not None and self.attack_rows is None:
            raise UsageError("`max_robustness_drop` judges an attack, and `attack_rows` asks for none")
        for name in ("finetune_epochs", "compress_epochs"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise FieldError(name, value, "more than 0")

    def plan(self) -> Plan:
        """The configuration of each stage."""
        from replank.robustness.config import AttackConfig
        from replank.robustness.gate import AttackPlan
        from replank_compress.methods.theseus import TheseusConfig
        from replank_compress.training.config import FinetuneConfig
        from replank_compress.trim import TrimConfig
        from replank_export.convert import ExportConfig
        from replank_export.schemes import untimed

        training: dict[str, Any] = {
            "seed": self.seed,
            "training_arguments": self.training_arguments,
            "report_to": self.report_to,
        }
        return Plan(
            FinetuneConfig(epochs=self.finetune_epochs, **training),
            TheseusConfig(epochs=self.compress_epochs, layers=self.layers, unlabelled=self.unlabelled, **training),
            ExportConfig(allow_unfused=self.allow_unfused),
            # Should INT8 be slower on this machine, the comparison at the end shows it.
            untimed(self.scheme, self.max_drop),
            None if self.trim_vocabulary is None else TrimConfig(self.trim_vocabulary),
            None
            if self.attack_rows is None or self.masked_lm is None
            else AttackPlan(AttackConfig(rows=self.attack_rows), self.masked_lm, self.max_robustness_drop),
        )
