"""Triples of a knowledge graph in a file: head, relation and tail with tabs between, one a line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from replank.system.errors import DataError

# A graph is held in memory, at about a kilobyte a triple.
MAX_TRIPLES = 2_000_000
_MAX_LINE = 10_000
_log = logging.getLogger(__name__)


class Triple(NamedTuple):
    """A fact, or what may be one: identifiers as the files have them."""

    head: str
    relation: str
    tail: str


def read_triples(path: Path) -> list[Triple]:
    """The distinct triples of a file, in its order.

    A second copy of a triple would stand in the graph when the first is asked for, and answer the question.

    :raises DataError: the file is missing, empty, not UTF-8, too large, or a line is no triple.
    """
    triples: dict[Triple, None] = {}
    repeated = 0
    for number, triple in numbered_triples(path):
        if number > MAX_TRIPLES:
            raise DataError(
                f"{path} has more than {MAX_TRIPLES:,} lines; a graph of that size does not fit into memory",
                hint="cut out the part of the graph around the entities that are asked for",
            )
        repeated += triple in triples
        triples[triple] = None
    if not triples:
        raise DataError(f"{path} holds no triples", hint="expected head<TAB>relation<TAB>tail on each line")
    if repeated:
        _log.warning("%s: %d lines repeat a triple, which counts once", path, repeated)
    return list(triples)


def numbered_triples(path: Path) -> Iterator[tuple[int, Triple]]:
    """The triples of a file with the numbers of their lines, from 1; blank lines are passed over.

    :raises DataError: the file is missing or not UTF-8, or a line is no triple.
    """
    for number, line in numbered_lines(path):
        fields = line.split("\t")
        if len(fields) != 3 or not all(field.strip() for field in fields):
            raise DataError(
                f"{path}, line {number}: expected head, relation and tail with tabs between, found {_shown(line)}"
            )
        yield number, Triple(*fields)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers, from 1.

    :raises DataError: the file is missing or not UTF-8, or a line is far too long.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(_MAX_LINE):
                number += 1
                if len(raw) == _MAX_LINE:
                    raise DataError(f"{path}, line {number} is longer than {_MAX_LINE:,} bytes")
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if line.strip():
                    yield number, line
    except UnicodeDecodeError:
        raise DataError(f"{path}, line {number} is not UTF-8") from None
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _shown(line: str) -> str:
    return repr(line if len(line) <= 80 else f"{line[:80]}…")
