"""The result of an attack as tables for people."""

from __future__ import annotations

from rich.table import Table

from replank.robustness.measures import Share
from replank.robustness.result import AttackResult

# Which of the definitions in use the column "words changed" follows; the result holds two others.
CHANGED = "words changed: the mean, over the texts that fooled it, of the fraction of their words"
HEADINGS = (
    "model",
    "accuracy",
    "after the attack (95 %)",
    "success rate (95 %)",
    "words changed",
    "median queries",
    "similarity",
    "seconds",
)


def rows(result: AttackResult) -> list[tuple[str, ...]]:
    """A row for each model, under :data:`HEADINGS`."""
    found: list[tuple[str, ...]] = []
    for victim in result.victims:
        measures = victim.measures
        found.append(
            (
                f"{victim.model} ({victim.layers} layers, {victim.precision})",
                f"{measures.accuracy_before.value:.1%}",
                shown(measures.accuracy_after),
                "" if measures.success_rate is None else shown(measures.success_rate),
                "" if measures.changed is None else f"{measures.changed:.1%}",
                "" if measures.median_queries is None else f"{measures.median_queries:g}",
                "" if measures.similarity is None else f"{measures.similarity:.3f}",
                f"{victim.seconds:.0f}",
            )
        )
    return found


def title(result: AttackResult) -> str:
    """The texts and the masked LM."""
    masked_lm, count = result.masked_lm, len(result.victims[0].texts)
    return (
        f"{result.task.name}: BERT-Attack on {count} texts of {result.split}, masked LM {masked_lm.model} "
        f"(perplexity {masked_lm.perplexity:.1f})"
    )


def notes(result: AttackResult) -> list[str]:
    """What must be read with the table, each a sentence without its full stop."""
    found = [CHANGED, *result.masked_lm.cautions]
    without = result.victims[0].measures.without_words
    if without:
        found.append(f"{without} texts have no word that may be replaced, and count as held")
    return found


def attack_table(result: AttackResult) -> Table:
    """The models side by side."""
    table = Table(title=title(result), title_justify="left", caption="; ".join(notes(result)), caption_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for row in rows(result):
        table.add_row(*row)
    return table


def transfer_rows(result: AttackResult) -> tuple[list[str], list[tuple[str, ...]]]:
    """The models' names, and for each the part of the texts made against it that fool each."""
    names = [victim.model for victim in result.victims]
    shares = [["" if share is None else f"{share:.0%}" for share in row] for row in result.transfer]
    return names, [(name, *row) for name, row in zip(names, shares, strict=True)]


def transfer_table(result: AttackResult) -> Table:
    """The part of the texts made against each model that fool each."""
    table = Table(title="texts that fooled the model of the row, and fool that of the column too", title_justify="left")
    names, shares = transfer_rows(result)
    for heading in ("made against", *names):
        table.add_column(heading, justify="left" if heading == "made against" else "right")
    for row in shares:
        table.add_row(*row)
    return table


def shown(share: Share) -> str:
    """A fraction with its interval."""
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"
