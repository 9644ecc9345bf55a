"""Mining: a folder of triples to the examples of each split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from replank.graphs.config import MiningConfig
from replank.graphs.contexts import Contexts, Row
from replank.graphs.graph import Graph
from replank.graphs.names import Names, read_names
from replank.graphs.negatives import Negatives
from replank.graphs.queries import Query, draw_queries, read_queries
from replank.graphs.triples import read_triples
from replank.system.errors import DataError
from replank.system.progress import progress
from replank.tasks.groups import Groups
from replank.tasks.ranking import baselines
from replank.tasks.reasoning import Reasoning

VALID, TEST, GRAPH = "valid.txt", "test.txt", "train.txt"
Item = TypeVar("Item")


@dataclass(frozen=True)
class MinedSplit:
    """The examples of one split.

    :param labels: 1 of rows about true triples, else 0.
    :param groups: the rows by query and candidate; ``None`` of the training split, which nothing is ranked in.
    """

    questions: list[str]
    contexts: list[str]
    labels: list[int]
    groups: Groups | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def facts(self) -> dict[str, float]:
        """Counts: of rows; and of queries, where there are any, with what makes metrics on them honest."""
        found: dict[str, float] = {"rows": len(self), "rows about true triples": sum(self.labels)}
        if self.groups is None:
            return found
        reachable, others = self.groups.reachable()
        found |= {
            "queries": self.groups.queries,
            "true triple without a path": int((~reachable).sum()),
            "no other candidate has a path": int((reachable & (others == 0)).sum()),
            "wrong candidates with a path, a query": float(others.mean()),
        }
        for name, metrics in baselines(self.groups).items():
            found |= {f"{metric} of {name}": value for metric, value in metrics.items()}
        return found


@dataclass(frozen=True)
class Mined:
    """The examples of all splits, and the form that they have."""

    reasoning: Reasoning
    splits: dict[str, MinedSplit]


def is_graph_folder(folder: Path) -> bool:
    """Whether a folder has the files of a knowledge graph."""
    return (folder / GRAPH).is_file()


def mine(folder: Path, config: MiningConfig) -> Mined:
    """Mine the examples of a folder with ``train.txt``, and perhaps ``valid.txt`` and ``test.txt``.

    The same folder and settings give the same examples, in any process.

    :raises DataError: a file is missing or holds no triples, or candidates do not fit the test triples.
    """
    triples = read_triples(folder / config.triples)
    names = read_names(Path(config.names) if config.names is not None else folder)
    graph = Graph(triples)
    relations = tuple(dict.fromkeys(map(names.relation, graph.relations)))
    reasoning = Reasoning(config.context, config.max_edges, config.max_paths, config.distinct != "never", relations)
    contexts = Contexts(graph, names, reasoning)
    training = Contexts(graph, names, replace(reasoning, distinct=config.distinct == "always"))
    splits = {"train": _mine_training(training, config)}
    if (folder / VALID).is_file():
        valid = read_triples(folder / VALID)
        asked = _sample(valid, config.dev_questions, config.seed)
        queries = draw_queries(graph.entities, asked, {*triples, *valid}, config.candidates, config.seed)
        splits["dev"] = _mine_queries("dev", contexts, queries, config)
    test_folder = folder if config.test_graph is None else Path(config.test_graph)
    if (test_folder / TEST).is_file():
        if config.test_graph is not None:
            graph, names = _other_graph(test_folder, names, config)
            contexts = Contexts(graph, names, reasoning)
        splits["test"] = _mine_queries("test", contexts, _test_queries(test_folder, graph, config), config)
    elif config.test_graph is not None:
        raise DataError(f"{test_folder} has no {TEST}", hint="`test_graph` is a folder with train.txt and test.txt")
    return Mined(reasoning, splits)


def _other_graph(folder: Path, names: Names, config: MiningConfig) -> tuple[Graph, Names]:
    graph = Graph(read_triples(folder / GRAPH))
    names = names if config.names is not None else read_names(folder)
    return graph, names


def _test_queries(folder: Path, graph: Graph, config: MiningConfig) -> list[Query]:
    test = read_triples(folder / TEST)
    queries = read_queries(folder, test)
    if queries is None:
        valid = read_triples(folder / VALID) if (folder / VALID).is_file() else []
        known = {*read_triples(folder / GRAPH), *valid, *test}
        asked = _sample(test, config.test_questions, config.seed)
        return draw_queries(graph.entities, asked, known, config.candidates, config.seed)
    chosen = set(_sample(test, config.test_questions, config.seed))
    return [query for query in queries if query.triple in chosen]


def _mine_training(contexts: Contexts, config: MiningConfig) -> MinedSplit:
    graph = contexts.graph
    negatives = Negatives(graph, config.max_edges, config.seed)
    rows: list[Row] = []
    labels: list[int] = []
    asked = _sample(range(len(graph.edges)), config.train_questions, config.seed)
    with progress("mine train", len(asked)) as advance:
        for edge in asked:
            true = contexts.rows(graph.triple(edge), config.train_paths)
            wrong = negatives.draw(edge, config.negatives if true else min(1, config.negatives))
            of_wrong = [row for triple in wrong for row in contexts.rows(triple, config.train_paths)]
            rows += true + of_wrong
            labels += [1] * len(true) + [0] * len(of_wrong)
            advance()
    if not 0 < sum(labels) < len(labels):
        raise DataError(
            f"{sum(labels)} of {len(labels)} rows of the training split are about true triples; expected some of both",
            hint="in a graph without circles no other path leads from head to tail: try `context=none`",
        )
    return MinedSplit([row.question for row in rows], [row.context for row in rows], labels)


def _mine_queries(split: str, contexts: Contexts, queries: Sequence[Query], config: MiningConfig) -> MinedSplit:
    rows: list[Row] = []
    candidate_of_row: list[int] = []
    query_of_candidate: list[int] = []
    is_right: list[bool] = []
    paths: list[int] = []
    with progress(f"mine {split}", len(queries)) as advance:
        for number, query in enumerate(queries):
            asked = query.without_copies() if config.duplicates == "drop" else query
            for place, triple in enumerate(asked.candidates):
                found = contexts.rows(triple, config.max_paths)
                candidate_of_row += [len(is_right)] * len(found)
                rows += found
                paths.append(contexts.count(triple))
                is_right.append(place == 0)
                query_of_candidate.append(number)
            advance()
    if not rows:
        raise DataError(
            f"no path leads to any candidate of the {split} split",
            hint="are the triples of another graph? `test_graph` names the folder of test.txt and its train.txt",
        )
    groups = Groups(
        np.array(candidate_of_row, dtype=np.int64),
        np.array(query_of_candidate, dtype=np.int64),
        np.array(is_right),
        np.array(paths, dtype=np.int64),
        config.rules,
    )
    labels = groups.is_right[groups.candidate_of_row].astype(int).tolist()
    return MinedSplit([row.question for row in rows], [row.context for row in rows], labels, groups)


def _sample(items: Sequence[Item], count: int | None, seed: int) -> list[Item]:
    """Some of the items, drawn at random, in their order."""
    if count is None or count >= len(items):
        return list(items)
    return [items[index] for index in sorted(np.random.default_rng(seed).permutation(len(items))[:count])]
