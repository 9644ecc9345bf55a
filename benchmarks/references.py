"""Do references help? A student with the nearest one beside controls that have as many parameters, steps and rows.

    python benchmarks/references.py --data DATA --predecessor mrpc=PREDECESSOR --seed 1 --seed 2 --seed 3

DATA holds a folder for each task; a tenth of the training split chooses the checkpoint, and the test split, or else
dev, is what is reported. Every student learns labels and the predecessor's kept answers. A cell that is done is not
done again: each is a JSON in benchmarks/results/references. Stopped, the same command resumes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from transformers import set_seed

from compression import GLUE_NAMES, write_splits
from reference_controls import ConstantReference, RandomRetriever, zeroed
from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.models.source import Source, open_source
from replank.references.retrieval import KeywordRetriever, VectorRetriever
from replank.runtime.predictors import TorchPredictor
from replank.runtime.torch_model import load_torch_model
from replank.system.environment import machine, versions
from replank.tasks.metrics import require_labels, score
from replank.text.tokenization import TextEncoder
from replank_compress.methods.config import Start
from replank_compress.methods.kd import KdConfig
from replank_compress.references.states import States, compute_states
from replank_compress.references.student import Lookup, StatesLookup, attach_references
from replank_compress.successor import initial_layers
from replank_compress.teaching import Teaching
from replank_compress.training.checkpoints import clear
from replank_compress.training.train import Training

RESULTS = Path(__file__).parent / "results" / "references"
_ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class Memory:
    """What a student may look references up in.

    :param texts: token ids of each.
    :param special: ids that are no word.
    :param table: the predecessor's word embeddings, shape ``(vocabulary, width)``.
    :param tokens: kept of each reference.
    """

    states: States
    texts: Sequence[Sequence[int]]
    special: Sequence[int]
    table: Any
    tokens: int
    seed: int

    def keywords(self) -> KeywordRetriever:
        """The rule of the paper's example."""
        return KeywordRetriever.of(self.texts, self.special)


# The student without references, then the claim, then its controls: information apart from parameters.
STUDENTS: Mapping[str, Callable[[Memory], Lookup] | None] = {
    "none": None,
    "keywords": lambda memory: StatesLookup(memory.states, memory.keywords()),
    "vectors": lambda memory: StatesLookup(
        memory.states, VectorRetriever.of(memory.texts, memory.special, memory.table)
    ),
    "random": lambda memory: StatesLookup(memory.states, RandomRetriever(memory.texts, memory.seed)),
    "zeroed": lambda memory: StatesLookup(zeroed(memory.states), memory.keywords()),
    "constant": lambda memory: ConstantReference(memory.tokens, memory.states.width),
}


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of the tasks' folders.")
@click.option("--predecessor", "predecessors", multiple=True, required=True, help="TASK=FOLDER.")
@click.option("--seed", "seeds", type=int, multiple=True, default=(1,), show_default=True)
@click.option("--student", "students", type=click.Choice(list(STUDENTS)), multiple=True, help="All if not given.")
@click.option("--rows", type=int, help="Training rows; all if not given.")
@click.option("--epochs", type=float, default=3.0, show_default=True)
@click.option("--tokens", type=int, default=32, show_default=True, help="Tokens kept of each reference.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("references-work"), show_default=True)
def main(
    data: Path,
    predecessors: Iterable[str],
    seeds: Iterable[int],
    students: Iterable[str],
    rows: int | None,
    epochs: float,
    tokens: int,
    work: Path,
) -> None:
    """Train the students that are not trained yet."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for task, folder in (item.split("=", 1) for item in predecessors):
        splits = work / "data" / task
        write_splits(data / task, splits, rows)
        source = open_source(folder)
        dataset = DataConfig(dataset=GLUE_NAMES.get(task, task), data=splits).load(source.task)
        for seed in seeds:
            for name in students or STUDENTS:
                result = RESULTS / f"{task}-{name}-{seed}.json"
                if not result.exists():
                    config = KdConfig(epochs=epochs, seed=seed, perturbed=0)
                    found = train_student(name, source, dataset, config, tokens, work / result.stem)
                    values = {"task": task, "rows": len(dataset.split("train")), **found}
                    result.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
                    click.echo(f"{result.stem}: {found['metrics']}", err=True)


def train_student(
    name: str, source: Source, data: Dataset, config: KdConfig, tokens: int, work: Path
) -> dict[str, Any]:
    """Train one student and score it.

    :param name: a key of :data:`STUDENTS`.
    :param tokens: kept of each reference.
    :param work: a folder for checkpoints, deleted at the end.
    """
    set_seed(config.seed)
    predecessor = load_torch_model(source)
    sizes = config.group_sizes(source.layers)
    text_encoder = source.text_encoder(data.task)
    training = Training(predecessor, data, text_encoder, config, work=work, title=name)
    teaching = Teaching(training, predecessor, source.digest, config.answers)
    training.claim({"student": name, "seed": config.seed, "tokens": tokens} | teaching.fingerprint)
    answers = teaching.answers()
    if answers is None:
        raise ValueError(f"{data.task.kind} keeps no answers")
    layers = initial_layers(predecessor, sizes, "spread")
    method = config.method(Start(data.task.kind, predecessor, predecessor, layers, sizes))
    if make_lookup := STUDENTS[name]:
        examples = training.examples.tokens
        states = compute_states(predecessor, examples, text_encoder, tokens)
        table = predecessor.get_input_embeddings().weight.detach().numpy()
        texts, special = [each.ids for each in examples], text_encoder.special_ids
        lookup = make_lookup(Memory(states, texts, special, table, tokens, config.seed))
        attach_references(method.model, lookup, states.width)
    trained = training.run(method, training.taught(answers))
    found = {
        "student": name,
        "seed": config.seed,
        "parameters": sum(parameter.numel() for parameter in method.model.parameters()),
        "steps": trained.steps,
        "best_dev": trained.best,
        "metrics": _scores(method.model.eval(), data, text_encoder),
        "versions": versions(),
        "machine": vars(machine()),
    }
    clear(work)
    return found


def _scores(model: Any, data: Dataset, text_encoder: TextEncoder) -> dict[str, float]:
    examples = data.split(data.held_out)
    rows = text_encoder.tokenize(examples.first, examples.second)
    predictor = TorchPredictor(model, "cpu")
    logits = [predictor(text_encoder.pad(rows[at : at + _ROWS_AT_ONCE])) for at in range(0, len(rows), _ROWS_AT_ONCE)]
    decided = data.task.kind.decide(np.concatenate(logits))
    return score(data.task, decided, require_labels(examples.labels))


if __name__ == "__main__":
    main()
