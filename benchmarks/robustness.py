"""BERT-Attack on a predecessor, its successors by each method, and INT8: the same texts, side by side.

    python benchmarks/robustness.py --data DATA --encoder ENCODER

DATA holds `mr` (`train`, `dev`, `test`) and `attack/mr.tsv`, the texts that TextFooler and BERT-Attack report on. Those
texts are taken out of all that is trained on, and what is left of an overlap is an error. The masked LM is trained
here, on the training texts of `mr` and `sst2_sent`, as by

    replank finetune ENCODER masked-lm --task masked-lm --data texts --text sentence --max-length 48

or is another one: --masked-lm. What is done is not done again: each model and each attack lies in --work. The result,
benchmarks/results/robustness.json, holds no text of the data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np

import replank
from interleaved import time_in_turn
from replank.data.config import DataConfig
from replank.data.tables import read_table
from replank.models.manifest import MANIFEST
from replank.models.source import open_source
from replank.robustness.config import AttackConfig
from replank.robustness.measures import loss_of_accuracy_after
from replank.robustness.result import AttackResult, read_attack
from replank.runtime.load import load_model
from replank.system.environment import machine, versions
from replank.system.typed_json import json_values
from replank_compress.methods.config import SuccessorConfig

RESULT = Path(__file__).parent / "results" / "robustness.json"
VICTIMS = ("predecessor", "theseus", "int8", "truncate", "kd", "augmented")
CANDIDATES = (4, 8, 16, 48)
# With the most candidates nearly all texts fool every model, which hides differences; with the fewest they show.
FEWEST, MOST = CANDIDATES[0], CANDIDATES[-1]
# Beside the predecessor, what the successor of module replacing is compared with.
COMPARED = (
    ("predecessor", "theseus"),
    ("truncate", "theseus"),
    ("kd", "theseus"),
    ("theseus", "int8"),
    ("augmented", "theseus"),
)
_SPEED_TEXTS = 256
# Training texts that are attacked for the successor that learns from them.
_AUGMENT_TEXTS = 500
_MASKED_LM_DEV = 200


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the data's folders.")
@click.option("--encoder", required=True, help="Folder or hub name.")
@click.option("--masked-lm", help="Folder or hub name; trained here if not given.")
@click.option("--rows", default=200, show_default=True, help="Texts to attack.")
@click.option("--epochs", default=3.0, show_default=True, help="Of the predecessor and the masked LM.")
@click.option("--compress-epochs", default=5.0, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=Path("robustness-work"), show_default=True)
def main(
    data: Path, encoder: str, masked_lm: str | None, rows: int, epochs: float, compress_epochs: float, work: Path
) -> None:
    """Train what is not trained yet, attack what is not attacked yet, and write the result."""
    overlap = write_texts(data, work)
    task = DataConfig(dataset="mr", data=work / "mr", text="sentence", max_length=64)
    folders = train(encoder, work, task, epochs, compress_epochs)
    proposer = Path(masked_lm) if masked_lm else train_masked_lm(encoder, work, epochs)
    train_sturdier(folders, proposer, work, task, compress_epochs)
    attacked = replace(task, data=None, test=work / "attacked" / "test.tsv")
    attacks = {}
    for count in CANDIDATES:
        names = VICTIMS if count in (FEWEST, MOST) else ("theseus",)
        out = work / f"attack-{count}.json"
        attacks[count] = attack([folders[name] for name in names], proposer, attacked, out, count, rows)
    whole = attacks[MOST]
    result = {
        "rows": len(whole.victims[0].texts),
        "overlap": overlap,
        "masked_lm": json_values(whole.masked_lm),
        "attacks": {str(count): compared(attacks[count]) for count in (FEWEST, MOST)},
        "transfer": dict(zip(VICTIMS, whole.transfer, strict=True)),
        "candidates": candidate_curve(list(attacks.values())),
        "batching": batching(folders["int8"], whole),
        "machine": asdict(machine()),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def write_texts(data: Path, work: Path) -> dict[str, int]:
    """Write the data without the attacked texts, however they are spelled.

    :returns: the number of rows taken out of each split, and of those that are left: 0, or this ends.
    """
    attacked = read_table(data / "attack" / "mr.tsv")
    keys = {key(text) for text in attacked.texts("sentence")}
    _write(work / "attacked" / "test.tsv", attacked.columns, [tuple(map(str, row)) for row in attacked.rows])
    taken = {}
    for split in ("train", "dev", "test"):
        table = read_table(data / "mr" / f"{split}.tsv")
        at = table.columns.index("sentence")
        kept = [tuple(map(str, row)) for row in table.rows if key(str(row[at])) not in keys]
        _write(work / "mr" / f"{split}.tsv", table.columns, kept)
        taken[split] = len(table) - len(kept)
    held_out = keys | {key(text) for text in read_table(data / "mr" / "test.tsv").texts("sentence")}
    sources = [read_table(data / name / "train.tsv").texts("sentence") for name in ("mr", "sst2_sent")]
    texts = {key(text): text.lower() for source in sources for text in source if key(text) not in held_out}
    drawn = np.random.default_rng(0).permutation(list(texts.values())).tolist()
    _write(work / "texts" / "dev.tsv", ("sentence",), [(text,) for text in drawn[:_MASKED_LM_DEV]])
    _write(work / "texts" / "train.tsv", ("sentence",), [(text,) for text in drawn[_MASKED_LM_DEV:]])
    written = [work / folder / f"{split}.tsv" for folder in ("mr", "texts") for split in ("train", "dev")]
    left = sum(key(text) in keys for file in written for text in read_table(file).texts("sentence"))
    if left:
        raise SystemExit(f"{left} of the attacked texts are among those that are trained on")
    return taken | {"left": left}


def key(text: str) -> str:
    """A text by its letters and digits alone."""
    return re.sub(r"\W+", "", text.casefold())


def train(encoder: str, work: Path, task: DataConfig, epochs: float, compress_epochs: float) -> dict[str, Path]:
    """The folder of each victim."""
    folders = {name: work / name for name in (*VICTIMS, "onnx")}
    methods: dict[str, SuccessorConfig] = {
        "theseus": replank.Theseus(epochs=compress_epochs),
        "truncate": replank.Truncate(epochs=compress_epochs),
        "kd": replank.Kd(epochs=compress_epochs),
    }
    once(folders["predecessor"], lambda out: replank.finetune(encoder, out, replank.Finetune(epochs=epochs), data=task))
    for name, config in methods.items():
        once(
            folders[name],
            lambda out, config=config: replank.compress(folders["predecessor"], out, config, data=task),  # type: ignore[misc]
        )
    once(folders["onnx"], lambda out: replank.export(folders["theseus"], out, data=task))
    int8 = replank.DynamicInt8(allow_slower=True)
    once(folders["int8"], lambda out: replank.quantize(folders["onnx"], out, int8, data=task))
    return folders


def train_sturdier(
    folders: Mapping[str, Path], proposer: Path, work: Path, task: DataConfig, compress_epochs: float
) -> None:
    """Train the successor that learns from adversarial texts of the training split, too."""
    texts = work / "attack-train.json"
    attack([folders["predecessor"]], proposer, task, texts, MOST, _AUGMENT_TEXTS, split="train")
    config = replank.Theseus(epochs=compress_epochs, augment=texts)
    once(folders["augmented"], lambda out: replank.compress(folders["predecessor"], out, config, data=task))


def train_masked_lm(encoder: str, work: Path, epochs: float) -> Path:
    """The masked LM's folder."""
    texts = DataConfig(data=work / "texts", text="sentence", task="masked-lm", max_length=48)
    config = replank.Finetune(epochs=epochs, learning_rate=5e-4)
    once(work / "masked-lm", lambda out: replank.finetune(encoder, out, config, data=texts))
    return work / "masked-lm"


