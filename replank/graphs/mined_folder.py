"""Mined examples as a folder: made once, read by every stage, every file with its digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replank.graphs.config import MiningConfig
from replank.graphs.mining import Mined, MinedSplit, mine
from replank.graphs.names import names_folder
from replank.system.errors import ArtifactError, ReplankError, UsageError
from replank.system.files import replace_folder
from replank.system.json_files import read_json
from replank.system.typed_json import dataclass_from_json, json_values
from replank.tasks.groups import Groups
from replank.tasks.reasoning import Reasoning

MINED = "mined.json"
_SCHEMA = 1
_AGAIN = "mine the graph again: replank mine"


@dataclass(frozen=True)
class _File:
    """The examples of one split: a JSON object a line."""

    sha256: str
    rows: int


@dataclass(frozen=True)
class _Document:
    """The content of ``mined.json``.

    :param config: the settings, folders by their names.
    :param sources: the sha256 of each file that was read, by folder and name.
    """

    schema: int
    reasoning: Reasoning
    config: dict[str, Any]
    sources: dict[str, str]
    files: dict[str, _File]
    groups: dict[str, Groups]


def is_mined_folder(folder: Path) -> bool:
    """Whether a folder holds mined examples."""
    return (folder / MINED).is_file()


def mine_into(folder: Path, out: Path, config: MiningConfig, *, force: bool = False) -> Mined:
    """Mine the examples of a graph into a new folder.

    :param force: replace mined examples that lie there.
    :raises UsageError: something else lies there, or mined examples do and ``force`` is not set.
    :raises DataError: see :func:`mine`; nothing was written.
    """
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]) and not (force and is_mined_folder(out)):
        hint = "replace it with `force=True`" if is_mined_folder(out) else "choose another `out`"
        raise UsageError(f"{out} exists and is not empty", hint=hint)
    mined = mine(folder, config)
    with replace_folder(out) as partial:
        files: dict[str, _File] = {}
        for name, split in mined.splits.items():
            content = _lines(split).encode()
            (partial / f"{name}.jsonl").write_bytes(content)
            files[name] = _File(hashlib.sha256(content).hexdigest(), len(split))
        groups = {name: split.groups for name, split in mined.splits.items() if split.groups is not None}
        document = _Document(_SCHEMA, mined.reasoning, _settings(config), _sources(folder, config), files, groups)
        (partial / MINED).write_text(json.dumps(json_values(document), indent=1) + "\n", encoding="utf-8")
    return mined


def require_mined_from(folder: Path, graph: Path, config: MiningConfig) -> None:
    """Refuse mined examples of another graph, or with other settings.

    :raises UsageError: they are of files with other digests, or of other settings.
    :raises ArtifactError: see :func:`read_mined`.
    """
    document = _document(folder)
    differs = {"settings": document.config != _settings(config), "graph": document.sources != _sources(graph, config)}
    if found := [name for name, differ in differs.items() if differ]:
        raise UsageError(
            f"{folder} exists and was mined from other inputs (differs in: {', '.join(found)})",
            hint=f"choose another `out`, or delete {folder} to mine it again",
        )


def read_mined(folder: Path) -> Mined:
    """Read what :func:`mine_into` wrote.

    :raises ArtifactError: a file is missing, or is not as it was written.
    """
    document = _document(folder)
    splits = {name: _read_split(folder, name, file, document) for name, file in document.files.items()}
    return Mined(document.reasoning, splits)


def _document(folder: Path) -> _Document:
    try:
        values = read_json(folder / MINED)
        if values.get("schema") != _SCHEMA:
            raise ValueError(f"schema is {values.get('schema')!r}; expected {_SCHEMA}")
        return dataclass_from_json(_Document, values)
    except (ValueError, ReplankError) as error:
        raise ArtifactError(f"{folder / MINED} is damaged: {error}", hint=_AGAIN) from None


def _lines(split: MinedSplit) -> str:
    columns = zip(split.questions, split.contexts, split.labels, strict=True)
    rows = ({"question": question, "context": context, "label": label} for question, context, label in columns)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _read_split(folder: Path, name: str, file: _File, document: _Document) -> MinedSplit:
    path = folder / f"{name}.jsonl"
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise ArtifactError(f"{path} is damaged: it is not what was mined", hint=_AGAIN)
        rows = [json.loads(line) for line in content.splitlines()]
        questions, contexts = ([str(row[column]) for row in rows] for column in ("question", "context"))
        return MinedSplit(questions, contexts, [int(row["label"]) for row in rows], document.groups.get(name))
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}", hint=_AGAIN) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} is damaged: {error}", hint=_AGAIN) from None


def _settings(config: MiningConfig) -> dict[str, Any]:
    """The settings, with the names of folders only: a place tells of a machine."""
    folders = {
        name: Path(value).name for name in ("test_graph", "names") if (value := getattr(config, name)) is not None
    }
    return json_values(vars(config) | folders)  # type: ignore[no-any-return]


def _sources(folder: Path, config: MiningConfig) -> dict[str, str]:
    """The digests of the files of triples, candidates and names."""
    folders = [folder, *([Path(config.test_graph)] if config.test_graph is not None else [])]
    named = [Path(config.names)] if config.names is not None else folders
    texts = [place for graph in named if (place := names_folder(graph)) is not None]
    return {
        f"{place.resolve().name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for place in dict.fromkeys([*folders, *texts])
        for path in sorted(place.glob("*.txt"))
    }
