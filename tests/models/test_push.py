"""Publishing on the hub, and reading from it what was published: against a server with the hub's interface."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands import Done, run_replank
from hub_stand_in import GOOD, ODD, READ_ONLY, Hub, hub_stand_in
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.system.errors import UsageError

NAME = "ada/tweets"
Command = Callable[..., Done]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_stand_in() as hub:
        yield hub


@pytest.fixture
def online(hub: Hub, tmp_path: Path) -> Command:
    """The command line with the stand-in as its hub, and a cache and a home of its own."""

    def run(*arguments: object, token: str = GOOD, **variables: str) -> Done:
        own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache"), "HF_TOKEN": token, "HF_HUB_OFFLINE": "0"}
        plain = {"HF_HUB_DISABLE_XET": "1", "http_proxy": "", "HTTP_PROXY": ""}
        return run_replank(*arguments, env=os.environ | own | plain | variables)

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_byte_arrives_and_comes_back(
    hub: Hub, online: Command, int8_artifact: Path, data: DataConfig, tmp_path: Path
) -> None:
    done = online("push", int8_artifact, NAME)
    assert (done.code, done.out) == (0, f"{hub.url}/{NAME}/commit/{hub.commit(NAME, 'main')}\n"), done.err
    received = dict(hub.repositories[NAME]["main"])
    del received[".gitattributes"]
    assert received == contents(int8_artifact)
    assert set(hub.cards) == {(int8_artifact / "README.md").read_text(encoding="utf-8")}
    assert hub.private == set()

    scores = [
        online("evaluate", model, "--data", data.data, "--text", "sentence", "--json")
        for model in (NAME, int8_artifact)
    ]
    theirs, ours = (json.loads(score.out) for score in scores)
    assert theirs == ours | {"model": NAME}
    again = online("inspect", NAME, "--json", HF_HUB_OFFLINE="1")
    assert json.loads(again.out)["digest"] == Artifact.open(int8_artifact).manifest.digest, again.err


def test_a_damaged_download_is_noticed(hub: Hub, online: Command, onnx_artifact: Path) -> None:
    assert online("push", onnx_artifact, NAME).code == 0
    graph = bytearray(hub.repositories[NAME]["main"]["model.onnx"])
    graph[len(graph) // 2] ^= 1
    hub.repositories[NAME]["main"]["model.onnx"] = bytes(graph)
    done = online("inspect", NAME)
    assert done.code == 1
    assert "model.onnx is damaged: its sha256 is not the manifest's" in done.err


def test_a_plain_repository_with_a_graph_alone_is_fetched(hub: Hub, online: Command, onnx_artifact: Path) -> None:
    graph = contents(onnx_artifact)
    hub.repositories["bob/graph"] = {
        "main": {name: graph[name] for name in graph if name not in ("replank.json", "README.md")}
    }
    done = online("predict", "bob/graph", "a good film")
    assert done.code == 0, done.err
    assert done.out.startswith("positive\t")


def test_another_model_takes_the_place_of_the_first(
    hub: Hub, online: Command, successor: Path, onnx_artifact: Path
) -> None:
    assert online("push", successor, NAME).code == 0
    hub.repositories[NAME]["main"]["notes.txt"] = b"the owner's"
    assert online("push", onnx_artifact, NAME).code == 0
    names = set(hub.repositories[NAME]["main"])
    assert "model.safetensors" not in names
    assert {"model.onnx", "notes.txt"} <= names
    files = hub.repositories[NAME]["main"]
    assert {name: files[name] for name in contents(onnx_artifact)} == contents(onnx_artifact)
    again = online("push", onnx_artifact, NAME)
    assert again.code == 0, again.err


def test_private_and_a_branch(hub: Hub, online: Command, onnx_artifact: Path) -> None:
    done = online("push", onnx_artifact, NAME, "--private", "--revision", "v1", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"name": NAME, "commit": f"{hub.url}/{NAME}/commit/{hub.commit(NAME, 'v1')}"}
    assert hub.private == {NAME}
    assert list(hub.repositories[NAME]["main"]) == [".gitattributes"]
    assert contents(onnx_artifact).items() <= hub.repositories[NAME]["v1"].items()
    assert online("push", onnx_artifact, NAME, "--private", "--revision", "v1").code == 0


def test_a_private_model_is_not_put_where_all_can_see(hub: Hub, online: Command, onnx_artifact: Path) -> None:
    hub.repositories[NAME] = {"main": {}}
    done = online("push", onnx_artifact, NAME, "--private")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[0] == f"error: {NAME} is there already, and public"
    assert hub.repositories[NAME] == {"main": {}}


@pytest.mark.parametrize(
    ("token", "error", "hint"),
    [
        ("", "pushing needs a token of the hub", "hf auth login, or set HF_TOKEN"),
        ("hf_stale", "the hub does not know the token", "make a token with write permission"),
        (READ_ONLY, f"the token may not write to {NAME}", "make a token with write permission"),
        ("hf_gööd", "the token of the hub holds characters that no token has", "make a token with write permission"),
    ],
)
def test_without_a_good_token(
    hub: Hub, online: Command, onnx_artifact: Path, token: str, error: str, hint: str
) -> None:
    done = online("--debug", "push", onnx_artifact, NAME, token=token)
    lines = done.err.splitlines()
    assert (done.code, done.out) == (1, "")
    assert f"error: {error}" in lines
    assert lines[-1].startswith(f"hint: {hint}")
    assert not token or token not in done.err
    assert hub.repositories == {}


def test_the_hubs_own_words_come_without_the_token(online: Command, onnx_artifact: Path) -> None:
    done = online("--debug", "push", onnx_artifact, NAME, token=ODD)
    (error,) = (line for line in done.err.splitlines() if line.startswith("error: "))
    assert error.startswith(f"error: cannot push to {NAME}: ")
    assert "no, Bearer …" in error
    assert ODD not in done.err


def test_a_hub_that_is_not_there(online: Command, onnx_artifact: Path) -> None:
    done = online("push", onnx_artifact, NAME, HF_ENDPOINT="http://127.0.0.1:9")
    error, hint = done.err.splitlines()
    assert done.code == 1
    assert error == f"error: cannot reach 127.0.0.1 to push to {NAME}: Connection refused"
    assert hint == "hint: is there a network, and is HF_ENDPOINT right where it is set?"
    offline = online("push", onnx_artifact, NAME, HF_HUB_OFFLINE="1")
    assert offline.code == 1
    assert f"error: cannot push to {NAME}: " in offline.err
    assert GOOD not in done.err + offline.err


def test_what_is_no_artifact_or_damaged_is_not_pushed(
    hub: Hub, online: Command, encoder: Path, onnx_artifact: Path, tmp_path: Path
) -> None:
    plain = online("push", encoder, NAME)
    assert plain.code == 1
    assert plain.err.splitlines()[0] == f"error: {encoder} is no replank artifact: it has no replank.json"
    damaged = shutil.copytree(onnx_artifact, tmp_path / "damaged")
    (damaged / "config.json").write_text("{}", encoding="utf-8")
    done = online("push", damaged, NAME)
    assert done.code == 1
    assert "config.json is damaged: its sha256 is not the manifest's" in done.err
    assert hub.repositories == {}


@pytest.mark.parametrize(
    "name", ["tweets", "a/b/c", "ada/", "/tweets", "ada/twe ets", "ada/-x", "ada/x..y", "ada/x.git"]
)
def test_names_that_no_repository_has(onnx_artifact: Path, name: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Artifact.open(onnx_artifact).push_to_hub(name)
    assert "expected OWNER/NAME" in str(refusal.value.hint)
