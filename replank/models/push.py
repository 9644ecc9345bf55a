"""Publishing: an artifact to the Hugging Face hub, byte for byte, in one commit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from replank.models.hub import require_hub
from replank.models.manifest import MANIFEST, MODEL_FILES, Manifest
from replank.system.errors import HubError, UsageError

_LOGIN_HINT = "make a token with write permission at https://huggingface.co/settings/tokens, then: hf auth login"
_REFUSALS = {
    401: "the hub does not know the token",
    403: "the token may not write to {name}",
    404: "the hub has no {name} that the token may see",
}


def push(manifest: Manifest, folder: Path, name: str, *, private: bool = False, revision: str | None = None) -> str:
    """Upload the files of a checked artifact, making the repository where there is none.

    The repository's files of other names stay, but for weights of the other kind: a folder holds one model.

    :param private: make it private; a public one that is there is refused.
    :param revision: the branch, made where there is none; ``None`` for the main one.
    :returns: the address of the commit.
    :raises HubError: no token, one that may not write there, or a hub that cannot be reached.
    """
    token = _token()
    require_hub(f"to push to {name}", hint="is there a network, and is HF_ENDPOINT right where it is set?")
    try:
        return _upload(manifest, folder, name, token, private, revision)
    except HubError:
        raise
    except Exception as error:  # a dozen types of three libraries; all mean that nothing was committed
        refusal = _refusal(error, name, token)
    # Out here it has no context, whose text and headers are nobody's to show, not even with --debug.
    raise refusal


def require_name(name: str) -> None:
    """Refuse a name that no repository of an owner could have.

    :raises UsageError: not ``OWNER/NAME``.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UsageError(str(error), hint="expected OWNER/NAME, such as ada/tweets-int8") from None
    if "/" not in name:
        raise UsageError(f"{name} has no owner", hint=f"expected OWNER/NAME, such as ada/{name}")


def _token() -> str:
    from huggingface_hub import get_token

    token = get_token()
    if not token:
        raise HubError("pushing needs a token of the hub", hint="hf auth login, or set HF_TOKEN")
    # Another character would end in an error of the HTTP library that shows the whole header.
    if not re.fullmatch("[!-~]+", token):
        raise HubError("the token of the hub holds characters that no token has", hint=_LOGIN_HINT)
    return token


def _upload(manifest: Manifest, folder: Path, name: str, token: str, private: bool, revision: str | None) -> str:
    from huggingface_hub import HfApi

    hub = HfApi(token=token)
    # Where nothing is asked, the owner's settings decide.
    hub.create_repo(name, private=private or None, exist_ok=True)
    if private and not hub.model_info(name).private:
        raise HubError(
            f"{name} is there already, and public", hint="choose another name, or make it private in its settings"
        )
    if revision:
        hub.create_branch(name, branch=revision, exist_ok=True)
    commit: Any = hub.upload_folder(
        repo_id=name,
        folder_path=folder,
        allow_patterns=[MANIFEST, *manifest.files],
        delete_patterns=list(MODEL_FILES.values()),
        revision=revision,
        commit_message=f"{manifest.made_by.stage}: {manifest.kind} {manifest.precision}, {manifest.digest[:12]}",
    )
    return str(commit.commit_url)


def _refusal(error: Exception, name: str, token: str) -> HubError:
    """The hub's answer in our words where it is about the token, and in its own elsewhere."""
    cause: BaseException | None = error
    while cause is not None and not hasattr(cause, "response"):
        cause = cause.__cause__
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status in _REFUSALS:
        return HubError(_REFUSALS[status].format(name=name), hint=_LOGIN_HINT)
    return HubError(f"cannot push to {name}: {str(error).replace(token, '…')}")
