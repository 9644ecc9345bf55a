"""The hub: reached at once or not at all."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from commands import run_replank
from replank.data.config import DataConfig
from replank.models.hub import fetch_model, require_hub
from replank.system.errors import HubError
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task

UNREACHABLE = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0", "http_proxy": "", "https_proxy": ""}


MODEL = Task("mood", KINDS["classification"], ("good", "bad"), ("review",), "mood", ("accuracy", "macro_f1"), 40)


# The hub


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The addresses that this process connects to, in order; a retry is a second entry."""
    addresses: list[object] = []
    connect = socket.socket.connect

    def record(connection: socket.socket, address: Any) -> None:
        addresses.append(address)
        connect(connection, address)

    monkeypatch.setattr(socket.socket, "connect", record)
    return addresses


def test_an_unreachable_hub_is_said_at_once_of_data(monkeypatch: pytest.MonkeyPatch, connections: list[object]) -> None:
    for name, value in UNREACHABLE.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        HubError, match=r"cannot reach 127\.0\.0\.1 to fetch the data set nyu-mll/glue \(sst2\)"
    ) as refusal:
        DataConfig(dataset="sst2").load()
    assert connections == [("127.0.0.1", 9)]
    assert refusal.value.hint is not None
    assert refusal.value.hint.startswith("offline: give a local model folder and `data=FOLDER`")


@pytest.mark.parametrize(
    ("variables", "host"),
    [
        ({"HF_ENDPOINT": "https://hub.test", "https_proxy": "http://127.0.0.1:9"}, r"127\.0\.0\.1"),
        ({"HF_ENDPOINT": "https://hub.test", "https_proxy": "127.0.0.1:9"}, r"127\.0\.0\.1"),
        ({"https_proxy": "http://192.0.2.1", "no_proxy": "127.0.0.1", "HF_ENDPOINT": "https://127.0.0.1:9"}, "127"),
        ({"HF_ENDPOINT": "nonsense"}, "nonsense"),
    ],
)
def test_the_proxy_is_asked_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], host: str
) -> None:
    for name, value in (UNREACHABLE | variables).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(HubError, match=f"cannot reach {host}"):
        require_hub("a model")


def test_offline_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (UNREACHABLE | {"HF_HUB_OFFLINE": "1"}).items():
        monkeypatch.setenv(name, value)
    require_hub("a model")


@pytest.mark.parametrize(
    "command", [("inspect", "owner/name"), ("finetune", "bert-base-uncased", "OUT", "--dataset", "sst2")]
)
def test_an_unreachable_hub_is_said_at_once_of_models(tmp_path: Path, command: tuple[str, ...]) -> None:
    environment = os.environ | UNREACHABLE | {"HF_HOME": str(tmp_path / "cache")}
    done = run_replank(*command, env=environment, cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    error, hint = done.err.splitlines()
    wanted = f"the model {command[1]}, which is no local folder"
    assert error == f"error: cannot reach 127.0.0.1 to fetch {wanted}: Connection refused"
    assert hint == "hint: offline: give a local model folder, or try `replank quickstart`"
    assert not (tmp_path / "OUT").exists()


def test_a_mistyped_folder_is_told_of_the_models_beside_it(tmp_path: Path) -> None:
    for name in ("onnx", "int8", "data"):
        (tmp_path / "out" / name).mkdir(parents=True)
    for name in ("onnx", "int8"):
        (tmp_path / "out" / name / "config.json").write_text("{}", encoding="utf-8")
    environment = os.environ | UNREACHABLE | {"HF_HOME": str(tmp_path / "cache")}
    done = run_replank("predict", "out/int", "a film", env=environment, cwd=tmp_path)
    error, hint = done.err.splitlines()
    assert "the model out/int, which is no local folder" in error
    assert hint == "hint: offline: give a local model folder; out has int8, onnx"


def test_an_unreachable_hub_is_tried_once_for_a_model(
    monkeypatch: pytest.MonkeyPatch, connections: list[object]
) -> None:
    for name, value in UNREACHABLE.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(HubError, match=r"cannot reach 127\.0\.0\.1 to fetch the model owner/not-in-any-cache"):
        fetch_model("owner/not-in-any-cache")
    assert connections == [("127.0.0.1", 9)]


def test_without_the_hub_a_cached_model_is_used_and_a_half_cached_one_is_not(encoder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "cache" / "hub" / "models--owner--name" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    references = snapshot.parent.parent / "refs"
    references.mkdir()
    (references / "main").write_text("a" * 40, encoding="utf-8")
    environment = os.environ | UNREACHABLE | {"HF_HOME": str(tmp_path / "cache")}
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (snapshot / name).symlink_to(encoder / name)
    half = run_replank("inspect", "owner/name", env=environment)
    assert half.code == 1
    assert "cannot reach 127.0.0.1 to fetch the model owner/name" in half.err
    (snapshot / "model.safetensors").symlink_to(encoder / "model.safetensors")
    whole = run_replank("inspect", "owner/name", "--json", env=environment)
    assert whole.code == 0
    assert whole.err == (
        "cannot reach 127.0.0.1 to fetch the model owner/name, which is no local folder: Connection refused; "
        f"using commit {'a' * 40} from the cache, which may not be the newest\n"
    )
    assert json.loads(whole.out)["layers"] == 4
