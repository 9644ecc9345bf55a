"""All that needs a GPU, in one command: whether CUDA starts, what it computes, how fast, and how it is served.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu --tiny --out gpu.json    the same code without a GPU, on tiny models

It needs the extras gpu, export, serve, bench and demo, and a torch with CUDA. Models have BERT-base's shape, 12 and 6
layers, with random weights and a seed, as the speed depends on the shape only. It is meant for 8 minutes of an H100.
Each part is a JSON file in --work and is not done again on the same device: stopped, the same command goes on; --part
does some of them. The result, with the device's name, is benchmarks/results/gpu.json.

With --data and --encoder follow three seeds of the compression table, as by benchmarks/compression.py, whose trainings
take a GPU wherever torch finds one; its cells lie in benchmarks/results/compression_gpu.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch

from gpu_parts import PARTS, TINY, WHOLE, Bench
from replank.runtime.providers import PROVIDERS
from replank.system.environment import machine, processor, versions

RESULT = Path(__file__).parent / "results" / "gpu.json"
_SEEDS = (1, 2, 3)
# Of one GPU.
_TRAININGS = 4


@click.command(help=__doc__)
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--tiny", is_flag=True, help="Tiny models, short turns: to try the code.")
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Only this one; may be repeated.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("gpu-work"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, show_default=True)
@click.option("--data", type=click.Path(path_type=Path, exists=True), help="Of compression.py: folder of the tasks.")
@click.option("--encoder", help="Of compression.py: NAME=FOLDER.")
@click.option("--task", "tasks", multiple=True, default=("sst2_sent", "mrpc"), show_default=True, help="Likewise.")
def main(
    device: str,
    tiny: bool,
    parts: tuple[str, ...],
    work: Path,
    out: Path,
    data: Path | None,
    encoder: str | None,
    tasks: Iterable[str],
) -> None:
    """Do the parts that are not done, and write the result."""
    if device == "cuda":
        if missing := lacking():
            sys.exit(_refused(missing))
        os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([*library_folders(), os.environ.get("LD_LIBRARY_PATH", "")])
    facts = device_facts(device)
    bench = Bench(device, work, TINY if tiny else WHOLE)
    done, failed = {}, {}
    for name in parts or PARTS:
        try:
            done[name] = do_part(name, partial(PARTS[name], bench), facts, work)
        except Exception as error:  # a GPU's time is dear: the other parts are worth it
            failed[name] = f"{type(error).__name__}: {error}"
            click.echo(f"{name}: {failed[name]}", err=True)
    result = {
        "device": facts,
        "parts": done,
        "failed": failed,
        "machine": asdict(machine()),
        "versions": versions(),
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if data and encoder:
        compress(data, encoder, tasks)
    sys.exit(1 if failed else 0)


def lacking() -> list[str]:
    """What is missing to use a GPU from torch and ONNX Runtime."""
    found = []
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        found.append("the NVIDIA driver (libcuda.so.1)")
    if PROVIDERS["cuda"].missing:
        found.append("onnxruntime-gpu (replank[gpu], in place of onnxruntime)")
    if torch.version.cuda is None:
        found.append("torch with CUDA")
    elif not torch.cuda.is_available():
        found.append("a GPU that torch can use")
    return found


def _refused(missing: list[str]) -> int:
    """Say what is missing, and how the code is tried without it; the exit code."""
    click.echo(f"error: no GPU can be measured here; missing: {', '.join(missing)}", err=True)
    click.echo("hint: --device cpu --tiny runs the same code on the CPU", err=True)
    return 2


def library_folders() -> list[str]:
    """Folders of the CUDA libraries that torch brought, for processes in which torch does not load them itself."""
    package = importlib.util.find_spec("nvidia")
    roots = package.submodule_search_locations or () if package else ()
    return [str(folder) for root in roots for folder in sorted(Path(root).glob("*/lib"))]


def device_facts(device: str) -> dict[str, Any]:
    """What the numbers were measured on."""
    if device == "cpu":
        return {"device": device, "name": processor().cpu}
    found = torch.cuda.get_device_properties(0)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        driver = None
    return {
        "device": device,
        "name": found.name,
        "memory_gib": round(found.total_memory / 2**30, 1),
        "capability": f"{found.major}.{found.minor}",
        "driver": driver,
        "cuda_of_torch": torch.version.cuda,
    }


def do_part(name: str, part: Callable[[], dict[str, Any]], device: dict[str, Any], work: Path) -> dict[str, Any]:
    """A part's result: what was kept of it, if that is of this device, or what it gives now."""
    file = work / f"{name}.json"
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["device"] == device:
            click.echo(f"{name}: done before", err=True)
            return dict(kept["result"])
    click.echo(f"{name}: begins", err=True)
    start = time.monotonic()
    result = part() | {"seconds": round(time.monotonic() - start, 1)}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"device": device, "result": result}, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{name}: {result['seconds']} s", err=True)
    return result


def compress(data: Path, encoder: str, tasks: Iterable[str]) -> None:
    """Train the cells of the compression table that are not there yet."""
    program = [sys.executable, str(Path(__file__).with_name("compression.py"))]
    options = ["--data", str(data), "--encoder", encoder, "--results", "compression_gpu", "--jobs", str(_TRAININGS)]
    repeated = [word for task in tasks for word in ("--task", task)]
    seeds = [word for seed in _SEEDS for word in ("--seed", str(seed))]
    subprocess.run([*program, *options, *repeated, *seeds], check=True)


if __name__ == "__main__":
    main()
