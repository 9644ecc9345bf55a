"""Methods over a set of tasks: macro differences, corrected for their number, and the macro part that is kept.

Rows and seeds are drawn within each task; the tasks themselves are fixed. A task's score is its headline metric, or
the mean of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from replank.resampling.estimate import Difference, Kept, mean_of
from replank.resampling.holm import holm
from replank.resampling.resample import Resampled, Resampling, resample
from replank.resampling.task_runs import TaskRuns
from replank.system.errors import DataError, UsageError


@dataclass(frozen=True)
class ScoredTask:
    """One task of a set.

    :param metrics: whose mean is the score; the headline where empty.
    """

    runs: TaskRuns
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MacroDifference:
    """A method's macro score minus a baseline's.

    :param tasks: the difference on each task, in their order.
    :param corrected_p_value: of the macro, by Holm over all baselines.
    """

    macro: Difference
    tasks: tuple[Difference, ...]
    corrected_p_value: float


@dataclass(frozen=True, kw_only=True)
class MacroKept:
    """The part of the predecessor's score that a method keeps: the mean over tasks of the part on each.

    :param tasks: on each task, in their order.
    """

    macro: Kept
    tasks: tuple[Kept, ...]


def macro_differences(
    tasks: Sequence[ScoredTask],
    method: str,
    baselines: Iterable[str],
    resampling: Resampling | None = None,
) -> dict[str, MacroDifference]:
    """A method against each baseline, over all tasks.

    :param method: one of the names in each task's runs; ``baselines`` likewise.
    :raises UsageError: no tasks, or a name that a task lacks.
    """
    baselines = tuple(baselines)
    scores = _scores(tasks, (method, *baselines), resampling or Resampling())
    by_task = {name: [found.methods[method] - found.methods[name] for found in scores] for name in baselines}
    macro = {name: Difference.of(mean_of(differences)) for name, differences in by_task.items()}
    corrected = holm({name: difference.p_value for name, difference in macro.items()})
    return {
        name: MacroDifference(
            macro=macro[name], tasks=tuple(map(Difference.of, by_task[name])), corrected_p_value=corrected[name]
        )
        for name in baselines
    }


def macro_kept(tasks: Sequence[ScoredTask], method: str, resampling: Resampling | None = None) -> MacroKept:
    """How much of the predecessor's score a method keeps, over all tasks.

    :raises UsageError: no tasks, or one without the method or a predecessor.
    :raises DataError: a predecessor's score is not above 0 in every resample: no part of it means something.
    """
    parts = []
    for task, found in zip(tasks, _scores(tasks, (method,), resampling or Resampling()), strict=True):
        name = task.runs.task.name
        if found.predecessor is None:
            raise UsageError(f"{name} has no answers of the predecessor", hint="what is kept is a part of its score")
        if not found.predecessor.is_positive:
            raise DataError(
                f"the predecessor's score on {name} is not above 0 in every resample",
                hint="leave the task out, or score it by another metric",
            )
        parts.append(found.methods[method] / found.predecessor)
    return MacroKept(macro=Kept.of(mean_of(parts)), tasks=tuple(map(Kept.of, parts)))


def _scores(tasks: Sequence[ScoredTask], names: Sequence[str], resampling: Resampling) -> list[Resampled]:
    """The scores of each task, of draws of its own.

    :raises UsageError: no tasks, or a task lacks one of the names.
    """
    if not tasks:
        raise UsageError("no tasks to compare on", hint="give one or more")
    for task in tasks:
        if missing := [name for name in names if name not in task.runs.methods]:
            raise UsageError(
                f"{task.runs.task.name} has no answers of {', '.join(missing)}",
                hint=f"it has those of {', '.join(task.runs.methods)}",
            )
    return [_score(task, number, resampling) for number, task in enumerate(tasks)]


def _score(task: ScoredTask, number: int, resampling: Resampling) -> Resampled:
    metrics = task.metrics or task.runs.metrics[:1]
    found = resample(task.runs, metrics, resampling, task_number=number)
    each = [found[metric] for metric in metrics]
    predecessors = [resampled.predecessor for resampled in each if resampled.predecessor]
    return Resampled(
        {name: mean_of([resampled.methods[name] for resampled in each]) for name in task.runs.methods},
        mean_of(predecessors) if predecessors else None,
        max(resampled.undefined for resampled in each),
    )
