"""A small knowledge graph whose relations follow from each other: parents, children, siblings, homes."""

from __future__ import annotations

import random
from pathlib import Path

RELATIONS = {
    "parent_of": "is a parent of",
    "child_of": "is a child of",
    "sibling_of": "is a sibling of",
    "lives_in": "lives in",
}


def family_triples(families: int, seed: int) -> list[tuple[str, str, str]]:
    """Families of two parents and three children, which live where the first parent does."""
    generator = random.Random(seed)  # noqa: S311 - test data, no secret
    triples = []
    for number in range(families):
        parents = [f"p{number}_{index}" for index in range(2)]
        children = [f"c{number}_{index}" for index in range(3)]
        home = f"town{generator.randrange(max(2, families // 2))}"
        triples += [(parent, "parent_of", child) for parent in parents for child in children]
        triples += [(child, "child_of", parent) for parent in parents for child in children]
        triples += [(one, "sibling_of", other) for one in children for other in children if one < other]
        triples += [(person, "lives_in", home) for person in (*parents, *children)]
    return triples


def write_family(folder: Path, families: int = 6, seed: int = 0) -> Path:
    """A folder with a graph: of ten triples eight are known, one is for validation and one for the test."""
    triples = family_triples(families, seed)
    random.Random(seed).shuffle(triples)  # noqa: S311 - test data, no secret
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": triples[len(triples) // 5 :], "valid": triples[: len(triples) // 10]}
    parts["test"] = triples[len(triples) // 10 : len(triples) // 5]
    for name, part in parts.items():
        write_triples(folder / f"{name}.txt", part)
    entities = sorted({entity for head, _, tail in triples for entity in (head, tail)})
    named = [f"{entity}\t{entity.replace('_', ' ')}, somebody or some place" for entity in entities]
    (folder / "entity2text.txt").write_text("\n".join(named) + "\n", encoding="utf-8")
    relations = [f"{relation}\t{text}" for relation, text in RELATIONS.items()]
    (folder / "relation2text.txt").write_text("\n".join(relations) + "\n", encoding="utf-8")
    return folder


def write_triples(path: Path, triples: list[tuple[str, str, str]]) -> None:
    """A file of triples."""
    path.write_text("".join("\t".join(triple) + "\n" for triple in triples), encoding="utf-8")
