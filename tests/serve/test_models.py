"""Several models by name: asked, loaded, replaced and unloaded while others ask."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app_client import JSON, assert_error, expected, post, with_app
from named_models import LOADING, LOCAL, constant, load, new_engine
from replank.runtime.model import Model
from replank.runtime.predictors import Logits
from replank.system.errors import ModelError, NotReadyError, UsageError
from replank.text.padding import Batch
from replank_serve.engine.engine import Engine
from replank_serve.models.loaded_model import name_for
from replank_serve.models.registry import ModelRegistry
from waiting import HANG_SECONDS


def test_a_request_names_its_model_and_the_first_answers_else(model: Model, pair_model: Model) -> None:
    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        for name, label in (("yes", "positive"), ("no", "negative"), (None, "positive")):
            response = await post(http, {"inputs": "a film", "model": name})
            assert (response.json()[0]["label"], response.headers["x-model"]) == (label, name or "yes")
        pair = await post(http, {"inputs": ["good film", "a"], "model": "pair"})
        assert pair.json() == expected(pair_model, ["good film"], ["a"])[0]
        unknown = await post(http, {"inputs": "a", "model": "maybe"})
        assert_error(unknown, 404, "not_found", "there is no model 'maybe'; loaded: yes, no, pair")
        assert_error(await post(http, {"inputs": "a", "model": 5}), 422, "validation", "model: expected the name")
        assert [row["name"] for row in (await http.get("/models")).json()] == ["yes", "no", "pair"]
        info = (await http.get("/info?model=pair")).json()
        assert (info["name"], info["task"]["is_pair"], info["models"]) == ("pair", True, ["yes", "no", "pair"])
        assert_error(await http.get("/info?model=%ff"), 404, "not_found", "there is no model")

    with_app({"yes": constant(model, 5), "no": constant(model, -5), "pair": pair_model}, client)


def test_loading_and_unloading(model: Model, onnx_artifact: Path, pair_onnx_artifact: Path) -> None:
    texts = ["the film is superb"]

    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        loaded = await post(http, {"folder": str(pair_onnx_artifact)}, f"{LOCAL}/models/pair")
        assert loaded.json()["name"] == "pair"
        assert loaded.json()["state"] == "ready"
        assert (await post(http, {"inputs": ["a", "b"], "model": "pair"})).status_code == 200
        # In its place: the same name, and still the first.
        assert (await post(http, {"folder": str(onnx_artifact)}, f"{LOCAL}/models/first")).status_code == 200
        assert (await post(http, {"inputs": texts})).json() == expected(load(onnx_artifact), texts)
        assert [row["name"] for row in (await http.get("/models")).json()] == ["first", "pair"]
        while engine.state != "closed":
            await asyncio.sleep(0.001)

        assert (await http.delete(f"{LOCAL}/models/first")).json() == {"status": "unloaded"}
        assert_error(await http.delete(f"{LOCAL}/models/first"), 404, "not_found", "there is no model 'first'")
        assert (await http.get("/info")).json()["name"] == "pair"
        assert (await http.delete(f"{LOCAL}/models/pair")).status_code == 200
        # MLServer #2056: ready without any model.
        assert_error(await http.get("/ready"), 503, "unhealthy", "not ready: empty")
        assert_error(await post(http, {"inputs": "a"}), 503, "unhealthy", "no model is loaded")
        assert (await http.get("/health")).status_code == 200
        assert (await http.get("/models")).json() == []

    with_app({"first": constant(model, 5)}, client, LOADING)


def test_what_cannot_be_loaded_changes_nothing(model: Model, onnx_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}", encoding="utf-8")

    def predictor(batch: Batch) -> Logits:
        raise RuntimeError("no kernel")

    def failing(folder: Path) -> Model:
        if folder.name == "broken":
            return load(folder)
        return replace(model, predictor=predictor)

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        for folder, message in (
            ("/nowhere", "folder: '/nowhere' is no folder below the server's model root"),
            ("a/hub-name", "is no folder"),
            ("\0", "is no folder"),
            ("a" * 1500, "folder: "),
            (str(tmp_path / "broken"), "holds no model that can be loaded .the server's log says why"),
        ):
            response = await post(http, {"folder": folder}, f"{LOCAL}/models/onnx")
            assert_error(response, 422, "validation", message)
        response = await post(http, {"folder": str(onnx_artifact)}, f"{LOCAL}/models/onnx")
        assert_error(response, 422, "validation", "the model failed in its warm-up: no kernel")
        for body in ({}, {"folder": 5}, {"folder": "a", "force": True}):
            assert (await post(http, body, f"{LOCAL}/models/onnx")).status_code == 422
        bad_name = await post(http, {"folder": str(onnx_artifact)}, f"{LOCAL}/models/-rf")
        assert_error(bad_name, 422, "validation", "'-rf' is no name for a model")
        assert (await http.get("/ready")).status_code == 200
        assert (await post(http, {"inputs": "good film"})).json() == expected(model, ["good film"])[0]

    with_app({"onnx": model}, client, replace(LOADING, loader=failing))


def test_only_this_machine_loads_and_only_where_allowed(model: Model, onnx_artifact: Path) -> None:
    body = {"folder": str(onnx_artifact)}

    async def refused(http: httpx.AsyncClient, _: Engine) -> None:
        # A page whose own name was given this machine's address, and a proxy on this machine.
        for url, headers in (
            ("http://rebound.example", {}),
            (LOCAL, {"x-forwarded-for": "10.0.0.1"}),
            (LOCAL, {"forwarded": "for=10.0.0.1"}),
        ):
            response = await http.post(f"{url}/models/new", json=body, headers=headers)
            assert_error(response, 403, "forbidden", "from this machine only, or with a key")
            response = await http.delete(f"{url}/models/onnx", headers=headers)
            assert_error(response, 403, "forbidden", "from this machine only")
        form = await http.post(f"{LOCAL}/models/new", content=b"{}", headers={"content-type": "text/plain"})
        assert_error(form, 415, "unsupported_media_type", "application/json")

    async def absent(http: httpx.AsyncClient, _: Engine) -> None:
        assert_error(await http.post(f"{LOCAL}/models/new", json=body), 404, "not_found", "no such route")
        assert_error(await http.delete(f"{LOCAL}/models/onnx"), 404, "not_found", "no such route")

    with_app({"onnx": model}, refused, LOADING)
    with_app({"onnx": model}, absent)


def test_the_first_dead_engine_is_told_even_if_it_was_loaded_later(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    def predictor(batch: Batch) -> Logits:
        if batch.shape == (1, 3):
            raise SystemExit("gone")
        return model.predictor(batch)

    async def work() -> None:
        models = ModelRegistry({"sound": model}, new_engine, drain_seconds=HANG_SECONDS)
        models.start()
        await models.started()
        death = asyncio.create_task(models.died())
        await models.load("ill", lambda: replace(model, predictor=predictor))
        for _ in range(2):
            while models.get("ill").engine.state != "ready":
                await asyncio.sleep(0.001)
            assert not death.done()
            with pytest.raises(NotReadyError):
                await models.get("ill").engine.infer(["film"], timeout=HANG_SECONDS)
        await asyncio.wait_for(death, HANG_SECONDS)
        assert models.state == "dead"
        await models.close()

    asyncio.run(work())
    assert "the inference thread died" in caplog.text


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a b", "a" * 65, "é"])
def test_names_fit_into_a_path(model: Model, name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a model"):
        ModelRegistry({name: model}, lambda *_: pytest.fail("made"), drain_seconds=1)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("out/int8", "int8"),
        ("org/bert-base.v2", "bert-base.v2"),
        ("/a/my model (1)", "my-model-1"),
        ("/a/\u6a21", "model"),
    ],
)
def test_a_model_without_a_name_has_its_folders(source: str, name: str) -> None:
    assert name_for(source) == name


def test_why_a_folder_is_no_model_is_for_the_log_only(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    def refusing(_: Path) -> Model:
        raise ModelError("it holds secrets.txt", hint="make one")

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        response = await http.post(f"{LOCAL}/models/new", content=b'{"folder": "/tmp"', headers=JSON)
        assert_error(response, 400, "malformed", "not JSON")
        response = await http.post(f"{LOCAL}/models/new", content=b'{"folder": "/tmp"}', headers=JSON)
        assert_error(response, 422, "validation", r"^folder: '/tmp' holds no model that can be loaded")
        assert "secrets" not in response.text

    with_app(model, client, replace(LOADING, loader=refusing))
    assert "a client's model in /tmp cannot be loaded: it holds secrets.txt" in caplog.text
