"""The block of the docs on GPUs: that nothing was measured on one, or what was."""

from __future__ import annotations

from typing import Any

from block_text import RESULTS, paragraph, read_result
from replank.benchmarking.result import Benchmark


def gpu_block(name: str) -> str:
    """Latency in fp16 beside torch's; what the numbers are worth; what the server makes of it."""
    if not (RESULTS / f"{name}.json").exists():
        return "Nothing was measured on a GPU yet. `python benchmarks/gpu.py` does it in one command."
    return gpu_table(read_result(name))


def gpu_table(result: dict[str, Any]) -> str:
    """The block of a result."""
    parts, device = result["parts"], result["device"]
    lines = [*_speed_lines(parts["speed"])] if "speed" in parts else []
    told = [_numbers(parts["numbers"])] if "numbers" in parts else []
    told += [_sessions(parts["sessions"])] if "sessions" in parts else []
    told += [_serving(parts["serving"])] if "serving" in parts else []
    versions = result["versions"]
    libraries = [name for name in ("torch", "transformers", "onnxruntime", "onnxruntime-gpu") if name in versions]
    told.append(f"Measured on {device['name']}; " + ", ".join(f"{name} {versions[name]}" for name in libraries) + ".")
    return "\n".join([*lines, *([""] if lines else []), paragraph(" ".join(told))])


def _speed_lines(speed: dict[str, Any]) -> list[str]:
    benchmark = Benchmark.from_json(speed)
    names = [model.name for model in benchmark.models]
    lines = [
        "| batch x tokens | " + " | ".join(f"{name}, ms" for name in names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for shape in benchmark.shapes:
        cells = {cell.model: f"{cell.p50_ms:.2f} ({cell.ratio.median:.2f}x)" for cell in benchmark.at(shape)}
        lines.append(f"| {shape.batch_size} x {shape.length} | " + " | ".join(cells[name] for name in names) + " |")
    return lines


def _numbers(numbers: dict[str, Any]) -> str:
    shown = []
    for precision in ("fp32", "fp16"):
        found = numbers[precision]
        side = "within" if found["within"] else "beyond"
        shown.append(f"{precision} by {found['max_abs']:.1e} ({side} {found['tolerance']:.0e})")
    return f"Logits differ from torch's in fp32 on the CPU: {', '.join(shown)}."


def _sessions(sessions: dict[str, Any]) -> str:
    first = sessions["shapes"][0]
    ways = {way: values["ratio"]["estimate"] for way, values in first["ways"].items() if way != "plain"}
    shown = ", ".join(f"{way} {ratio:.2f}x" for way, ratio in ways.items())
    return f"Of a plain run's speed at {first['batch_size']} x {first['length']}: {shown}."


def _serving(serving: dict[str, Any]) -> str:
    rows = [row for row in serving["rounds"] if row["way"] == "server"]
    most = max(row["clients"] for row in rows)
    best = max(row["per_second"] for row in rows if row["clients"] == most)
    return f"The server answers {best:.0f} texts a second of {most} clients."
