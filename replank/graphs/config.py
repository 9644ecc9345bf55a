"""Settings of mining: which questions are asked of a graph, and in which form."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

from replank.system.errors import FieldError
from replank.system.settings import setting
from replank.tasks.groups import RankingRules, Ties, Unreachable
from replank.tasks.reasoning import ContextForm

_MOST_EDGES = 4


@dataclass(frozen=True)
class MiningConfig:
    """Settings of mining; by default as BERTRL's released examples were made (Zha et al., 2022).

    :raises FieldError: a value that cannot be.
    """

    context: ContextForm = setting(
        "individual", "A row for each path; several paths in one row; or the question alone, as KG-BERT."
    )
    max_edges: int = setting(3, f"Edges of a path, at most; up to {_MOST_EDGES}.")
    distinct: Literal["evaluation", "always", "never"] = setting(
        "evaluation", "Where, of paths with the same names of relations in order, only the first is taken."
    )
    train_paths: int = setting(3, "Rows of a candidate in training, at most.")
    max_paths: int = setting(30, "Rows of a candidate in evaluation, at most.")
    negatives: int = setting(10, "Wrong candidates of a training triple that has a path; one of any other.")
    candidates: int = setting(50, "Candidates of a query, where they are drawn; the true one included.")
    triples: str = setting("train.txt", "File of the training triples, which are the graph, such as train_1000.txt.")
    test_graph: str | os.PathLike[str] | None = setting(
        None, "Folder of another graph, which test.txt is asked of: its entities need not be in the first."
    )
    names: str | os.PathLike[str] | None = setting(
        None, "Folder with entity2text.txt and relation2text.txt. [default: that of the graph, else ../text/NAME]"
    )
    train_questions: int | None = setting(None, "Training triples that are asked, drawn at random. [default: all]")
    dev_questions: int | None = setting(100, "Triples of valid.txt that are asked, drawn at random, from both sides.")
    test_questions: int | None = setting(None, "Triples of test.txt that are asked. [default: all]")
    ties: Ties = setting(
        "paper",
        "Candidates with the right one's scores: behind it if all are the same, else before it (paper); behind it; "
        "before it; or by chance.",
    )
    unreachable: Unreachable = setting("last", "A right candidate without a path: it is the last, or does not count.")
    duplicates: Literal["keep", "drop"] = setting("keep", "Candidates that repeat: they count as others, or once.")
    seed: int = setting(42, "Seed of all draws.")

    def __post_init__(self) -> None:
        for name, least, most in (
            ("max_edges", 1, _MOST_EDGES),
            ("train_paths", 1, None),
            ("max_paths", 1, None),
            ("negatives", 0, None),
            ("candidates", 2, None),
            ("train_questions", 1, None),
            ("dev_questions", 1, None),
            ("test_questions", 1, None),
        ):
            value = getattr(self, name)
            if value is not None and (value < least or (most is not None and value > most)):
                raise FieldError(name, value, f"{least} or more" if most is None else f"{least} to {most}")
        for name, kind in (("context", ContextForm), ("ties", Ties), ("unreachable", Unreachable)):
            if getattr(self, name) not in get_args(kind):
                raise FieldError(name, getattr(self, name), f"one of {', '.join(get_args(kind))}")

    @property
    def rules(self) -> RankingRules:
        """The rules of ranking."""
        return RankingRules(self.ties, self.unreachable)
