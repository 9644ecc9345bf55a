"""Variables of the environment: which option each sets, and those that are somebody else's."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from commands import Replank, error_lines
from replank.cli.main import COMMANDS, cli, command_named
from replank.cli.variables import variable_of

# Of a service that is named replank-serve and of another, as Kubernetes sets them in every container beside it.
KUBERNETES = {
    "REPLANK_SERVE_SERVICE_HOST": "10.0.171.239",
    "REPLANK_SERVE_SERVICE_PORT": "8080",
    "REPLANK_SERVE_SERVICE_PORT_HTTP": "8080",
    "REPLANK_SERVE_PORT": "tcp://10.0.171.239:8080",
    "REPLANK_SERVE_PORT_8080_TCP": "tcp://10.0.171.239:8080",
    "REPLANK_SERVE_PORT_8080_TCP_PROTO": "tcp",
    "REPLANK_SERVE_PORT_8080_TCP_PORT": "8080",
    "REPLANK_SERVE_PORT_8080_TCP_ADDR": "10.0.171.239",
    "REPLANK_SERVE_CANARY_SERVICE_HOST": "10.0.171.240",
    "REPLANK_SERVE_CANARY_PORT": "udp://10.0.171.240:53",
    "REPLANK_PORT": "tcp://10.0.171.241:8080",
    "REPLANK_PORT_8080_TCP": "tcp://10.0.171.241:8080",
}
NO_FOLDER = "error: there is no folder no/such/folder"


@pytest.mark.parametrize("name", COMMANDS)
def test_variables_are_named_as_the_flags_are_typed(name: str) -> None:
    group = click.Context(cli, info_name="replank", auto_envvar_prefix="REPLANK")
    context = click.Context(command_named(name), parent=group, info_name=name)
    options = [option for option in context.command.params if isinstance(option, click.Option)]
    assert options
    for option in options:
        typed = option.opts[0].removeprefix("--").replace("-", "_").upper()
        assert variable_of(option, context) == f"REPLANK_{name.upper()}_{typed}"


def test_flags_win_over_variables_over_defaults(
    replank: Replank, monkeypatch: pytest.MonkeyPatch, onnx_artifact: Path
) -> None:
    monkeypatch.setenv("REPLANK_PREDICT_JSON", "1")
    monkeypatch.setenv("REPLANK_PREDICT_DEVICE", "cuda")
    assert replank("predict", onnx_artifact, "a").code == 1
    assert json.loads(replank("predict", onnx_artifact, "a", "--device", "cpu").out)["text"] == "a"


@pytest.mark.parametrize(
    ("command", "variable", "value", "lines"),
    [
        (
            "finetune a b",
            "REPLANK_FINETUNE_EPOCHS",
            "many",
            [
                "error: Invalid value for '--epochs': 'many' is not a valid float.",
                "hint: the value comes from the variable REPLANK_FINETUNE_EPOCHS",
            ],
        ),
        (
            "serve a",
            "REPLANK_SERVE_PORT",
            "99999",
            [
                "error: --port is 99999; expected 0 (any free port) to 65535",
                "hint: the value comes from the variable REPLANK_SERVE_PORT",
            ],
        ),
        (
            "benchmark a",
            "REPLANK_BENCHMARK_BATCH_SIZE",
            "1,0",
            [
                "error: --batch-size is 1, 0; expected numbers of 1 or more, each once",
                "hint: the value comes from the variable REPLANK_BENCHMARK_BATCH_SIZE",
            ],
        ),
    ],
)
def test_a_variable_that_is_wrong_is_named(
    replank: Replank, monkeypatch: pytest.MonkeyPatch, command: str, variable: str, value: str, lines: list[str]
) -> None:
    monkeypatch.setenv(variable, value)
    done = replank(*command.split())
    assert (done.code, error_lines(done)) == (2, lines)


@pytest.mark.parametrize(
    "value", ["tcp://", "tcp://10.0.0.1", "tcp://10.0.0.1:", "http://10.0.0.1:8080", "8080 tcp://a:1"]
)
def test_what_is_no_address_of_a_service_is_an_error(
    replank: Replank, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("REPLANK_SERVE_PORT", value)
    done = replank("serve", "a")
    assert (done.code, error_lines(done)) == (
        2,
        [
            f"error: Invalid value for '--port': '{value}' is not a valid integer.",
            "hint: the value comes from the variable REPLANK_SERVE_PORT",
        ],
    )


@pytest.mark.parametrize("address", ["tcp://10.0.171.239:8080", "udp://10.0.171.239:53", "tcp://[fd00::1a]:8080"])
def test_what_kubernetes_sets_for_a_service_is_passed_over(
    replank: Replank, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    for name, value in (KUBERNETES | {"REPLANK_SERVE_PORT": address}).items():
        monkeypatch.setenv(name, value)
    done = replank("serve", "no/such/folder")
    assert done.err.splitlines()[:2] == [
        f"REPLANK_SERVE_PORT={address} is the address of a Kubernetes service and no setting: ignored",
        NO_FOLDER,
    ]


def test_an_address_is_passed_over_only_where_a_port_is_asked(
    replank: Replank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLANK_SERVE_THREADS", "tcp://10.0.171.239:8080")
    assert "REPLANK_SERVE_THREADS" in error_lines(replank("serve", "a"))[1]


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        (
            "REPLANK_SERVE_PROT",
            "REPLANK_SERVE_PROT sets no option of replank serve; did you mean REPLANK_SERVE_PORT?",
        ),
        (
            "REPLANK_SERVE_CORS_ORIGINS",
            "REPLANK_SERVE_CORS_ORIGINS sets no option of replank serve; did you mean REPLANK_SERVE_CORS_ORIGIN?",
        ),
        ("REPLANK_SERVE_0", "REPLANK_SERVE_0 sets no option of replank serve"),
        ("REPLANK_INSPECT_AS_JSON", None),
    ],
)
def test_a_variable_that_sets_nothing_is_told(
    replank: Replank, monkeypatch: pytest.MonkeyPatch, variable: str, line: str | None
) -> None:
    monkeypatch.setenv(variable, "1")
    done = replank("serve", "no/such/folder")
    assert done.err.splitlines()[: -len(error_lines(done))] == ([line] if line else [])
