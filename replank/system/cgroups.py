"""The quota of CPU time that the control groups (cgroups) around this process leave it.

Read here because psutil knows no quotas, and loky reads the root's only and so misses that of a nested cgroup, such as
a systemd service's with CPUQuota. Files and formats: cgroups(7), cgroup_namespaces(7), proc_pid_mountinfo(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_ROOT = PurePosixPath("/")


def cgroup_quota(root: Path = Path("/")) -> float | None:
    """The quota in cores, such as 1.5; ``None`` where there is no limit, or none that can be read.

    It is the least of this process's cgroup and of those above, as far as they are mounted here: in a container, its
    own and those in it. Where versions 1 and 2 are both mounted, both count.

    :param root: the folder that holds ``proc`` and the mounted file systems.
    """
    mounts, paths = _mounts(root), _paths(root)
    quotas: list[float] = []
    for version, read in ((1, _quota_1), (2, _quota_2)):
        points = [mount for mount in mounts if mount.version == version]
        path = paths.get(version, _ROOT)
        # A path outside every mount is that of another namespace, which tells nothing: the mounted cgroup counts.
        folders = {folder for mount in points for folder in mount.folders(path)} or {mount.point for mount in points}
        quotas += [quota for folder in folders if (quota := read(root / str(folder).lstrip("/"))) is not None]
    return min(quotas, default=None)


@dataclass(frozen=True)
class _Mount:
    """A hierarchy of cgroups, or a part of one, as a file system.

    :param version: of cgroups, 1 or 2.
    :param top: the cgroup that is seen at ``point``, by its path in the hierarchy.
    """

    version: int
    top: PurePosixPath
    point: PurePosixPath

    def folders(self, path: PurePosixPath) -> Iterator[PurePosixPath]:
        """The folders of a cgroup and of those above it, up to the top; none if it lies elsewhere."""
        if not path.is_relative_to(self.top):
            return
        below = path.relative_to(self.top)
        if ".." not in below.parts:
            yield from (self.point / part for part in (below, *below.parents))


# Where they are on every machine, for a sandbox whose kernel does not tell.
_USUAL_MOUNTS = (
    _Mount(2, _ROOT, PurePosixPath("/sys/fs/cgroup")),
    _Mount(1, _ROOT, PurePosixPath("/sys/fs/cgroup/cpu")),
)


def _mounts(root: Path) -> tuple[_Mount, ...]:
    """All mounts of cgroups that can limit CPU time."""
    found = []
    for line in _lines(root / "proc/self/mountinfo"):
        # 31 23 0:28 TOP POINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS
        place, _, kind = line.partition(" - ")
        places, kinds = place.split(" "), kind.split(" ")
        if len(places) < 6 or len(kinds) < 3:
            continue
        top, point = (PurePosixPath(_unescaped(text)) for text in places[3:5])
        if kinds[0] == "cgroup2":
            found.append(_Mount(2, top, point))
        elif kinds[0] == "cgroup" and "cpu" in kinds[2].split(","):
            found.append(_Mount(1, top, point))
    return tuple(found) or _USUAL_MOUNTS


def _paths(root: Path) -> dict[int, PurePosixPath]:
    """The cgroups of this process that can limit CPU time, by their paths in the hierarchies."""
    paths: dict[int, PurePosixPath] = {}
    for line in _lines(root / "proc/self/cgroup"):
        # ID:CONTROLLERS:PATH; version 2 lists no controllers.
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path.startswith("/") and (not controllers or "cpu" in controllers.split(",")):
            paths[1 if controllers else 2] = PurePosixPath(path)
    return paths


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []


def _unescaped(text: str) -> str:
    r"""A path of mountinfo, where a space is ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), text)


def _quota_2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else _cores(quota, period)
    except (OSError, ValueError):
        return None


def _quota_1(folder: Path) -> float | None:
    try:
        quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii")
        return _cores(quota, (folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _cores(quota: str, period: str) -> float | None:
    """Microseconds of CPU time in each period of as many; a quota of -1 is none."""
    used, passed = int(quota), int(period)
    return used / passed if used > 0 and passed > 0 else None
