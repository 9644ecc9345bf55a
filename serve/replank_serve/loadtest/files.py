"""A load test whose result may be written to files."""

from __future__ import annotations

from pathlib import Path

from replank.system.errors import UsageError
from replank.system.extras import require
from replank.system.files import replace_file
from replank.system.json_files import write_json
from replank.system.progress import progress
from replank_serve.loadtest.config import LoadtestConfig
from replank_serve.loadtest.result import LoadtestResult
from replank_serve.loadtest.table import chart

RESULT, CHART = "loadtest.json", "loadtest.svg"


def loadtest_into(config: LoadtestConfig, out: Path | None, *, force: bool = False) -> LoadtestResult:
    """Run a load test, and write its result and a chart after each run.

    :param out: the folder for ``loadtest.json`` and ``loadtest.svg``; ``None`` keeps nothing.
    :param force: replace the result of another load test.
    :raises UsageError: ``out`` holds a result already.
    :raises QualityGateError: no rate holds the limit.
    """
    if out is not None and (out / RESULT).exists() and not force:
        raise UsageError(f"{out} holds a result", hint="choose another `out`, or replace it with `force=True`")
    require("mlcommons-loadgen")
    from replank_serve.loadtest.run import loadtest, units

    def keep(result: LoadtestResult) -> None:
        if out is None:
            return
        out.mkdir(parents=True, exist_ok=True)
        replace_file(out / CHART, chart(result))
        write_json(out / RESULT, result.to_json())

    with progress("loadtest", units()) as advance:
        return loadtest(config, keep, advance)
