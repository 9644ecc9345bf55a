"""Questions and paths as text, in the form of BERTRL (Zha, Chen and Yan, 2022)."""

from __future__ import annotations

from collections.abc import Sequence

from replank.graphs.names import Names
from replank.graphs.triples import Triple


def linearize(names: Names, asked: Triple, paths: Sequence[Sequence[Triple]]) -> tuple[str, str]:
    """A question, and the context that paths give to it.

    Edges stand in the order of the path, each in its true direction. Of different entities of one name, the second in
    the text and those after it are numbered, from 2.

    :param paths: none: the context is empty.
    """
    spoken = _Spoken(names)
    head, tail = spoken.entity(asked.head), spoken.entity(asked.tail)
    question = f"Question: {head} {names.relation(asked.relation)} what ? Is the correct answer {tail} ?"
    contexts = [f"Context: {' '.join(spoken.edge(edge) for edge in path)}" for path in paths]
    return question, " ".join(contexts)


class _Spoken:
    """The names of entities in one text."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._of_entity: dict[str, str] = {}
        self._uses: dict[str, int] = {}

    def entity(self, identifier: str) -> str:
        if identifier not in self._of_entity:
            name = self._names.entity(identifier)
            number = self._uses[name] = self._uses.get(name, 0) + 1
            self._of_entity[identifier] = name if number == 1 else f"{name} {number}"
        return self._of_entity[identifier]

    def edge(self, triple: Triple) -> str:
        return f"{self.entity(triple.head)} {self._names.relation(triple.relation)} {self.entity(triple.tail)};"
