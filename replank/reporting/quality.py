"""The part of a report on quality: the metrics of each model, and the fraction of the first one's that it retains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replank.reporting.document import Block, Grid, Heading, Paragraph
from replank.reporting.facts import Facts
from replank.resampling.compare import kept_part
from replank.runtime.evaluate import RowAnswers
from replank.system.errors import DataError
from replank.tasks.task import headline


def quality_section(facts: Facts) -> list[Block]:
    """A row for each model, the first of the chain at the top."""
    scores = _scores(facts)
    if not scores:
        return [Heading("Quality"), Paragraph("Not measured.")]
    metrics = list(dict.fromkeys(name for score in scores for name in score.metrics))
    rows = []
    for score in scores:
        values = [f"{score.metrics[name]:.4f}" if name in score.metrics else "" for name in metrics]
        rows.append([score.model, *values, score.kept_of(scores[0]), f"{score.split}, {score.rows}"])
    cautions = dict.fromkeys(caution for score in scores for caution in score.cautions)
    return [
        Heading("Quality"),
        Grid(["model", *metrics, f"{metrics[0]} kept", "split, rows"], rows),
        *(Paragraph(f"{caution[0].upper()}{caution[1:]}.") for caution in cautions),
    ]


@dataclass(frozen=True)
class _Score:
    """The metrics of a model.

    :param rows: how many rows of the split they were computed on.
    :param data: the digest of these rows; ``None`` if it is not known.
    :param cautions: see :class:`replank.models.quality.Quality`.
    :param answers: those by which they were computed, if they were kept.
    """

    model: str
    split: str
    rows: int
    data: str | None
    metrics: Mapping[str, float]
    cautions: Sequence[str] = ()
    answers: RowAnswers | None = None

    def kept_of(self, first: _Score) -> str:
        """The headline metric as a fraction of that of the chain's first model, with its interval if answers tell it.

        Empty if they were scored on different rows, or if that one's is not above 0.
        """
        name, reference = headline(first.metrics)
        is_same = first.data is None or self.data is None or first.data == self.data
        if not (is_same and reference > 0 and name in self.metrics):
            return ""
        part = self.metrics[name] / reference
        return f"{part:.1%}{self._interval(first, name, part)}"

    def _interval(self, first: _Score, name: str, part: float) -> str:
        if self is first or self.answers is None or first.answers is None:
            return ""
        try:
            kept = kept_part(self.answers, first.answers, name)
        except DataError:  # of one row there is nothing to draw again, and of other rows or words nothing to compare
            return ""
        # A summary may be of other models than those that now lie in the folders.
        is_of_it = kept is not None and math.isclose(kept.value, part, abs_tol=1e-3)
        return f" ({kept.low:.1%} to {kept.high:.1%})" if kept is not None and is_of_it else ""


def _scores(facts: Facts) -> list[_Score]:
    """The models that the chain compared, of which the first need not have a folder here; then all other artifacts."""
    manifests = {stage.name: stage.manifest.quality for stage in facts.stages}
    answers = {stage.name: stage.answers for stage in facts.stages}
    scores, compared = [], set()
    if summary := facts.summary:
        for model in summary.models:
            quality = manifests.get(model.folder)
            split, rows = (quality.split, quality.rows) if quality else (summary.split, summary.rows)
            data, cautions = (quality.data, quality.cautions) if quality else (None, [])
            kept = answers.get(model.folder)
            scores.append(_Score(model.name, split, rows, data, model.metrics, cautions, kept))
            compared.add(model.folder)
    return scores + [
        _Score(name, quality.split, quality.rows, quality.data, quality.metrics, quality.cautions, answers[name])
        for name, quality in manifests.items()
        if quality and name not in compared
    ]
