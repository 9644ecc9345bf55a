"""Packages of optional extras, and the error that says how to install a missing one."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata, version

from replank.system.errors import MissingExtraError


def require(*packages: str) -> None:
    """Refuse to go on without packages of replank's extras.

    :param packages: distribution names, such as ``"onnxruntime"``.
    :raises MissingExtraError: one is not installed.
    """
    missing = [package for package in packages if installed_version(package) is None]
    if missing:
        raise missing_extra(*missing)


def missing_extra(*packages: str) -> MissingExtraError:
    """The error that says how to install packages; the extras are read from replank's own metadata."""
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
    """The first extra of replank that brings a distribution, and not everything."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    replank = metadata("replank")
    for requirement in map(Requirement, replank.get_all("Requires-Dist") or []):
        if requirement.marker is None or canonicalize_name(requirement.name) != canonicalize_name(package):
            continue
        for extra in replank.get_all("Provides-Extra") or []:
            if extra != "all" and requirement.marker.evaluate({"extra": extra}):
                return str(extra)
    return None
