"""GLUE's data sets on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from replank.data.tables import Table
from replank.models.hub import OFFLINE_HINT, require_hub
from replank.system.errors import HubError
from replank.system.extras import require
from replank.tasks.glue import GLUE_DATASET, glue_task


def load_glue(name: str) -> dict[str, Table]:
    """A GLUE task's splits under replank's split names, labels as text.

    :raises UsageError: GLUE has no such task.
    :raises HubError: the hub cannot be reached.
    """
    task = glue_task(name)
    require("datasets")
    require_hub(f"to fetch the data set nyu-mll/glue ({name})")
    from datasets import load_dataset

    try:
        loaded = load_dataset(GLUE_DATASET, name)
    except Exception as error:  # datasets raises a dozen types here; all mean that the data did not come
        raise HubError(f"cannot load nyu-mll/glue ({name}): {error}", hint=OFFLINE_HINT) from error
    columns = (*task.hub_columns, "label")
    tables = {}
    for ours, theirs in task.hub_splits.items():
        split = loaded[theirs] if theirs in loaded else load_dataset(GLUE_DATASET, theirs)["test"]
        rows = list(zip(*(map(str, split[column]) for column in columns), strict=True))
        tables[ours] = Table(Path(f"nyu-mll/glue/{name}/{theirs}"), columns, rows, list(range(1, len(rows) + 1)))
    return tables
