"""The result of an attack, as ``attack.json`` keeps it: every text, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replank.robustness.measures import Measures, measures_of
from replank.robustness.texts import AttackedText
from replank.system.environment import Machine
from replank.system.errors import DataError, ReplankError
from replank.system.json_files import read_json
from replank.system.typed_json import dataclass_from_json, json_values, object_values
from replank.tasks.task import Task

SCHEMA = 1
# The file's name where nobody chooses another.
ATTACK = "attack.json"
# Above it a masked LM proposes much that does not fit; of published BERTs it is about 10.
_WEAK_PERPLEXITY = 50.0


@dataclass(frozen=True, kw_only=True)
class VictimResult:
    """A model under attack.

    :param digest: see :class:`replank.models.source.Source`.
    :param seconds: of the attack on it, as far as this run did it.
    """

    model: str
    digest: str
    precision: str
    layers: int
    seconds: float
    texts: tuple[AttackedText, ...]

    @property
    def measures(self) -> Measures:
        """What the texts come to."""
        return measures_of(self.texts)

    def to_json(self) -> dict[str, Any]:
        """JSON values, with the measures for programs that do not want to compute them."""
        values = object_values(self)
        texts = values.pop("texts")
        return values | {"measures": json_values(self.measures), "texts": texts}


@dataclass(frozen=True, kw_only=True)
class MaskedLmFacts:
    """The masked LM that proposed replacements.

    :param perplexity: exp of the mean cross entropy of masked tokens of the attacked texts, 15 % of them; lower is
        better.
    :param accuracy: the part of them that it found.
    """

    model: str
    digest: str
    perplexity: float
    accuracy: float

    @property
    def cautions(self) -> list[str]:
        """What a reader of the result must know, each in a sentence without its full stop."""
        if self.perplexity <= _WEAK_PERPLEXITY:
            return []
        return [
            f"the masked LM {self.model} is weak on these texts (perplexity {self.perplexity:.0f}, a published BERT's "
            "is about 10): a better one finds more words that fit, and fools models more often"
        ]


@dataclass(frozen=True, kw_only=True)
class AttackResult:
    """Models under the same attack.

    :param split: the split that the texts are of, and ``data`` the digest of its rows.
    :param config: see :func:`replank.models.provenance.config_json`.
    :param transfer: for each victim, the part of the texts made against it that fool each of the victims, of those that
        it answered right before; ``None`` where there is none.
    """

    task: Task
    split: str
    data: str
    config: dict[str, Any]
    masked_lm: MaskedLmFacts
    similarity_model: str | None
    victims: tuple[VictimResult, ...]
    transfer: tuple[tuple[float | None, ...], ...]
    seconds: float
    machine: Machine
    versions: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {"schema": SCHEMA} | object_values(self)


def read_attack(path: Path) -> AttackResult:
    """The result that an attack wrote.

    :raises ModelError: there is no such file, or it is no JSON object.
    :raises DataError: it is no result of an attack; the message names the value that is wrong.
    """
    values = read_json(path)
    try:
        if values.get("schema") != SCHEMA:
            raise ValueError(f"schema is {values.get('schema')!r}; expected {SCHEMA}")
        return dataclass_from_json(AttackResult, values)
    except (ValueError, ReplankError) as error:
        raise DataError(
            f"{path} is no result of an attack: {error}", hint="replank attack writes such a file"
        ) from None
