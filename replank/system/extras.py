"""Optional packages are met at the door: if one is missing, the error says how to install it."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata, version

from replank.system.errors import MissingExtraError


def require(*packages: str) -> None:
    """Make sure that packages of replank's extras are installed.

    The install line is read from replank's own metadata, so that it cannot go out of date.

    :param packages: distribution names, such as ``"onnxruntime"``.
    :raises MissingExtraError: one is not installed.
    """
    missing = [package for package in packages if installed_version(package) is None]
    if missing:
        raise missing_extra(*missing)


def missing_extra(*packages: str) -> MissingExtraError:
    """The error that says how to install packages."""
    extras = {extra for extra in map(_extra_of, packages) if extra}
    hint = f'pip install "replank[{",".join(sorted(extras))}]"' if extras else None
    return MissingExtraError(f"not installed: {', '.join(packages)}", hint=hint)


def installed_version(package: str) -> str | None:
    """The version of a distribution, or ``None`` where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _extra_of(package: str) -> str | None:
    """The first extra of replank that brings a distribution."""
    for requirement in metadata("replank").get_all("Requires-Dist") or []:
        match = re.match(r"([A-Za-z0-9._-]+).*extra == ['\"](\w+)['\"]", requirement)
        if match and match[1] == package:
            return match[2]
    return None
