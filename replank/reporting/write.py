"""The files of a report."""

from __future__ import annotations

from pathlib import Path

from replank.reporting.facts import read_facts
from replank.reporting.markdown import to_markdown
from replank.reporting.page import to_page
from replank.reporting.sections import document
from replank.system.files import replace_file

PAGE, MARKDOWN = "report.html", "report.md"


def write_report(out: Path, benchmark: Path | None = None) -> Path:
    """Write ``report.html`` and ``report.md`` into a folder of artifacts, replacing earlier ones.

    :param benchmark: a benchmark's result in JSON; ``None`` for ``benchmark.json`` in ``out``, if it exists.
    :returns: the path of the page.
    :raises MissingExtraError: matplotlib or jinja2 is not installed.
    :raises ReplankError: see :func:`read_facts`.
    """
    report = document(read_facts(out, benchmark))
    for name, text in ((PAGE, to_page(report)), (MARKDOWN, to_markdown(report))):
        replace_file(out / name, text)
    return out / PAGE
