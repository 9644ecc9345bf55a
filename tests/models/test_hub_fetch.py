"""Models of the hub: the newest commit, a named one, what the cache has, and repositories that hold no model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from hub_stand_in import Hub, hub_stand_in
from replank.models.hub import HUB_NAME

NAME = "ada/tweets"
PLAIN = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"first"}
PROGRAM = """
import logging, sys
from replank.models.hub import fetch_model
from replank.system.errors import ReplankError
logging.basicConfig(level=logging.WARNING, format="%(message)s")
logging.getLogger("replank").setLevel(logging.INFO)
try:
    print(fetch_model(*sys.argv[1:]))
except ReplankError as error:
    print(f"{type(error).__name__}: {error.message}", error.hint, sep="\\n", file=sys.stderr)
"""


@dataclass(frozen=True)
class Fetched:
    """What a process found: the folder, if it got one, and its talk."""

    folder: Path | None
    talk: list[str]

    def file(self, name: str) -> bytes:
        assert self.folder is not None, self.talk
        return (self.folder / name).read_bytes()


Fetch = Callable[..., Fetched]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_stand_in() as hub:
        hub.repositories[NAME] = {"main": dict(PLAIN)}
        yield hub


@pytest.fixture
def fetch(hub: Hub, tmp_path: Path) -> Fetch:
    """A process of its own, since the library reads its environment once."""

    def run(name: str = NAME, *file: str, **variables: str) -> Fetched:
        own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0", "HF_TOKEN": ""}
        plain = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "http_proxy": "", "HTTP_PROXY": ""}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, name, *file],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | own | plain | variables,
        )
        out = done.stdout.strip()
        return Fetched(Path(out) if out else None, done.stderr.splitlines())

    return run


@pytest.fixture
def split_graph() -> dict[str, bytes]:
    """A graph whose only tensor lies in a file beside it."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="model.onnx_data")
    graph = helper.make_graph([], "split", [], [], [tensor])
    return {"model.onnx": helper.make_model(graph).SerializeToString(), "model.onnx_data": bytes(4)}


def test_a_cached_model_is_brought_up_to_date(hub: Hub, fetch: Fetch) -> None:
    first = fetch()
    assert first.file("model.safetensors") == b"first"
    assert fetch() == first
    asked = len(hub.asked)
    assert fetch() == first
    assert not any("/resolve/" in path for path in hub.asked[asked:]), "what is cached is not fetched again"
    hub.repositories[NAME]["main"]["model.safetensors"] = b"second"
    second = fetch()
    assert (second.file("model.safetensors"), second.talk) == (b"second", [])
    offline = fetch(HF_HUB_OFFLINE="1")
    assert offline.folder == second.folder, "offline, the newest that was fetched"
    assert offline.talk == [f"{NAME}: commit {hub.commit(NAME, 'main')}, from the cache"]


@pytest.mark.parametrize("how", ["unreachable", "down"])
def test_a_hub_that_does_not_answer_is_said(hub: Hub, fetch: Fetch, how: str) -> None:
    first = fetch()
    hub.is_down = how == "down"
    again = fetch(**({"HF_ENDPOINT": "http://127.0.0.1:9"} if how == "unreachable" else {}))
    assert again.folder == first.folder
    (warning,) = again.talk
    assert warning.endswith(f"; using commit {hub.commit(NAME, 'main')} from the cache, which may not be the newest")
    assert warning.startswith("cannot reach 127.0.0.1 to" if how == "unreachable" else f"cannot fetch the model {NAME}")
    assert ("503" in warning) == (how == "down")
    other = fetch("ada/other")
    assert other.folder is None


def test_a_revision_can_be_named(hub: Hub, fetch: Fetch) -> None:
    hub.repositories[NAME] |= {branch: PLAIN | {"model.safetensors": branch.encode()} for branch in ("v1", "refs/pr/7")}
    for branch in ("v1", "refs/pr/7"):
        assert fetch(f"{NAME}@{branch}").file("model.safetensors") == branch.encode()
    commit = hub.commit(NAME, "v1")
    hub.repositories[NAME]["v1"]["model.safetensors"] = b"moved"
    asked = len(hub.asked)
    assert fetch(f"{NAME}@{commit}").file("model.safetensors") == b"v1"
    assert len(hub.asked) == asked, "a commit stays what it is"
    assert fetch(f"{NAME}@v1").file("model.safetensors") == b"moved"
    assert fetch().file("model.safetensors") == b"first"
    assert fetch(f"{NAME}@v9").talk == [
        f"HubError: {NAME} has no revision v9",
        "a branch, a tag or a whole commit",
    ]


def test_a_model_that_the_hub_has_no_more_is_said_though_it_is_cached(hub: Hub, fetch: Fetch) -> None:
    fetch()
    del hub.repositories[NAME]
    gone = fetch()
    assert (gone.folder, gone.talk[0]) == (None, f"HubError: the hub has no model {NAME} that you may see")


