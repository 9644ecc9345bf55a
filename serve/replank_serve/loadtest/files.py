"""A load test with its result kept in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from replank.system.errors import UsageError
from replank.system.extras import require
from replank.system.files import replace_file
from replank.system.json_files import write_json
from replank.system.progress import progress
from replank_serve.loadtest.config import LoadtestConfig
from replank_serve.loadtest.table import chart

RESULT, CHART = "loadtest.json", "loadtest.svg"


def loadtest_into(config: LoadtestConfig, out: Path, *, force: bool = False) -> dict[str, Any]:
    """Run a load test; its result and a chart of it are written after each run.

    :param out: gets ``loadtest.json`` and ``loadtest.svg``.
    :param force: replace the result of another load test.
    :returns: see :func:`loadtest`.
    :raises UsageError: ``out`` holds a result.
    :raises QualityGateError: no rate holds the limit.
    """
    if (out / RESULT).exists() and not force:
        raise UsageError(f"{out} holds a result", hint="choose another `out`, or replace it with `force=True`")
    require("mlcommons-loadgen")
    from replank_serve.loadtest.run import loadtest, units

    def keep(result: dict[str, Any]) -> None:
        out.mkdir(parents=True, exist_ok=True)
        replace_file(out / CHART, chart(result))
        write_json(out / RESULT, result)

    with progress("loadtest", units()) as advance:
        return loadtest(config, keep, advance)
