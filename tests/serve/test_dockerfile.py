"""What the Dockerfile promises, read from it: there may be no container engine where the tests run."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from dockerfile import ROOT, instructions, values


def test_the_image_runs_the_server_as_nobody_in_particular() -> None:
    assert values("USER") == ["10001"]
    assert [json.loads(value) for value in values("ENTRYPOINT")] == [
        ["replank", "serve", "/model", "--host", "0.0.0.0"]  # noqa: S104 - a container's own network
    ]
    assert values("EXPOSE") == ["8080"]
    assert values("STOPSIGNAL") == ["SIGTERM"]
    environment = " ".join(values("ENV"))
    assert "PYTHONUNBUFFERED=1" in environment
    assert "HF_HUB_OFFLINE=1" in environment


def test_the_image_is_built_in_stages_with_the_model_in_a_layer_of_its_own() -> None:
    assert values("FROM") == ["python:3.12-slim AS build", "python:3.12-slim"]
    assert values("ARG") == ["RUNTIME=cpu", "ARTIFACT=model"]
    assert values("COPY")[-1] == "--chown=10001:10001 ${ARTIFACT} /model"
    assert "[serve,${RUNTIME}]" in values("RUN")[0]


def test_no_torch_comes_into_the_image() -> None:
    code = "\n".join(f"{name} {value}" for name, value in instructions())
    assert "torch" not in code
    assert "compress,export" not in code


def test_the_health_check_is_python_that_compiles_and_asks_ready() -> None:
    (check,) = values("HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "healthcheck", "exec")
    assert "/ready" in command[2]
    # Nothing listens there: the check must fail rather than pass.
    code = command[2].replace(":8080", ":9")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 1


def test_everything_that_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for value in values("COPY"):
        if value.startswith("--"):
            continue
        for name in value.split()[:-1]:
            assert (ROOT / name).exists()
            assert name not in ignored


def test_what_linters_ask_for() -> None:
    """As hadolint's rules: tags (DL3006, DL3007), no pip cache (DL3042), COPY and not ADD (DL3020), JSON (DL3025).

    hadolint itself is GPL-3.0, in whichever package of PyPI it comes.
    """
    used = {name for name, _ in instructions()}
    assert used == {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"} | {
        "ENTRYPOINT"
    }
    for image in values("FROM"):
        assert re.fullmatch(r"python:3\.\d+-slim( AS \w+)?", image)
    for command in " && ".join(values("RUN")).split("&&"):
        assert " pip " not in f" {command} " or "--no-cache-dir" in command
    assert values("WORKDIR") == ["/source"]
    # What changes most comes last, so that another model leaves every other layer as it was.
    last = [(name, value) for name, value in instructions() if name in ("COPY", "RUN", "USER")][-3:]
    assert [name for name, _ in last] == ["COPY", "USER", "RUN"]
    assert last[0][1].endswith(" /model")
