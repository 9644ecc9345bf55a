"""The Dockerfile without a container engine: its own steps in bare root file systems, then its own entry point.

    python tests/support/replay.py ARTIFACT [--runtime cpu] [--keep FOLDER]

Needs root and debootstrap. What an engine would do is done by its means: a root file system a stage, network
only while building, read-only afterwards, the user, the environment, the process as number 1 of its own namespace.
The base image is Debian with its own Python, as python:slim is Debian with another.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from dockerfile import ROOT, instructions
from waiting import HANG_SECONDS

BASE = Path(tempfile.gettempdir()) / "replank-container-base"
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8"}
_NETWORK = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
_SERVE = """set -e
mount --bind "$0" "$0"; cd "$0"
mount -t tmpfs none dev; mknod -m 666 dev/null c 1 3; mknod -m 444 dev/urandom c 1 9; mkdir dev/shm
mount -t tmpfs -o mode=1777 none dev/shm; mount -t proc none proc
mount -o remount,ro,bind "$0"
ip link set lo up
exec chroot --userspec="$1" . "${@:2}"
"""


@dataclass
class Stage:
    """An image in the making."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(_ENVIRONMENT))
    folder: str = "/"
    user: str = "0"
    healthcheck: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"

    @property
    def owner(self) -> str:
        """User and group, by their numbers."""
        return f"{self.user}:{self.user}"


