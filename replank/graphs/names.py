"""Names of entities and relations, for people and for models: identifiers mean nothing to an encoder."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from replank.graphs.triples import numbered_lines
from replank.system.errors import DataError

ENTITIES, RELATIONS = "entity2text.txt", "relation2text.txt"
# Of entities of a graph that are induced on others: the names are those of the first.
_INDUCTIVE = "_ind"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Names:
    """Texts by identifier; what has none goes by its identifier.

    :param entities: up to the first comma of the file's text, behind which a gloss stands.
    """

    entities: Mapping[str, str] = field(default_factory=dict)
    relations: Mapping[str, str] = field(default_factory=dict)

    def entity(self, identifier: str) -> str:
        """The name of an entity."""
        return self.entities.get(identifier, identifier)

    def relation(self, identifier: str) -> str:
        """The name of a relation."""
        return self.relations.get(identifier, identifier)

    def alike(self, relations: Sequence[str]) -> list[int]:
        """For each relation the place of the first one with the same name: a reader of texts cannot tell them apart."""
        first: dict[str, int] = {}
        return [first.setdefault(self.relation(relation), place) for place, relation in enumerate(relations)]

    def find_entity(self, asked: str, known: Iterable[str]) -> str:
        """The identifier of an entity that a person asks for, by its identifier or its name.

        :param known: the identifiers of the graph.
        :raises DataError: the graph has none, or several of that name; the message names the nearest.
        """
        return _find(asked, {identifier: self.entity(identifier) for identifier in known}, "entity")

    def find_relation(self, asked: str, known: Iterable[str]) -> str:
        """The identifier of a relation, likewise."""
        return _find(asked, {identifier: self.relation(identifier) for identifier in known}, "relation")


def read_names(folder: Path) -> Names:
    """The names of a graph: of its folder, or of ``../text/NAME`` as BERTRL's data has them for NAME and NAME_ind.

    :raises DataError: a line is no identifier and text.
    """
    place = names_folder(folder)
    if place is None:
        _log.warning("%s has no %s: identifiers stand for names", folder, ENTITIES)
        return Names()
    entities, relations = (_read(place / name) for name in (ENTITIES, RELATIONS))
    named = {identifier: text.partition(",")[0].strip() or text for identifier, text in entities.items()}
    return Names(named, relations)


def names_folder(folder: Path) -> Path | None:
    """The folder with the names of a graph, see :func:`read_names`; ``None`` if there is none."""
    if (folder / ENTITIES).is_file():
        return folder
    texts = folder.resolve().parent / "text"
    base = folder.resolve().name.removesuffix(_INDUCTIVE).casefold()
    # The graph nell has its names in NELL995.
    near = sorted(place for place in texts.glob("*") if (place / ENTITIES).is_file())
    alike = [place for place in near if place.name.casefold() == base]
    alike = alike or [place for place in near if place.name.casefold().startswith(base)]
    return alike[0] if len(alike) == 1 else None


def _read(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    texts: dict[str, str] = {}
    for number, line in numbered_lines(path):
        identifier, tab, text = line.partition("\t")
        if not tab or not text.strip():
            raise DataError(f"{path}, line {number}: expected an identifier, a tab and its text, found {line[:80]!r}")
        texts[identifier] = " ".join(text.split())
    return texts


def _find(asked: str, names: Mapping[str, str], thing: str) -> str:
    if asked in names:
        return asked
    wanted = asked.strip().casefold()
    found = [identifier for identifier, name in names.items() if name.casefold() == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{len(found)} {_plural(thing)} of the graph are called {asked!r}",
            hint=f"ask by identifier: {', '.join(found[:5])}",
        )
    near = get_close_matches(wanted, {name.casefold(): None for name in names.values()}, n=3, cutoff=0.5)
    spelled = {name.casefold(): name for name in names.values()}
    raise DataError(
        f"the graph has no {thing} {asked!r}",
        hint=f"the nearest: {', '.join(spelled[name] for name in near)}"
        if near
        else f"ask by identifier or {thing} name",
    )


def _plural(thing: str) -> str:
    return "entities" if thing == "entity" else f"{thing}s"
