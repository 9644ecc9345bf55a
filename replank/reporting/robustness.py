"""The part of a report on robustness: the models under the same attack, and a text that fooled each."""

from __future__ import annotations

from replank.reporting.document import Block, Grid, Heading, Paragraph
from replank.reporting.facts import Facts
from replank.robustness.table import HEADINGS, notes, rows, title, transfer_rows


def robustness_section(facts: Facts) -> list[Block]:
    """A row for each model; nothing where none was attacked."""
    found = facts.attack
    if found is None:
        return []
    sentences = " ".join(f"{note[0].upper()}{note[1:]}." for note in notes(found))
    blocks: list[Block] = [
        Heading("Robustness"),
        Paragraph(f"{title(found)}."),
        Grid(HEADINGS, rows(found), note=sentences),
    ]
    if len(found.victims) > 1:
        names, shares = transfer_rows(found)
        blocks.append(
            Grid(("made against", *names), shares, note="Texts that fooled the row's model and fool the column's too.")
        )
    for victim in found.victims:
        example = next((text for text in victim.texts if text.outcome == "fooled"), None)
        if example is not None:
            blocks.append(
                Paragraph(
                    f"{victim.model} answers {example.answer} to: {example.text} — and {example.answer_after} to: "
                    f"{example.adversarial}"
                )
            )
    return blocks
