"""Entities: the words that labels put together. Answers show them, and the metric counts them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

Place = Literal["B", "I", "E", "S"]
# A word's place in an entity of a type; of a word outside of entities there is none.
Part = tuple[Place, str]

# The letters of BIO, BIOES, BILOU and BMES(W): begin, inside, end, and an entity of a single word.
_PLACES: Mapping[str, Place] = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
_PREFIXED = re.compile(r"(?P<letter>[BIMELSUW])(?:[-_:](?P<type>.+))?", re.IGNORECASE)
_SUFFIXED = re.compile(r"(?P<type>.+)[-_:](?P<letter>[BIMELSUW])", re.IGNORECASE)
# The type of entities that have none, as in seqeval.
_UNTYPED = "_"


class Span(NamedTuple):
    """An entity: its type, its first word, and the word after its last."""

    type: str
    start: int
    end: int


@dataclass(frozen=True)
class EntityScheme:
    """How the labels of a task make entities.

    :param parts: the part of each label; labels outside of entities are not among them.
    :param name: the scheme in words.
    """

    parts: Mapping[str, Part]
    name: str

    def spans(self, labels: Sequence[str | None]) -> list[Span]:
        """The entities of a text, as the script of CoNLL-2003 finds them, which is lenient.

        B and S begin an entity, as does any label after E or S, or of another type than the one before; the others
        continue one. So an I or E without its B begins an entity, and none needs an end.

        :param labels: of the words; ``None`` for a word without one.
        """
        found: list[Span] = []
        before: Part | None = None
        for index, part in enumerate(self.parts.get(label) if label is not None else None for label in labels):
            if part is not None:
                place, kind = part
                continues = before is not None and before[1] == kind and before[0] in "BI" and place in "IE"
                start = found.pop().start if continues else index
                found.append(Span(kind, start, index + 1))
            before = part
        return found


@cache
def entity_scheme(labels: tuple[str, ...]) -> EntityScheme | None:
    """The scheme that labels are of, told by their names; ``None`` where they make no entities, as parts of speech.

    BIO, BIOES, BILOU and BMES(W) are known by prefixes (``B-PER``, ``B_PER``, ``B``) or suffixes (``PER-B``), in any
    case. Labels without them are plain: a run of one label is an entity, if there is a label ``O`` for all other words.
    """
    inside = [label for label in labels if label.upper() != "O"]
    prefixed = {label: match for label in inside if (match := _PREFIXED.fullmatch(label))}
    # E-mail is no end of a mail, and L and M may be sizes.
    all_prefixed = len(prefixed) == len(inside) and any(_letter(match) in "BISUW" for match in prefixed.values())
    if (all_prefixed and not _is_bare(prefixed)) or _has_pairs(prefixed):
        return _lettered(inside, prefixed)
    suffixed = {label: match for label in inside if (match := _SUFFIXED.fullmatch(label))}
    if _has_pairs(suffixed):
        return _lettered(inside, suffixed)
    if len(inside) < len(labels):
        return EntityScheme({label: ("I", label) for label in inside}, "runs of a label")
    return None


def _lettered(labels: Sequence[str], matches: Mapping[str, re.Match[str]]) -> EntityScheme:
    """The scheme of labels with letters; labels without one among them are plain."""
    parts: dict[str, Part] = {label: ("I", label) for label in labels}
    for label, match in matches.items():
        parts[label] = (_PLACES[_letter(match)], match["type"] or _UNTYPED)
    letters = sorted({_letter(match) for match in matches.values()})
    return EntityScheme(parts, ", ".join(letters))


def _is_bare(matches: Mapping[str, re.Match[str]]) -> bool:
    return not any(match["type"] for match in matches.values())


def _has_pairs(matches: Mapping[str, re.Match[str]]) -> bool:
    """Whether a type that begins has another place too, which is no accident of names."""
    found = {(match["type"], _PLACES[_letter(match)]) for match in matches.values()}
    return any((kind, "B") in found for kind, place in found if place != "B")


def _letter(match: re.Match[str]) -> str:
    return match["letter"].upper()
