"""Embedding models and their successors, made without labels; and a reranker with its successor; each in INT8 too.

    python benchmarks/embeddings.py --data DATA --model minilm=MODEL --seed 1

DATA holds `stsb` (pairs with a score) and `wikiqa` (passages by query) beside the folders of TEXTS, whose texts, mixed,
are what successors learn from: none of STS-B's. Every method takes equal steps over the same texts in the same order.
A cell that is done is not done again: each is a JSON in benchmarks/results/embeddings. Stopped, the same command
resumes.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

import replank
from replank.data.tables import read_table
from replank.models.artifact import Artifact
from replank.models.manifest import MANIFEST
from replank.models.training_facts import TrainingFacts
from replank.system.environment import machine, versions

RESULTS = Path(__file__).parent / "results" / "embeddings"
# The folders of texts, with the columns that hold some.
TEXTS = {
    "qnli_10k": ("question", "sentence", "sentence1", "sentence2"),
    "qqp_10k": ("question1", "question2", "sentence1", "sentence2"),
    "mnli_10k": ("premise", "hypothesis", "sentence1", "sentence2"),
    "mrpc": ("sentence1", "sentence2"),
    "rte": ("sentence1", "sentence2"),
    "sst2_sent": ("sentence",),
    "sst2_glue": ("sentence",),
    "mr": ("sentence",),
    "cola": ("sentence",),
    "wikiqa": ("query", "passage"),
}
SCORED = {"stsb": "spearman", "wikiqa": "ndcg_at_10"}
_LONGEST = 300


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the data sets' folders.")
@click.option("--model", required=True, help="NAME=FOLDER of a sentence-transformers model.")
@click.option("--seed", "seeds", type=int, multiple=True, default=(1,), show_default=True)
@click.option("--texts", default=100_000, show_default=True, help="Texts to learn from.")
@click.option("--epochs", default=2.0, show_default=True)
@click.option("--learning-rate", default=3e-4, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=Path("embeddings-work"), show_default=True)
def main(
    data: Path, model: str, seeds: Iterable[int], texts: int, epochs: float, learning_rate: float, work: Path
) -> None:
    """Make the models that are not done yet, and score them."""
    name, folder = model.split("=", 1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    mixed = work / f"texts-{texts}.jsonl"
    if not mixed.exists():
        write_texts(data, mixed, texts)
    once(f"{name}-predecessor", lambda: scores(folder, data))
    for seed in seeds:
        shared: dict[str, Any] = {"epochs": epochs, "learning_rate": learning_rate, "seed": seed}
        answers: dict[str, Any] = {"answers": work / f"{name}-{texts}.answers"}
        methods = {
            "theseus": replank.Theseus(**shared, **answers),
            "kd": replank.Kd(**shared, **answers),
            "truncate": replank.Truncate(**shared),
        }
        for method, config in methods.items():
            cell = f"{name}-{method}-{seed}"
            once(cell, partial(compressed, folder, work / cell, config, mixed, data))
        once(f"{name}-int8-{seed}", partial(quantized, work / f"{name}-theseus-{seed}", data))
        rerankers(name, folder, data, work, seed)


def rerankers(name: str, folder: str, data: Path, work: Path, seed: int) -> None:
    """A reranker of the same encoder, its successor and that in INT8, on the test split of WikiQA."""
    passages = replank.Data(dataset="wikiqa", data=data / "wikiqa", task="reranker")
    first, second = (work / f"{name}-reranker-{part}-{seed}" for part in ("predecessor", "successor"))

    def tuned() -> dict[str, Any]:
        if not (first / MANIFEST).exists():
            replank.finetune(folder, first, replank.Finetune(seed=seed, epochs=2, learning_rate=1e-4), data=passages)
        return facts_of(Artifact.open(first))

    def replaced() -> dict[str, Any]:
        if not (second / MANIFEST).exists():
            replank.compress(first, second, replank.Theseus(seed=seed, epochs=3), data=passages)
        return facts_of(Artifact.open(second))

    def int8() -> dict[str, Any]:
        onnx, small = second.with_name(f"{second.name}-onnx"), second.with_name(f"{second.name}-int8")
        if not (onnx / MANIFEST).exists():
            replank.export(second, onnx, data=passages)
        if not (small / MANIFEST).exists():
            replank.quantize(onnx, small, data=passages)
        return facts_of(Artifact.open(small))

    once(f"{name}-reranker-predecessor-{seed}", tuned)
    once(f"{name}-reranker-successor-{seed}", replaced)
    once(f"{name}-reranker-int8-{seed}", int8)


def once(cell: str, make: Callable[[], dict[str, Any]]) -> None:
    """Keep the result of a cell, unless it is there."""
    path = RESULTS / f"{cell}.json"
    if path.exists():
        return
    before = os.times()
    values = make()
    after = os.times()
    spent = {"processor_seconds": round(after.user + after.system - before.user - before.system, 1)}
    values |= spent | {"machine": asdict(machine()), "versions": versions()}
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{cell}: {json.dumps(values['metrics'])}", err=True)


def write_texts(data: Path, path: Path, count: int) -> None:
    """A table of texts from all data sets, mixed."""
    found: dict[str, None] = {}
    for folder, columns in TEXTS.items():
        table = read_table(data / folder / "train.tsv")
        for column in columns:
            if column in table.columns:
                found |= dict.fromkeys(text.strip() for text in table.texts(column) if 0 < len(text.strip()) < _LONGEST)
    texts = list(found)
    random.Random(0).shuffle(texts)  # noqa: S311 - an order, no secret
    lines = [json.dumps({"text": text}) for text in texts[:count]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def scores(model: str | Path, data: Path) -> dict[str, Any]:
    """The metrics of a model on the test splits, by data set."""
    found = {name: replank.evaluate(model, data=replank.Data(data=data / name), split="test") for name in SCORED}
    return {"metrics": {name: quality.metrics for name, quality in found.items()}}


def compressed(folder: str, out: Path, config: Any, texts: Path, data: Path) -> dict[str, Any]:
    """A successor: how it was made, and its metrics."""
    if not (out / MANIFEST).exists():
        replank.compress(folder, out, config, data=replank.Data(train=texts))
    return facts_of(Artifact.open(out)) | scores(out, data)


def quantized(folder: Path, data: Path) -> dict[str, Any]:
    """A model in INT8, kept to half a point of STS-B's dev split."""
    onnx, small = folder.with_name(f"{folder.name}-onnx"), folder.with_name(f"{folder.name}-int8")
    pairs = replank.Data(data=data / "stsb")
    if not (onnx / MANIFEST).exists():
        replank.export(folder, onnx, data=pairs)
    if not (small / MANIFEST).exists():
        replank.quantize(onnx, small, data=pairs)
    return facts_of(Artifact.open(small)) | scores(small, data)


def facts_of(artifact: Artifact) -> dict[str, Any]:
    """How an artifact was made, and the metrics of its manifest."""
    manifest = artifact.manifest
    made_by = manifest.made_by
    training = made_by.facts if isinstance(made_by.facts, TrainingFacts) else None
    return {
        "metrics": manifest.quality.metrics if manifest.quality else {},
        "config": made_by.config,
        "seconds": made_by.seconds,
        "digest": manifest.digest,
        **({"steps": training.steps, "best_dev": training.best_dev} if training else {}),
    }


if __name__ == "__main__":
    main()
