"""Reading dataclasses from JSON: what fits, and which value is named where one does not."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytest

from replank.system.typed_json import dataclass_from_json


@dataclass(frozen=True)
class Leaf:
    weight: float
    note: str | None = None


@dataclass(frozen=True)
class Tree:
    kind: Literal["oak", "elm"]
    age: int
    alive: bool
    size: tuple[float, float]
    leaves: tuple[Leaf, ...]
    marks: dict[str, tuple[int, ...]]
    anything: Any = None


TREE = Tree("oak", 3, True, (1.0, 2.5), (Leaf(0.5), Leaf(2.0, "wet")), {"a": (1, 2)}, [{"b": None}])


def test_what_was_written_is_read() -> None:
    values = json.loads(json.dumps(asdict(TREE)))
    assert dataclass_from_json(Tree, values) == TREE
    assert dataclass_from_json(Tree, values | {"of a later version": 1}) == TREE
    del values["anything"]
    assert dataclass_from_json(Tree, values).anything is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "fir"}, "kind is 'fir'; expected one of oak, elm"),
        ({"age": True}, "age is True; expected an integer"),
        ({"age": 1.5}, "age is 1.5; expected an integer"),
        ({"alive": 1}, "alive is 1; expected true or false"),
        ({"size": [1]}, "size has 1 values; expected 2"),
        ({"leaves": [{"weight": 1}, {}]}, "leaves[1].weight is missing"),
        ({"leaves": [{"weight": 1, "note": 2}]}, "leaves[0].note is 2; expected a string"),
        ({"leaves": [3]}, "leaves[0] is 3; expected an object"),
        ({"marks": {"a": [1, "x"]}}, "marks.a[1] is 'x'; expected an integer"),
        ({"marks": "y" * 99}, f"marks is '{'y' * 39}…; expected an object"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        dataclass_from_json(Tree, asdict(TREE) | change)
    assert str(refusal.value) == message


def test_a_document_is_an_object() -> None:
    with pytest.raises(ValueError, match=r"^the document is \[1\]; expected an object$"):
        dataclass_from_json(Tree, [1])