def once(out: Path, make: Callable[[Path], Any]) -> None:
    """Make an artifact that is not there."""
    if not (out / MANIFEST).exists():
        make(out)


def attack(
    victims: Sequence[Path],
    proposer: Path,
    data: DataConfig,
    out: Path,
    candidates: int,
    rows: int,
    split: str = "test",
) -> AttackResult:
    """An attack, unless it was done before."""
    if out.exists():
        return read_attack(out)
    config = AttackConfig(rows=rows, candidates=candidates)
    return replank.attack(list(victims), proposer, config, data=data, split=split, out=out)


def compared(result: AttackResult) -> dict[str, Any]:
    """All models under one attack."""
    return {
        "victims": {
            name: {"layers": victim.layers, "precision": victim.precision, "seconds": victim.seconds}
            | {"measures": json_values(victim.measures)}
            for name, victim in zip(VICTIMS, result.victims, strict=True)
        },
        "differences": differences(result),
    }


def differences(result: AttackResult) -> list[dict[str, Any]]:
    """What the second model of each pair loses in accuracy under attack, on the same texts."""
    texts = {name: victim.texts for name, victim in zip(VICTIMS, result.victims, strict=True)}
    return [
        {"of": of, "than": than, "loss": json_values(loss_of_accuracy_after(texts[of], texts[than]))}
        for of, than in COMPARED
    ]


def candidate_curve(results: Sequence[AttackResult]) -> list[dict[str, Any]]:
    """Success and queries of the attack on the successor, by K."""
    rows = []
    for result in results:
        place = VICTIMS.index("theseus") if len(result.victims) > 1 else 0
        measures = json_values(result.victims[place].measures)
        rows.append({"candidates": result.config["candidates"]} | {name: measures[name] for name in _CURVE})
    return rows


_CURVE = ("success_rate", "accuracy_after", "changed", "median_queries")


def batching(folder: Path, result: AttackResult) -> dict[str, float]:
    """The time of the same questions, a call for each, as a multiple of the engine's batches."""
    model = load_model(open_source(folder))
    texts = list(islice((_trials(result)), _SPEED_TEXTS))
    ways = {"one by one": lambda: [model.logits([text]) for text in texts], "batches": lambda: model.logits(texts)}
    found = time_in_turn(ways, len(texts), rounds=5, seconds=1.0)
    return {"texts": len(texts), "ratio": found["batches"]["ratio"]["median"]}


def _trials(result: AttackResult) -> list[str]:
    """Texts as an attack asks about them: each text without one of its words."""
    texts = [text.text.split() for text in result.victims[0].texts]
    return [" ".join([*words[:at], "[MASK]", *words[at + 1 :]]) for words in texts for at in range(len(words))]


def _write(file: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(row) for row in (columns, *rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
