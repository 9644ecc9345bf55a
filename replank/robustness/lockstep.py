"""Attacks on several texts side by side, so that their questions share batches of texts of like length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from replank.robustness.search import Found, Probabilities, Search

# Texts under attack at once: enough that padded batches are full, and few enough that little is lost by an interrupt.
_SIDE_BY_SIDE = 32

# Rows and their texts, to probabilities of shape ``(texts, labels)``.
Ask = Callable[[Sequence[int], Sequence[str]], Probabilities]


def in_lockstep(searches: Iterator[tuple[int, Search]], ask: Ask) -> Iterator[tuple[int, Found]]:
    """Drive searches to their ends.

    :param searches: each with the row that it attacks; made when its turn comes.
    :param ask: the victim's probabilities.
    :returns: rows and what was found, as they end.
    """
    asking: list[tuple[int, Search, list[str]]] = []
    while True:
        started = list(islice(searches, _SIDE_BY_SIDE - len(asking)))
        for row, search in started:
            yield from _go_on(row, search, None, asking)
        if not asking:
            if not started:
                return
            continue  # these had nothing to ask
        rows = [row for row, _, texts in asking for _ in texts]
        answers = ask(rows, [text for _, _, texts in asking for text in texts])
        asked, asking, start = asking, [], 0
        for row, search, texts in asked:
            yield from _go_on(row, search, answers[start : start + len(texts)], asking)
            start += len(texts)


def _go_on(
    row: int, search: Search, answers: Probabilities | None, asking: list[tuple[int, Search, list[str]]]
) -> Iterator[tuple[int, Found]]:
    """Tell a search what it asked for: it asks again, and is put among those that do, or has found."""
    try:
        texts = next(search) if answers is None else search.send(answers)
    except StopIteration as end:
        yield row, end.value
        return
    asking.append((row, search, texts))
