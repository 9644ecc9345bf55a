"""The cost of a training step of each method, in time and in memory, on a model of BERT-base's shape.

    python benchmarks/replacing_cost.py

Time: processor seconds of one thread for optimizer steps of the methods in turn, on the same batch, in one process;
module replacing at rates spread over its whole schedule. The predecessor's answers are kept from before the training,
but for "kd, asked at each step". Memory: the peak of a process per method, above what it held before the model was
made.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import click
import torch
from transformers import BertConfig, BertForSequenceClassification

from replank.system.environment import has_fast_bf16, machine, versions
from replank.tasks.kinds import KINDS
from replank_compress.methods.config import Start, SuccessorConfig
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.pkd import PkdConfig
from replank_compress.methods.soft_labels import TAUGHT
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.methods.truncate import TruncateConfig
from replank_compress.successor import initial_layers
from replank_compress.training.method import Method

RESULT = Path(__file__).parent / "results" / "replacing_cost.json"
SIZES = (2,) * 6
CONFIGS: dict[str, SuccessorConfig] = {
    "theseus": TheseusConfig(),
    "theseus, module regression": TheseusConfig(module_weight=1.0),
    "kd": KdConfig(),
    "kd, asked at each step": KdConfig(),
    "pkd": PkdConfig(),
    "truncate": TruncateConfig(),
}
ASKS_EACH_STEP = "kd, asked at each step"
PREDECESSOR = "fine-tuning of the predecessor"
_TOTAL = 1000


@click.command()
@click.option("--batch-size", default=16, show_default=True)
@click.option("--length", default=64, show_default=True)
@click.option(
    "--parts", default=8, show_default=True, help="Parts of the training, of each of which a step is measured."
)
@click.option("--rounds", default=2, show_default=True, help="Measurements of each; their median counts.")
def main(batch_size: int, length: int, parts: int, rounds: int) -> None:
    """Measure, print and keep."""
    memory = {name: _in_a_process(name, batch_size, length) for name in (PREDECESSOR, *CONFIGS)}
    # Two threads that wait for each other spend processor time on it.
    torch.set_num_threads(1)
    result = {
        "shape": {"layers": 12, "into": len(SIZES), "hidden": 768, "batch_size": batch_size, "length": length},
        "seconds": measure_time(batch_size, length, parts, rounds),
        "peak_bytes": memory,
        "bound_bytes": memory[PREDECESSOR] + successor_bytes(),
        "machine": asdict(machine()),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: result[name] for name in ("seconds", "peak_bytes", "bound_bytes")}, indent=2))


def measure_time(batch_size: int, length: int, parts: int, rounds: int) -> dict[str, Any]:
    """Seconds of processor time of each method's steps over its training, and the ratios to those of KD."""
    steps = {name: stepper(name, batch_size, length) for name in CONFIGS}
    seconds: dict[str, list[list[float]]] = {name: [[] for _ in range(parts)] for name in steps}
    for number, part in product(range(-1, rounds), range(parts)):
        for name, step in steps.items():
            start = time.process_time()
            # In the middle of each part.
            step(int((part + 0.5) / parts * _TOTAL))
            if number >= 0:
                seconds[name][part].append(time.process_time() - start)
    means = {name: statistics.mean(map(statistics.median, values)) for name, values in seconds.items()}
    return {
        "parts": seconds,
        "mean": means,
        "theseus_of_kd": means["theseus"] / means["kd"],
        "theseus_of_kd_asked_at_each_step": means["theseus"] / means[ASKS_EACH_STEP],
        "module_regression_of_theseus": means["theseus, module regression"] / means["theseus"],
    }


def stepper(name: str, batch_size: int, length: int) -> Callable[[int], None]:
    """A function that does one optimizer step of a method, as if so many had been done before."""
    torch.manual_seed(0)
    predecessor = BertForSequenceClassification(BertConfig())
    method = make_method(name, predecessor)
    optimizer = torch.optim.AdamW([p for p in method.model.parameters() if p.requires_grad], lr=1e-5)
    ids = torch.randint(1000, 20000, (batch_size, length))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.randint(2, (batch_size,))}
    if name not in (PREDECESSOR, "truncate", ASKS_EACH_STEP):
        inputs[TAUGHT] = torch.randn(batch_size, 2)

    def step(at: int) -> None:
        method.model.train()
        if method.before_step(at, _TOTAL):
            with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16()):
                loss = method.loss(method.model, inputs)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(method.model.parameters(), 1.0)
            optimizer.step()
        optimizer.zero_grad()

    return step


def make_method(name: str, predecessor: Any) -> Method:
    """A method on 12 layers into 6."""
    if name == PREDECESSOR:
        return Method(predecessor)
    layers = initial_layers(predecessor, SIZES, "first")
    start = Start(KINDS["classification"], predecessor, predecessor, layers, SIZES, name == ASKS_EACH_STEP)
    return CONFIGS[name].method(start)


def successor_bytes() -> int:
    """Bytes of weights and optimizer state of the successor's layers: what the bound allows on top of fine-tuning."""
    layers = BertForSequenceClassification(BertConfig(num_hidden_layers=len(SIZES))).bert.encoder.layer
    numbers = sum(parameter.numel() for parameter in layers.parameters())
    return numbers * 4 * 3


def _in_a_process(name: str, batch_size: int, length: int) -> int:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(peak_bytes, (name, batch_size, length))


def peak_bytes(name: str, batch_size: int, length: int) -> int:
    """Bytes by which a method's steps, over its whole schedule, raise the peak memory of this process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = stepper(name, batch_size, length)
    for part in range(8):
        step(int((part + 0.5) / 8 * _TOTAL))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


if __name__ == "__main__":
    main()
