"""The drop of a metric that INT8 is allowed, in the words of a refusal."""

from __future__ import annotations

from replank.data.examples import Examples


def allowed(max_drop: float, examples: Examples) -> str:
    """The allowed drop in points; and what a single example is worth, where that is more: so few cannot tell it.

    :param max_drop: as a fraction.
    :param examples: by which models are judged.
    """
    told = f"`max_drop` allows {100 * max_drop:g}"
    one = 1 / examples.judged
    if one <= max_drop:
        return told
    what = "rows" if examples.judged == len(examples) else "queries"
    return f"{told} (of {examples.judged} {what}, one is {100 * one:.1f} points)"
