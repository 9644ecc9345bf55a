"""BERT-Attack on a predecessor, its successors by each method, and INT8: the same texts, side by side.

    python benchmarks/robustness.py --data DATA --encoder ENCODER
    python benchmarks/robustness.py --data DATA --encoder ENCODER --task ag --epochs 10 --compress-epochs 15 \
        --rows 100 --augment-rows 100

DATA holds `attack/mr.tsv` and `attack/ag.tsv`, the texts that TextFooler and BERT-Attack report on, and `mr` (`train`,
`dev`, `test`). The attacked texts are taken out of all that is trained on, and what is left of an overlap is an error;
of AG News, whose training data are not at hand, 300 of the 1,000 are attacked and the others trained on. The masked LM
is trained here, on the task's training texts and some of another (`sst2_sent`, `mrpc`), as by

    replank finetune ENCODER masked-lm --task masked-lm --data texts --text sentence --max-length 48

or is another one: --masked-lm. What is done is not done again: each model and each attack lies in --work. The result,
benchmarks/results/robustness_TASK.json, holds no text of the data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click

import replank
from interleaved import time_in_turn
from replank.data.config import DataConfig
from replank.models.manifest import MANIFEST
from replank.models.source import open_source
from replank.robustness.config import AttackConfig
from replank.robustness.measures import loss_of_accuracy_after
from replank.robustness.result import AttackResult, read_attack
from replank.runtime.load import load_model
from replank.system.environment import machine, versions
from replank.system.typed_json import json_values
from replank_compress.methods.config import SuccessorConfig
from robustness_texts import write_texts

RESULTS = Path(__file__).parent / "results"
# Tokens of a text.
LENGTHS = {"mr": 64, "ag": 128}
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
_MASKED_LM_EPOCHS = 3.0


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the data's folders.")
@click.option("--encoder", required=True, help="Folder or hub name.")
@click.option("--task", "name", type=click.Choice(list(LENGTHS)), default="mr", show_default=True)
@click.option("--masked-lm", help="Folder or hub name; trained here if not given.")
@click.option("--rows", default=200, show_default=True, help="Texts to attack.")
@click.option("--augment-rows", default=500, show_default=True, help="Training texts attacked for the augmented one.")
@click.option("--epochs", default=3.0, show_default=True, help="Of the predecessor.")
@click.option("--compress-epochs", default=5.0, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=Path("robustness-work"), show_default=True)
def main(
    data: Path,
    encoder: str,
    name: str,
    masked_lm: str | None,
    rows: int,
    augment_rows: int,
    epochs: float,
    compress_epochs: float,
    work: Path,
) -> None:
    """Train what is not trained yet, attack what is not attacked yet, and write the result."""
    work /= name
    overlap = write_texts(name, data, work)
    task = DataConfig(dataset=name, data=work / name, text="sentence", max_length=LENGTHS[name])
    folders = train(encoder, work, task, epochs, compress_epochs)
    proposer = Path(masked_lm) if masked_lm else train_masked_lm(encoder, work)
    train_sturdier(folders, proposer, work, task, augment_rows, compress_epochs)
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
    (RESULTS / f"robustness_{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


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
    folders: Mapping[str, Path], proposer: Path, work: Path, task: DataConfig, rows: int, compress_epochs: float
) -> None:
    """Train the successor that learns from adversarial texts of the training split, too."""
    texts = work / "attack-train.json"
    attack([folders["predecessor"]], proposer, task, texts, MOST, rows, split="train")
    config = replank.Theseus(epochs=compress_epochs, augment=texts)
    once(folders["augmented"], lambda out: replank.compress(folders["predecessor"], out, config, data=task))


def train_masked_lm(encoder: str, work: Path) -> Path:
    """The masked LM's folder."""
    texts = DataConfig(data=work / "texts", text="sentence", task="masked-lm", max_length=48)
    config = replank.Finetune(epochs=_MASKED_LM_EPOCHS, learning_rate=5e-4)
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


if __name__ == "__main__":
    main()
