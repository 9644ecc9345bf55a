"""compose.yaml: the image as it must run, and its files where they are looked for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dockerfile import ROOT, values

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_the_server_is_the_image_of_the_dockerfile() -> None:
    server = SERVICES["server"]
    assert set(server["build"]["args"]) <= {value.partition("=")[0] for value in values("ARG")}
    assert [port.rpartition(":")[2] for port in server["ports"]] == values("EXPOSE")
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]


def test_nothing_listens_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_is_mounted_is_there_and_read_only() -> None:
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", ())]
    assert len(mounts) == 4
    for source, target, mode in mounts:
        assert (ROOT / source).is_file()
        assert target.startswith("/")
        assert mode == "ro"


def test_prometheus_collects_from_the_server() -> None:
    (job,) = yaml.safe_load((ROOT / "deploy/prometheus.yaml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"server:{values('EXPOSE')[0]}"]}]
    (source,) = yaml.safe_load((ROOT / "deploy/grafana/datasource.yaml").read_text(encoding="utf-8"))["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((ROOT / "deploy/grafana/provider.yaml").read_text(encoding="utf-8"))["providers"]
    assert any(provider["options"]["path"] in mount for mount in SERVICES["grafana"]["volumes"])


@pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed")
def test_compose_understands_it(tmp_path: Path) -> None:
    has_compose = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
    if not has_compose:
        pytest.skip("docker has no compose")
    command = [
        "docker",
        "compose",
        "--file",
        str(ROOT / "compose.yaml"),
        "--profile",
        "monitoring",
        "config",
        "--quiet",
    ]
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(tmp_path), "ARTIFACT": "out/int8"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
