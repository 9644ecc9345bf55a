"""Ctrl-C and SIGTERM while the program is still importing: one line, exit code 130."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINE = "interrupted"
# A library whose import says that it began and takes until its process ends, or until stdin does.
ENDLESS = "import sys; print('importing', flush=True); sys.stdin.readline()"


def script(folder: Path) -> Path:
    """The script that installers make of the entry point."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["replank"].partition(":")
    file = folder / "replank-script"
    file.write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n", encoding="utf-8")
    return file


def importing(folder: Path, library: str, code: str, *program: str | Path) -> subprocess.Popen[str]:
    """A program, in the midst of the import of a library."""
    (folder / f"{library}.py").write_text(code, encoding="utf-8")
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, *program, "doctor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert process.stdout
    assert process.stdout.readline() == "importing\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("library", ["click", "rich", "numpy"])
@pytest.mark.parametrize("is_script", [True, False], ids=["script", "module"])
def test_an_import_is_interrupted_in_one_line(tmp_path: Path, library: str, number: int, is_script: bool) -> None:
    program = (script(tmp_path),) if is_script else ("-m", "replank")
    with importing(tmp_path, library, ENDLESS, *program) as process:
        process.send_signal(number)
        # Its end is not caused by that of stdin, which stays open.
        process.wait()
        out, err = process.communicate()
    assert (process.returncode, out, err.strip()) == (130, "", LINE)


@pytest.mark.parametrize("library", ["click", "numpy"])
def test_a_library_cannot_make_another_error_of_it(tmp_path: Path, library: str) -> None:
    code = f"try:\n    {ENDLESS}\nexcept BaseException:\n    raise ImportError('initialization failed')"
    with importing(tmp_path, library, code, "-m", "replank") as process:
        process.send_signal(signal.SIGINT)
        process.wait()
        out, err = process.communicate()
    assert (process.returncode, out, err.strip()) == (130, "", LINE)


def test_a_signal_that_the_caller_ignores_is_ignored(tmp_path: Path) -> None:
    """As with nohup; the import goes on, and fails for another reason."""
    code = (
        f"import signal, runpy; signal.signal(signal.SIGINT, signal.SIG_IGN); runpy.run_path({str(script(tmp_path))!r})"
    )
    with importing(tmp_path, "click", f"{ENDLESS}\nraise SystemExit(7)", "-c", code) as process:
        process.send_signal(signal.SIGINT)
        process.communicate("go on\n")
        assert process.returncode == 7


def test_the_program_takes_arguments_from_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "replank", "-h"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Usage: replank [OPTIONS] COMMAND [ARGS]...")
