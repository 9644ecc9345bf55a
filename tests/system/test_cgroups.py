"""The CPU quota of cgroups, on trees as hosts, services and containers have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from replank.system.cgroups import cgroup_quota

MOUNT_2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
MOUNT_1 = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct"
HYBRID = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
MEMORY = "34 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
DISK = "23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"


def quota_of(root: Path, membership: str, mounts: list[str], quotas: dict[str, str]) -> float | None:
    """The quota of a process.

    :param membership: the content of ``/proc/self/cgroup``.
    :param mounts: the lines of ``/proc/self/mountinfo``.
    :param quotas: "QUOTA PERIOD" by folder; version 1's where the folder is below ``cpu``.
    """
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership, encoding="utf-8")
    (root / "proc/self/mountinfo").write_text("\n".join([DISK, *mounts, ""]), encoding="utf-8")
    for name, content in quotas.items():
        folder = root / name.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        if "/cgroup/cpu" in name:
            quota, period = content.split()
            (folder / "cpu.cfs_quota_us").write_text(quota + "\n", encoding="ascii")
            (folder / "cpu.cfs_period_us").write_text(period + "\n", encoding="ascii")
        else:
            (folder / "cpu.max").write_text(content + "\n", encoding="ascii")
    return cgroup_quota(root)


SERVICE = "0::/system.slice/replank.service/worker\n"
SLICE = "/sys/fs/cgroup/system.slice"


@pytest.mark.parametrize(
    ("quotas", "quota"),
    [
        ({}, None),
        ({SLICE: "150000 100000"}, 1.5),  # the quota stands on the slice, and holds for all in it
        ({SLICE: "max 100000", f"{SLICE}/replank.service/worker": "50000 100000"}, 0.5),
        ({SLICE: "100000 100000", f"{SLICE}/replank.service": "300000 100000"}, 1.0),
        ({SLICE: "300000 100000", f"{SLICE}/replank.service": "20000 10000"}, 2.0),
        ({"/sys/fs/cgroup/user.slice": "10000 100000", f"{SLICE}/other.service": "10000 100000"}, None),
        ({f"{SLICE}/replank.service/worker/below": "10000 100000"}, None),
    ],
)
def test_the_least_on_the_way_up_counts(tmp_path: Path, quotas: dict[str, str], quota: float | None) -> None:
    assert quota_of(tmp_path, SERVICE, [MOUNT_2], quotas) == quota


@pytest.mark.parametrize(
    ("membership", "mounts", "quotas", "quota"),
    [
        pytest.param("0::/\n", [MOUNT_2], {"/sys/fs/cgroup": "200000 100000"}, 2.0, id="docker, 2"),
        pytest.param(
            "0::/a/b\n",
            [MOUNT_2],
            {"/sys/fs/cgroup": "200000 100000", "/sys/fs/cgroup/a": "70000 100000"},
            0.7,
            id="docker, 2, systemd inside",
        ),
        pytest.param(
            "0::/docker/c1/inner\n",
            ["29 23 0:26 /docker/c1 /sys/fs/cgroup ro - cgroup2 cgroup rw"],
            {"/sys/fs/cgroup": "max 100000", "/sys/fs/cgroup/inner": "250000 100000"},
            2.5,
            id="docker, 2, the host's namespace",
        ),
        pytest.param(
            "4:cpu,cpuacct:/docker/c1/inner\n2:memory:/docker/c1\n",
            ["33 31 0:30 /docker/c1 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct", MEMORY],
            {"/sys/fs/cgroup/cpu,cpuacct": "300000 100000", "/sys/fs/cgroup/cpu,cpuacct/inner": "150000 100000"},
            1.5,
            id="docker, 1",
        ),
        pytest.param(
            "4:cpu,cpuacct:/\n0::/\n",
            [MOUNT_1, HYBRID],
            {"/sys/fs/cgroup/cpu,cpuacct": "50000 100000"},
            0.5,
            id="docker, 1, private namespace",
        ),
        pytest.param(
            "0::/kubepods.slice/kubepods-pod1.slice/cri-1.scope\n",
            [MOUNT_2],
            {
                "/sys/fs/cgroup/kubepods.slice": "1200000 100000",
                "/sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice": "400000 100000",
                "/sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice/cri-1.scope": "max 100000",
            },
            4.0,
            id="a pod's quota, seen from its host",
        ),
        pytest.param(
            "3:cpu,cpuacct:/kubepods/burstable/pod1/c1\n",
            ["33 31 0:30 /kubepods/burstable/pod1/c1 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct"],
            {"/sys/fs/cgroup/cpu,cpuacct": "325000 100000"},
            3.25,
            id="kubernetes, 1",
        ),
        pytest.param(
            "0::/../c2\n",
            ["29 23 0:26 /.. /sys/fs/cgroup ro - cgroup2 cgroup rw"],
            {"/sys/fs/cgroup": "400000 100000", "/sys/fs/cgroup/c2": "100000 100000"},
            1.0,
            id="mounted above the namespace",
        ),
        pytest.param(
            "0::/../elsewhere\n", [MOUNT_2], {"/sys/fs/cgroup": "200000 100000"}, 2.0, id="outside the namespace"
        ),
        pytest.param(
            "0::/docker/c1\n",
            ["29 23 0:26 /docker/c2 /sys/fs/cgroup ro - cgroup2 cgroup rw"],
            {"/sys/fs/cgroup": "200000 100000"},
            2.0,
            id="outside the mount",
        ),
        pytest.param(
            "0::/mine\n",
            [MOUNT_2, "50 23 0:26 /theirs /mnt/theirs rw - cgroup2 cgroup rw"],
            {"/sys/fs/cgroup/mine": "200000 100000", "/mnt/theirs": "10000 100000"},
            2.0,
            id="another's cgroup is mounted too",
        ),
        pytest.param(
            "4:cpu,cpuacct:/service\n1:name=systemd:/service\n0::/service\n",
            [MOUNT_1, HYBRID, MEMORY],
            {"/sys/fs/cgroup/cpu,cpuacct/service": "300000 100000", "/sys/fs/cgroup/unified/service": "200000 100000"},
            2.0,
            id="hybrid: both count",
        ),
        pytest.param(
            "0::/service\n",
            [r"29 23 0:26 / /my\040groups rw - cgroup2 cgroup rw"],
            {"/my groups/service": "200000 100000"},
            2.0,
            id="mounted elsewhere, with a space",
        ),
        pytest.param("0::/a:b\n", [MOUNT_2], {"/sys/fs/cgroup/a:b": "200000 100000"}, 2.0, id="a colon in the path"),
        pytest.param(
            "0::/gone (deleted)\n", [MOUNT_2], {"/sys/fs/cgroup": "200000 100000"}, 2.0, id="a deleted cgroup"
        ),
    ],
)
def test_a_cgroup_is_found_where_it_is_mounted(
    tmp_path: Path, membership: str, mounts: list[str], quotas: dict[str, str], quota: float
) -> None:
    assert quota_of(tmp_path, membership, mounts, quotas) == quota


@pytest.mark.parametrize(
    "content", ["", "max 100000", "200000", "one two", "1 2 3", "0 100000", "-1 100000", "1 0", "max"]
)
def test_what_is_no_quota_limits_nothing(tmp_path: Path, content: str) -> None:
    assert quota_of(tmp_path, "0::/a\n", [MOUNT_2], {"/sys/fs/cgroup/a": content}) is None


@pytest.mark.parametrize("content", ["-1 100000", "0 100000", "x 100000", "100000 0", "100000 x"])
def test_what_is_no_quota_of_version_1_limits_nothing(tmp_path: Path, content: str) -> None:
    folder = "/sys/fs/cgroup/cpu,cpuacct"
    assert quota_of(tmp_path, "4:cpu,cpuacct:/a\n", [MOUNT_1], {f"{folder}/a": content}) is None
    assert quota_of(tmp_path / "b", "4:cpu,cpuacct:/a\n", [MOUNT_1], {f"{folder}/a": content, folder: "3 2"}) == 1.5


@pytest.mark.parametrize("membership", ["", "not a line\n", "4:memory:/other\n", "0::\n"])
def test_without_a_path_the_mounted_cgroup_counts(tmp_path: Path, membership: str) -> None:
    quotas = {"/sys/fs/cgroup": "200000 100000", "/sys/fs/cgroup/other": "10000 100000"}
    assert quota_of(tmp_path, membership, [MOUNT_2], quotas) == 2.0


@pytest.mark.parametrize("mounts", [[], ["cgroup2"], ["29 23 0:26 / - cgroup2 cgroup rw"]])
def test_without_known_mounts_the_usual_ones_count(tmp_path: Path, mounts: list[str]) -> None:
    assert quota_of(tmp_path, "0::/a\n", mounts, {"/sys/fs/cgroup/a": "200000 100000"}) == 2.0
    quotas = {"/sys/fs/cgroup/cpu/a": "100000 100000"}
    assert quota_of(tmp_path / "1", "4:cpu:/a\n", mounts, quotas) == 1.0


def test_without_files_there_is_no_quota(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path) is None
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    assert cgroup_quota(tmp_path) is None
    (tmp_path / "sys/fs/cgroup/cpu.max").mkdir()
    assert cgroup_quota(tmp_path) is None
