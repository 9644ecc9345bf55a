"""The Hugging Face hub: reached at once or not at all, never after minutes of silent retries."""

from __future__ import annotations

import logging
import os
import re
import socket
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from replank.models.hub_files import SMALL_FILES, files_beside_graph, files_of_artifact, is_whole, weights_of
from replank.system.errors import HubError, ModelError

# A branch, a tag or a commit may follow: ``owner/name@revision``.
HUB_NAME = re.compile(r"(?P<repository>\w[\w.-]*(?:/\w[\w.-]*)?)(?:@(?P<revision>(?!.*\.\.)\w[\w./-]*))?", re.ASCII)
_TIMEOUT_SECONDS = 5.0
_NOT_FOUND_HINT = "is the name right? A private or gated model needs a token: hf auth login"
_log = logging.getLogger(__name__)
OFFLINE_HINT = (
    "offline: give a local model folder and `data=FOLDER` (or `train=FILE` and `dev=FILE`), or try `replank quickstart`"
)


def require_hub(purpose: str, hint: str = OFFLINE_HINT) -> None:
    """Make sure that the hub answers, or the proxy before it.

    Offline only the cache matters: then nothing is tried here.

    :param purpose: what it is wanted for, for the message: ``"to fetch …"``.
    :raises HubError: the hub's or the proxy's host cannot be reached within seconds.
    """
    if is_offline():
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


def fetch_model(name: str, file: str | None = None) -> Path:
    """The local folder of a hub model: all files of an artifact; of others, configuration, tokenizer and weights.

    The hub is asked each time which commit is the newest; what is in the cache of that commit is not fetched again.
    Where it does not answer, the newest commit in the cache is taken, with a warning. It is not asked for a whole
    commit that is in the cache, nor when ``HF_HUB_OFFLINE`` is set. No pickles and no code are fetched, and an ONNX
    graph only where there are no safetensors or where it is asked for.

    :param name: such as ``bert-base-uncased`` or ``owner/name``; with ``@`` and a branch, a tag or a commit behind it.
    :param file: the ONNX graph to fetch instead of the usual weights, by its place in the repository.
    :raises HubError: the hub cannot be reached and the cache has no such model, or the hub has none.
    :raises ModelError: it holds no weights that can be used.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    repository, revision = _parts(name)
    cached = _cached(repository, revision, file)
    if cached and (is_offline() or cached.name == revision):
        _log.info("%s: commit %s, from the cache", name, cached.name)
        return cached
    if is_offline():
        raise HubError(f"offline, and the cache does not have the whole model {name}", hint=_offline_hint(name))
    try:
        require_hub(f"to fetch the model {name}, which is no local folder", _offline_hint(name))
        newest = HfApi().model_info(repository, revision=revision, timeout=_TIMEOUT_SECONDS)
    except RevisionNotFoundError:
        raise HubError(f"{repository} has no revision {revision}", hint="a branch, a tag or a whole commit") from None
    except (RepositoryNotFoundError, GatedRepoError):
        raise HubError(f"the hub has no model {repository} that you may see", hint=_NOT_FOUND_HINT) from None
    except Exception as error:  # a dozen types of three libraries; all mean that the hub did not answer
        refusal = error if isinstance(error, HubError) else HubError(f"cannot fetch the model {name}: {_line(error)}")
        if cached is None:
            raise refusal from None
        where = f"using commit {cached.name} from the cache, which may not be the newest"
        _log.warning("%s; %s", refusal.message, where)
        return cached
    patterns = [*SMALL_FILES, *weights_of(name, [entry.rfilename for entry in newest.siblings or ()], file)]
    folder = _download(name, repository, revision, patterns, file)
    if folder.name != newest.sha:
        # Without a word, the library takes an older commit from the cache where a connection breaks.
        raise HubError(f"the model {name} did not come whole", hint="run the same again")
    return folder


def is_offline() -> bool:
    """Whether the hub is not to be asked, by huggingface_hub's own variable."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}


def _offline_hint(name: str) -> str:
    """What to give instead of a hub model; a mistyped folder looks like the name of one."""
    parent = Path(name).parent
    beside = sorted(path.parent.name for path in parent.glob("*/config.json")) if parent != Path() else []
    if beside:
        return f"offline: give a local model folder; {parent} has {', '.join(beside)}"
    return "offline: give a local model folder, or try `replank quickstart`"


def _parts(name: str) -> tuple[str, str | None]:
    """The repository, and the revision if one is named."""
    match = HUB_NAME.fullmatch(name)
    if match is None:
        raise HubError(f"{name} is no name of a hub model", hint="expected OWNER/NAME or OWNER/NAME@REVISION")
    return match["repository"], match["revision"]


def _cached(repository: str, revision: str | None, file: str | None) -> Path | None:
    """The folder of the newest commit in the cache, if everything that is needed is in it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        folder = Path(
            snapshot_download(repository, revision=revision, allow_patterns=SMALL_FILES, local_files_only=True)
        )
        # It may hold the tokenizer alone, fetched by another program.
        return folder if is_whole(folder, file) else None
    except (HfHubHTTPError, ModelError, OSError, ValueError):
        return None


def _download(name: str, repository: str, revision: str | None, patterns: list[str], file: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
        # Of the same commit, whatever is pushed meanwhile.
        for rest in (files_of_artifact, partial(files_beside_graph, file=file)):
            if missing := [needed for needed in rest(folder) if not (folder / needed).exists()]:
                snapshot_download(repository, revision=folder.name, allow_patterns=missing)
        whole = is_whole(folder, file)
    except Exception as error:  # a dozen types of three libraries; all mean that the model did not come
        raise HubError(f"cannot fetch the model {name}: {_line(error)}", hint=_offline_hint(name)) from error
    if not whole:
        raise HubError(f"the hub does not have all files of {name} that it names", hint="tell its owner")
    return folder


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
