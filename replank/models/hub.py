"""The Hugging Face hub: reached at once or not at all, never after minutes of silent retries."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from replank.models.manifest import MANIFEST, MODEL_FILES
from replank.models.weights import external_names
from replank.system.errors import HubError
from replank.system.json_files import read_json

_TIMEOUT_SECONDS = 5.0
_FILES = ["*.json", "*.txt", "*.model", "model*.safetensors"]
OFFLINE_HINT = (
    "offline: give a local model folder and `data=FOLDER` (or `train=FILE` and `dev=FILE`), or try `replank quickstart`"
)


def require_hub(purpose: str, hint: str = OFFLINE_HINT) -> None:
    """Make sure that the hub answers, or the proxy before it.

    Offline only the cache matters: then nothing is tried here.

    :param purpose: what it is wanted for, for the message: ``"to fetch …"``.
    :raises HubError: the hub's or the proxy's host cannot be reached within seconds.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        return  # the library then looks into its cache and fails at once
    address = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    proxy = getproxies().get(address.scheme)
    if proxy and not proxy_bypass(address.netloc):
        address = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout=_TIMEOUT_SECONDS).close()
    except OSError as error:
        raise HubError(
            f"cannot reach {address.hostname or address.geturl()} {purpose}: {error.strerror or error}",
            hint=hint,
        ) from None


def fetch_model(name: str) -> Path:
    """The local folder of a hub model: all files of an artifact; of others, configuration, tokenizer and weights.

    No pickles and no code are fetched, and an ONNX graph only where there are no safetensors.

    :param name: such as ``bert-base-uncased`` or ``owner/name``.
    :raises HubError: the hub cannot be reached or has no such model.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        cached = Path(snapshot_download(name, allow_patterns=_FILES, local_files_only=True))
    except (HfHubHTTPError, OSError, ValueError):
        cached = None
    # The cache may hold the tokenizer alone, fetched by another program.
    if cached and _is_whole(cached):
        return cached
    require_hub(f"to fetch the model {name}, which is no local folder")
    try:
        folder = Path(snapshot_download(name, allow_patterns=_FILES))
        if not _is_whole(folder):
            # Of the same commit, whatever is pushed meanwhile.
            rest = _files_of_artifact(folder) or [MODEL_FILES["onnx"]]
            snapshot_download(name, revision=folder.name, allow_patterns=rest)
            if beside := _files_beside_graph(folder):
                snapshot_download(name, revision=folder.name, allow_patterns=beside)
    except Exception as error:  # a dozen types of three libraries; all mean that the model did not come
        raise HubError(f"cannot fetch the model {name}: {error}", hint=OFFLINE_HINT) from error
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether what was fetched is all that is needed."""
    if files := _files_of_artifact(folder):
        return all((folder / name).exists() for name in files)
    has_weights = any((folder / name).exists() for name in MODEL_FILES.values())
    beside = _files_beside_graph(folder)
    return (folder / "config.json").exists() and has_weights and all((folder / name).exists() for name in beside)


def _files_beside_graph(folder: Path) -> list[str]:
    """The files with weights of a graph, where there is one."""
    graph = folder / MODEL_FILES["onnx"]
    return external_names(graph) if graph.exists() else []


def _files_of_artifact(folder: Path) -> list[str]:
    """The files that an artifact's manifest names; none if it is no artifact. Opening it checks them."""
    return list(read_json(folder / MANIFEST, optional=True).get("files", ()))