def base_image() -> Path:
    """Debian with Python, made once."""
    if not (BASE / "complete").exists():
        shutil.rmtree(BASE, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(BASE)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for name in ("python", "pip"):
            (BASE / "usr" / "local" / "bin" / name).symlink_to(f"/usr/bin/{name}3")
        (BASE / "complete").touch()
    return BASE


def build(artifact: Path, work: Path, arguments: dict[str, str]) -> Stage:
    """Every step up to the last, in order.

    :param artifact: stands at ``model`` in the build's context.
    :param arguments: of ``--build-arg``.
    :returns: the last stage, which is the image.
    """
    stages: dict[str, Stage] = {}
    known: dict[str, str] = {}
    stage = Stage(work)
    work.mkdir(parents=True, exist_ok=True)
    for name, value in instructions():
        if name == "FROM":
            _, _, alias = value.partition(" AS ")
            stage = stages[alias] = Stage(work / (alias or "image"))
            subprocess.run(["cp", "-a", "--reflink=auto", str(base_image()), str(stage.root)], check=True)
        elif name == "ARG":
            argument, _, default = value.partition("=")
            known[argument] = arguments.get(argument, default)
        elif name == "COPY":
            _copy(stage, stages, Template(value).safe_substitute(known).split(), artifact)
        elif name == "RUN":
            run_step(stage, value, known)
        else:
            _set(stage, name, value)
    return stage


@contextmanager
def running(stage: Stage, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The entry point: alone with its files, which it cannot write, its processes, and its own loopback."""
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "-c", _SERVE]
    command += [str(stage.root), stage.owner, *stage.entrypoint, *arguments]
    process = subprocess.Popen(command, env=stage.environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def first_process(process: subprocess.Popen[str]) -> int:
    """The entry point's process, by its number outside."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + HANG_SECONDS
    while not (found := children.read_text(encoding="ascii").split()) and time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the entry point ended: {process.stderr.read() if process.stderr else ''}")
        time.sleep(0.01)
    return int(found[0])


def execute(stage: Stage, process: subprocess.Popen[str], *command: str) -> subprocess.CompletedProcess[str]:
    """A command beside the entry point, as ``docker exec`` runs it and as health checks are run."""
    spaces = ["nsenter", "--target", str(first_process(process)), "--mount", "--net", "--pid"]
    inside = ["chroot", f"--userspec={stage.owner}", str(stage.root), *command]
    return subprocess.run([*spaces, *inside], env=stage.environment, capture_output=True, text=True, check=False)


def wait_until_healthy(stage: Stage, process: subprocess.Popen[str], seconds: float = HANG_SECONDS) -> float:
    """Ask the image's own health check until it passes, and say after how many seconds it did."""
    started = time.monotonic()
    while execute(stage, process, *stage.healthcheck).returncode:
        if process.poll() is not None or time.monotonic() - started > seconds:
            process.kill()
            raise SystemExit(f"the image never became healthy: {process.stderr.read() if process.stderr else ''}")
        time.sleep(0.2)
    return time.monotonic() - started


def stop(stage: Stage, process: subprocess.Popen[str]) -> int:
    """Stop it as an engine does, and give the exit code."""
    os.kill(first_process(process), getattr(signal, stage.stop_signal))
    return process.wait(HANG_SECONDS)


def size_mb(root: Path, *folders: str) -> float:
    """Megabytes of some folders of a stage."""
    found = subprocess.run(
        ["du", "-s", "--block-size=1000", *(str(root / name) for name in folders)],
        capture_output=True,
        text=True,
        check=True,
    )
    return sum(int(line.split()[0]) for line in found.stdout.splitlines()) / 1000


def _set(stage: Stage, name: str, value: str) -> None:
    """An instruction that writes down what holds from here on."""
    if name == "ENV":
        for part in shlex.split(value):
            variable, _, content = part.partition("=")
            stage.environment[variable] = Template(content).safe_substitute(stage.environment)
    elif name == "WORKDIR":
        stage.folder = value
        _inside(stage, value).mkdir(parents=True, exist_ok=True)
    elif name == "HEALTHCHECK":
        stage.healthcheck = json.loads(value[value.index("[") :])
    elif name == "ENTRYPOINT":
        stage.entrypoint = json.loads(value)
    elif name in ("USER", "STOPSIGNAL"):
        setattr(stage, {"USER": "user", "STOPSIGNAL": "stop_signal"}[name], value)
    elif name != "EXPOSE":
        raise SystemExit(f"the replay does not know {name}")


def _copy(stage: Stage, stages: dict[str, Stage], words: list[str], artifact: Path) -> None:
    flags = dict(word[2:].split("=") for word in words if word.startswith("--"))
    *sources, target = (word for word in words if not word.startswith("--"))
    context = stages[flags["from"]].root if "from" in flags else ROOT
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    names = shutil.ignore_patterns(*(line.rpartition("/")[2] for line in ignored if line.startswith("**/")))
    for source in sources:
        origin = artifact if source == "model" else context / source.lstrip("/")
        goal = _inside(stage, target)
        if origin.is_dir():
            shutil.copytree(origin, goal, symlinks=True, ignore=None if "from" in flags else names, dirs_exist_ok=True)
        else:
            shutil.copy(origin, goal / origin.name if target.endswith("/") else goal)
        if owner := flags.get("chown"):
            subprocess.run(["chown", "-R", owner, str(goal)], check=True)


def run_step(stage: Stage, value: str, known: dict[str, str]) -> None:
    """A ``RUN`` of the Dockerfile; one that fails ends the build."""
    command = json.loads(value) if value.startswith("[") else ["/bin/sh", "-c", value]
    with _network(stage.root):
        enter = ["chroot", f"--userspec={stage.owner}", str(stage.root), "/usr/bin/env", f"--chdir={stage.folder}"]
        done = subprocess.run(
            [*enter, *command], env=known | stage.environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(f"RUN {value}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")


@contextmanager
def _network(root: Path) -> Iterator[None]:
    """The network's settings of this machine, which an engine lends a step for its time."""
    kept = {}
    for name in _NETWORK:
        path = root / name[1:]
        kept[path] = path.read_bytes() if path.exists() else None
        shutil.copyfile(name, path)
    yield
    for path, content in kept.items():
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)


def _inside(stage: Stage, path: str) -> Path:
    place = path if path.startswith("/") else f"{stage.folder}/{path}"
    return stage.root / re.sub(r"(^|/)\.(?=/|$)", r"\1", place).lstrip("/")


def main() -> None:
    """Build, serve, ask, stop; say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--runtime", choices=["cpu", "gpu"], default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="replank-container-") as folder:
        image = build(options.artifact.resolve(), Path(folder), {"RUNTIME": options.runtime})
        environment, model = size_mb(image.root, "opt/replank"), size_mb(image.root, "model")
        with running(image) as process:
            seconds = wait_until_healthy(image, process)
            code = stop(image, process)
    sys.stdout.write(
        f"{options.runtime}: environment {environment:.0f} MB, model {model:.1f} MB, beside python:slim; "
        f"healthy after {seconds:.1f} s; exit code {code}\n"
    )


if __name__ == "__main__":
    main()