def test_offline_a_model_that_is_not_cached_is_said(hub: Hub, fetch: Fetch) -> None:
    done = fetch(HF_HUB_OFFLINE="1")
    assert done.talk[0] == f"HubError: offline, and the cache does not have the whole model {NAME}"
    assert hub.asked == []


def test_all_shards_are_fetched(hub: Hub, fetch: Fetch) -> None:
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = {"weight_map": {"a": shards[0], "b": shards[1], "c": shards[1]}}
    files = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors.index.json": json.dumps(index).encode()}
    hub.repositories[NAME]["main"] = files | {name: name.encode() for name in shards}
    whole = fetch()
    assert [whole.file(name) for name in shards] == [name.encode() for name in shards]
    (whole.folder / shards[1]).unlink()  # type: ignore[operator]
    assert fetch(HF_HUB_OFFLINE="1").folder is None, "one is missing"
    assert fetch().file(shards[1]) == shards[1].encode()
    hub.repositories[NAME]["main"] = files | {shards[0]: b""}
    assert fetch().talk[0] == f"HubError: the hub does not have all files of {NAME} that it names"


def test_a_graph_is_fetched_where_it_is_asked_for(hub: Hub, fetch: Fetch, split_graph: dict[str, bytes]) -> None:
    """With the weights beside it, and without the safetensors; from the cache only if all of it is there."""
    hub.repositories[NAME]["main"] = PLAIN | {f"onnx/{name}": content for name, content in split_graph.items()}
    assert not (fetch().folder / "onnx").exists()  # type: ignore[operator]
    assert "the cache does not have the whole model" in fetch(NAME, "onnx/model.onnx", HF_HUB_OFFLINE="1").talk[0]
    for settings in ({}, {"HF_HUB_OFFLINE": "1"}):
        fetched = fetch(NAME, "onnx/model.onnx", **settings)
        assert {name: fetched.file(f"onnx/{name}") for name in split_graph} == split_graph
    talk = fetch(NAME, "onnx/model_int8.onnx").talk
    assert talk[0] == f"ModelError: {NAME} has no graph onnx/model_int8.onnx; it holds onnx/model.onnx"


def test_a_graph_in_its_usual_folder_is_taken_where_there_is_nothing_else(
    hub: Hub, fetch: Fetch, split_graph: dict[str, bytes]
) -> None:
    plain = {name: content for name, content in PLAIN.items() if name != "model.safetensors"}
    hub.repositories[NAME]["main"] = plain | {f"onnx/{name}": content for name, content in split_graph.items()}
    fetched = fetch()
    assert {name: fetched.file(f"onnx/{name}") for name in split_graph} == split_graph


@pytest.mark.parametrize(
    ("files", "error", "hint"),
    [
        (["config.json", "pytorch_model.bin"], r"a pickle (pytorch_model.bin)", "model.save_pretrained(FOLDER) writes"),
        (["config.json", "pytorch_model-00001-of-00002.bin"], "a pickle (pytorch_model-00001", "with transformers"),
        (
            ["config.json", "onnx/model_fp16.onnx", "onnx/model_int8.onnx"],
            "has no model.onnx; it holds onnx/model_fp16.onnx, onnx/model_int8.onnx",
            "choose one: `file=onnx/model_fp16.onnx`",
        ),
        (["adapter_config.json", "adapter_model.safetensors"], "holds an adapter (adapter_config.json)", "merge"),
        (["config.json", "tf_model.h5"], "is no model that replank reads; it holds config.json, tf_model.h5", "expect"),
        (["model.safetensors"], "is no model that replank reads; it holds model.safetensors", "config.json"),
        ([], "is no model that replank reads; it holds nothing", "config.json"),
    ],
)
def test_what_a_repository_lacks_is_said(hub: Hub, fetch: Fetch, files: list[str], error: str, hint: str) -> None:
    hub.repositories[NAME]["main"] = dict.fromkeys(files, b"{}")
    done = fetch()
    assert done.folder is None
    assert done.talk[0].startswith(f"ModelError: {NAME} ")
    assert error in done.talk[0]
    assert hint in done.talk[1]
    assert not any("/resolve/" in path for path in hub.asked), "nothing is fetched in vain"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("bert-base-uncased", ("bert-base-uncased", None)),
        ("ada/tweets@v1.2", ("ada/tweets", "v1.2")),
        ("ada/tweets@refs/pr/1", ("ada/tweets", "refs/pr/1")),
        ("ada/tweets@", None),
        ("ada/tweets@../../x", None),
        ("ada/tweets@a/../../x", None),
        ("a/b/c", None),
        ("ada/tweets@v1@v2", None),
    ],
)
def test_names_of_the_hub(name: str, parts: tuple[str, str | None] | None) -> None:
    match = HUB_NAME.fullmatch(name)
    assert (match and (match["repository"], match["revision"])) == parts
