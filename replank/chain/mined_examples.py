"""The examples of the graph that a chain is about: mined once into its folder, and read by every stage."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from replank.data.config import DataConfig
from replank.graphs.config import MiningConfig
from replank.graphs.mined_folder import is_mined_folder, mine_into, require_mined_from

EXAMPLES = "examples"
_log = logging.getLogger(__name__)


def with_mined_examples(data: DataConfig, out: Path, *, name: str | None = None) -> DataConfig:
    """The data of a chain's stages: in place of a graph its examples below ``out``, mined unless they are there.

    :param name: of the task, where the data gives none; the graph's by default.
    :raises UsageError: examples of another graph lie there, or something else.
    """
    graph = data.graph
    if graph is None:
        return data
    folder = out / EXAMPLES
    if is_mined_folder(folder):
        require_mined_from(folder, graph, MiningConfig())
        _log.info("%s: done before", EXAMPLES)
    else:
        _log.info("%s: mined with the default settings; replank mine has others", EXAMPLES)
        mine_into(graph, folder, MiningConfig())
    return replace(data, data=folder, dataset=data.dataset or name or graph.resolve().name)
