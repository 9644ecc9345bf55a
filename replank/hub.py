"""The Hugging Face hub: reached at once or not at all, never after minutes of silent retries."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from replank.errors import HubError
from replank.extras import require
from replank.tables import Table
from replank.tasks import glue_task

_TIMEOUT_SECONDS = 5.0
_OFFLINE_HINT = (
    "offline: give a local model folder and --data FOLDER (or --train FILE --dev FILE), or try `replank quickstart`"
)


def require_hub(wanted: str) -> None:
    """Make sure that the hub answers, or the proxy before it.

    Offline only the cache matters: then nothing is tried here.

    :param wanted: what would be fetched, for the message.
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
            f"cannot reach {address.hostname or address.geturl()} to fetch {wanted}: {error.strerror or error}",
            hint=_OFFLINE_HINT,
        ) from None


def load_glue(name: str) -> dict[str, Table]:
    """A GLUE task's splits under replank's split names, labels as text.

    :raises UsageError: GLUE has no such task.
    :raises HubError: the hub cannot be reached.
    """
    task = glue_task(name)
    require("datasets")
    require_hub(f"the data set nyu-mll/glue ({name})")
    from datasets import load_dataset

    try:
        loaded = load_dataset("nyu-mll/glue", name)
    except Exception as error:  # datasets raises a dozen types here; all mean that the data did not come
        raise HubError(f"cannot load nyu-mll/glue ({name}): {error}", hint=_OFFLINE_HINT) from error
    columns = (*task.hub_columns, "label")
    tables = {}
    for ours, theirs in task.hub_splits.items():
        split = loaded[theirs] if theirs in loaded else load_dataset("nyu-mll/glue", theirs)["test"]
        rows = list(zip(*(map(str, split[column]) for column in columns), strict=True))
        tables[ours] = Table(Path(f"nyu-mll/glue/{name}/{theirs}"), columns, rows, list(range(1, len(rows) + 1)))
    return tables


def fetch_model(name: str) -> Path:
    """The local folder of a hub model: configuration, tokenizer and safetensors weights, no pickles, no code.

    :param name: such as ``bert-base-uncased`` or ``owner/name``.
    :raises HubError: the hub cannot be reached or has no such model.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    patterns = ["*.json", "*.txt", "*.model", "model*.safetensors"]
    try:
        cached = Path(snapshot_download(name, allow_patterns=patterns, local_files_only=True))
    except (HfHubHTTPError, OSError, ValueError):
        cached = None
    # The cache may hold the tokenizer alone, fetched by another program.
    if cached and (cached / "config.json").exists() and (cached / "model.safetensors").exists():
        return cached
    require_hub(f"the model {name}, which is no local folder")
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # a dozen types of three libraries; all mean that the model did not come
        raise HubError(f"cannot fetch the model {name}: {error}", hint=_OFFLINE_HINT) from error
