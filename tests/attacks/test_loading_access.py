"""Who may load and unload models, from where on the disk, and what an outsider learns by trying."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app_client import CONFIG, assert_error, post, with_app
from commands import Replank
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.system.errors import FieldError, UsageError
from replank_serve.engine.engine import Engine
from replank_serve.http.config import ServeConfig

KEY, ADMIN = "correct-horse-battery", "admin-0123456789abcdef"
LOCAL = "http://localhost"


def load(folder: Path) -> Model:
    return load_model(open_source(folder), threads=1)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("api_keys", [(KEY,), ()], ids=["with API keys", "without API keys"])
def test_an_admin_key_alone_loads_and_unloads(model: Model, api_keys: tuple[str, ...]) -> None:
    """Whoever may predict could load and delete models: verdict 403 with an API key, 401 without any key."""
    config = replace(CONFIG, api_keys=api_keys, admin_keys=(ADMIN,), loader=lambda _: model, model_root=Path("/"))
    status, kind = (403, "forbidden") if api_keys else (401, "unauthorized")

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        for key in (KEY, f"{ADMIN}x", ""):
            if api_keys and key != KEY:
                continue
            body, headers = {"folder": "/"}, bearer(key)
            assert_error(await http.post(f"{LOCAL}/models/new", json=body, headers=headers), status, kind, "admin key")
            assert_error(await http.delete(f"{LOCAL}/models/onnx", headers=headers), status, kind, "admin key")
        assert_error(await post(http, {"folder": "/"}, f"{LOCAL}/models/new"), 401, "unauthorized", "key")
        # From anywhere, and for everything else too.
        http.headers.update(bearer(ADMIN) | {"x-forwarded-for": "10.0.0.1"})
        assert (await post(http, {"folder": "/"}, "http://far.example/models/new")).status_code == 200
        assert (await post(http, {"inputs": "good", "model": "new"})).status_code == 200
        assert (await http.delete("http://far.example/models/new")).status_code == 200

    with_app(model, client, config)


def test_models_are_loaded_below_the_root_only(model: Model, onnx_artifact: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "int8").symlink_to(root / "real", target_is_directory=True)
    (root / "real").mkdir()
    for file in onnx_artifact.iterdir():
        os.link(file, root / "real" / file.name)
    (root / "escape").symlink_to(onnx_artifact, target_is_directory=True)
    (root / "loop").symlink_to(root / "loop")
    (root / "file").write_text("", encoding="utf-8")
    (tmp_path / "root-beside").mkdir()
    (tmp_path / "by-link").symlink_to(root, target_is_directory=True)
    outside = [
        str(onnx_artifact),
        os.path.relpath(onnx_artifact, root),
        "..",
        "../root-beside",
        "inner/../../root-beside",
        str(tmp_path / "root-beside"),
        "/",
        "/etc",
        "/etc/passwd",
        "/nowhere",
        "/proc/self/cwd",
        "escape",
        "escape/.",
        "loop",
        "file",
        "missing",
        "~",
        "real\0",
        "a" * 300,
        "a/" * 700,
    ]

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        for folder in outside:
            response = await post(http, {"folder": folder}, f"{LOCAL}/models/new")
            # In the same words, whether it exists or not.
            expected = f"folder: {folder[:200]!r} is no folder below the server's model root"
            assert (response.status_code, response.json()["error"]) == (422, expected)
        for folder in ("real", "./real/", "inner/int8", str(root / "real"), str(tmp_path / "by-link" / "real")):
            response = await post(http, {"folder": folder}, f"{LOCAL}/models/new")
            assert response.status_code == 200, response.text
            assert response.json()["model"] == "real"

    with_app(model, client, replace(CONFIG, loader=load, model_root=tmp_path / "by-link"))


def test_a_failed_load_tells_nothing_of_the_folder(model: Model, tmp_path: Path) -> None:
    """The names of six files were in the error: verdict 422 without them."""
    folder = tmp_path / "private"
    folder.mkdir()
    for name in ("salaries.csv", "id_rsa", "weights.onnx"):
        (folder / name).write_text("", encoding="utf-8")

    async def client(http: httpx.AsyncClient, _: Engine) -> None:
        for make in (False, True):
            if make:
                (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
            response = await post(http, {"folder": "private"}, f"{LOCAL}/models/new")
            assert_error(response, 422, "validation", "^folder: 'private' holds no model that can be loaded")
            assert not [file for file in folder.iterdir() if file.name in response.text]
            assert str(tmp_path) not in response.text

    with_app(model, client, replace(CONFIG, loader=load, model_root=tmp_path))


def test_any_page_may_not_load_models(model: Model, replank: Replank, onnx_artifact: Path) -> None:
    """With all origins allowed and no key, each web page that a person opens could load models: refused at start."""
    message = "`allow_load` with `cors_origins=\\*` and without keys would let any web page"
    with pytest.raises(UsageError, match=message):
        ServeConfig(loader=lambda _: model, cors_origins=("https://a.example", "*"))
    ServeConfig(loader=lambda _: model, cors_origins=("*",), api_keys=(KEY,))
    ServeConfig(loader=lambda _: model, cors_origins=("*",), admin_keys=(ADMIN,))
    ServeConfig(cors_origins=("*",))
    done = replank("serve", onnx_artifact, "--allow-load", "--cors-origin", "*")
    assert done.code == 2
    assert "--allow-load with --cors-origin * and without keys" in done.err


def test_settings_of_loading_that_mean_nothing_are_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`model_root` has no meaning without `allow_load`"):
        ServeConfig(model_root=tmp_path)
    with pytest.raises(UsageError, match="`admin_key_file` has no meaning without `allow_load`"):
        ServeConfig(admin_keys=(ADMIN,))
    with pytest.raises(UsageError, match="an admin key is an API key too"):
        ServeConfig(loader=lambda _: model, admin_keys=(ADMIN, KEY), api_keys=(KEY,))
    with pytest.raises(FieldError, match="model_root"):
        ServeConfig(loader=lambda _: model, model_root=tmp_path / "nowhere")
    assert ADMIN not in repr(ServeConfig(loader=lambda _: model, admin_keys=(ADMIN,)))


def test_the_admin_key_comes_from_a_file_or_a_variable(
    replank: Replank, tmp_path: Path, onnx_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "admin").write_text("short\n", encoding="utf-8")
    done = replank("serve", onnx_artifact, "--allow-load", "--admin-key-file", tmp_path / "admin")
    assert (done.code, "a key is shorter than 16 characters" in done.err) == (2, True)
    done = replank("serve", onnx_artifact, "--allow-load", "--admin-key-file", tmp_path)
    assert (done.code, f"--admin-key-file {tmp_path} cannot be read" in done.err) == (2, True)
    monkeypatch.setenv("REPLANK_ADMIN_KEY", ADMIN)
    done = replank("serve", onnx_artifact)
    assert (done.code, "--admin-key-file has no meaning without --allow-load" in done.err) == (2, True)
