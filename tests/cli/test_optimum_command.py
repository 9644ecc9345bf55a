"""`optimum-cli replank`, where Optimum is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from replank.system.extras import installed_version

pytestmark = pytest.mark.skipif(installed_version("optimum") is None, reason="the extra optimum is not installed")


def optimum(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("optimum-cli")
    return subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_it_is_among_optimums_commands() -> None:
    assert "replank" in optimum("--help").stdout


def test_arguments_options_and_exit_codes_are_replanks(predecessor: Path) -> None:
    answer = optimum("replank", "predict", predecessor, "--", "-h is a superb film")
    assert (answer.returncode, answer.stdout.split("\t")[0]) == (0, "positive"), answer.stderr
    assert optimum("replank", "--help").stdout.startswith("Usage: replank [OPTIONS] COMMAND [ARGS]...")
    assert optimum("replank", "predict", "-h").stdout.startswith("Usage: replank predict")
    refused = optimum("replank", "--debug", "evaluate", predecessor)
    assert refused.returncode == 2
    assert "error: no data given" in refused.stderr
