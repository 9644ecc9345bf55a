"""Comparison of any two models that answer the same task: by a tolerance on logits, or by the task's metric."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from replank.data.config import DataConfig
from replank.models.quality import Quality
from replank.models.source import Source, open_source, require_length
from replank.robustness.attackers import Attackers
from replank.robustness.gate import AttackPlan, require_robustness
from replank.robustness.result import ATTACK, AttackResult
from replank.robustness.run import attack
from replank.runtime.evaluate import evaluate, require_same_task
from replank.runtime.load import load_model
from replank.runtime.provider_choice import Auto
from replank.runtime.providers import Device
from replank.system.errors import QualityGateError, UsageError
from replank.system.progress import progress
from replank_export.verify.compare import CASES, Verification, verify


@dataclass(frozen=True)
class Comparison:
    """A candidate beside its reference.

    :param verification: differences of logits, case by case.
    :param arithmetic: that the candidate computes in.
    :param qualities: of reference and candidate on the same rows; ``None`` where a tolerance on logits judges, or
        where no data was given.
    :param headline: the task's first metric.
    :param robustness: both under the same attack, if that was asked for.
    """

    verification: Verification
    arithmetic: str
    qualities: tuple[Quality, Quality] | None
    headline: str | None
    robustness: AttackResult | None = None

    @property
    def is_judged(self) -> bool:
        """Whether there was something to judge the candidate by."""
        return self.verification.differences.tolerance is not None or self.qualities is not None

    def require(self, max_drop: float = 0.005, max_robustness_drop: float | None = None) -> None:
        """Refuse a candidate outside the tolerance, or one that nothing judged.

        :param max_drop: the loss of the headline metric that is allowed where it judges.
        :param max_robustness_drop: the loss of accuracy under attack that is allowed; ``None`` allows all.
        :raises UsageError: its precision is judged by the task's metric, and there were no data.
        :raises QualityGateError: with the worst case, or the loss.
        """
        if not self.is_judged:
            raise UsageError(
                f"nothing is verified yet: {self.arithmetic} is judged by the task's metric, which takes data",
                hint="`dataset=NAME` (GLUE), `data=FOLDER`, or `dev=FILE`",
            )
        self.verification.require()
        self._require_quality(max_drop)
        if self.robustness is not None and max_robustness_drop is not None:
            require_robustness(self.robustness, max_robustness_drop)

    def _require_quality(self, max_drop: float) -> None:
        if self.qualities is None or self.headline is None:
            return
        before, after = (quality.metrics[self.headline] for quality in self.qualities)
        if before - after > max_drop:
            raise QualityGateError(
                f"{self.headline} falls by {100 * (before - after):.2f} points, from {before:.4f} to {after:.4f}; "
                f"`max_drop` allows {100 * max_drop:g}"
            )


def compare_models(
    ours: Source,
    theirs: Source,
    data: DataConfig | None,
    *,
    device: Device | Auto,
    threads: int | None,
    attack_plan: AttackPlan | None = None,
) -> Comparison:
    """Compare a candidate with its reference under every padding, on real texts, and in quality where that judges.

    :param ours: the reference, which runs on the CPU.
    :param theirs: the candidate.
    :param device: of the candidate.
    :param attack_plan: also attack both; that takes the task's data.
    :raises UsageError: the models answer different tasks.
    """
    if attack_plan is not None and data is None:
        raise UsageError("an attack needs the task's data", hint="`dataset=NAME` (GLUE), `data=FOLDER`, or `dev=FILE`")
    require_length(ours, data.max_length if data else None)
    dataset = data.load(ours.task) if data else None
    task = dataset.task if dataset else ours.task
    kinds = [(source.task.kind, source.task.outputs) for source in (ours, theirs)]
    if kinds[0] != kinds[1]:
        one, other = (f"{outputs or 'any number of'} outputs ({kind})" for kind, outputs in kinds)
        raise UsageError(f"{ours.name} gives {one} and {theirs.name} {other}", hint="compare models of the same task")
    if dataset:
        require_same_task(ours.name, ours.task, dataset)
    first = load_model(ours, task=task, threads=threads)
    second = load_model(theirs, task=task, device=device, threads=threads)
    texts = dataset.split(dataset.held_out) if dataset else None
    with progress("verify: batches", CASES + (texts is not None)) as advance:
        found = verify(first, second, precision=second.arithmetic, examples=texts, progress=advance)
    qualities = None
    if dataset and found.differences.tolerance is None:
        split = dataset.held_out
        with progress(f"evaluate on {split}", 2 * len(dataset.split(split))) as advance:
            qualities = (
                evaluate(first, dataset, split, progress=advance),
                evaluate(second, dataset, split, progress=advance),
            )
    attacked = _attack(ours, theirs, data, attack_plan, device, threads) if attack_plan and data else None
    return Comparison(found, second.arithmetic, qualities, dataset.task.headline if dataset else None, attacked)


def _attack(
    ours: Source, theirs: Source, data: DataConfig, plan: AttackPlan, device: Device | Auto, threads: int | None
) -> AttackResult:
    """Both models under the same attack, on the candidate's device."""
    attackers = Attackers(masked_lm=open_source(plan.masked_lm))
    with tempfile.TemporaryDirectory(prefix="replank-") as scratch:
        out = Path(scratch) / ATTACK
        return attack([ours, theirs], attackers, plan.config, data, out=out, device=device, threads=threads)
