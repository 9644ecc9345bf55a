"""The chain on BERTRL's graphs: an encoder, its half, and INT8, beside ceiling, random order and most paths.

    python benchmarks/relations.py GRAPHS WORK

GRAPHS holds folders of GraIL's version 1: fb237, fb237_ind, WN18RR, WN18RR_ind, and their names in text/. Models learn
on one graph and are asked about another, of which they have seen no entity. Each cell ends in a JSON file of its own in
benchmarks/results/relations; what is there is not made again, and a chain that was interrupted goes on in WORK.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

import replank
from replank.benchmarking.summary import Summary
from replank.chain.comparison import comparison_table
from replank.cli.options import console
from replank.data.demo import demo_encoder

RESULTS = Path(__file__).parent / "results" / "relations"
GRAPHS = ("fb237", "WN18RR")
_DEV_QUESTIONS = 30
# INT8 may cost two of dev's questions, which are asked from both sides: one alone is more than the usual half a point.
_MAX_DROP = 1 / _DEV_QUESTIONS


@click.command()
@click.argument("graphs", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(path_type=Path))
@click.option("--encoder", type=click.Path(exists=True, path_type=Path), help="[default: all-MiniLM-L6-v2]")
@click.option("--name", default="minilm", show_default=True, help="Of the encoder, in the names of results.")
@click.option("--train-questions", default=250, show_default=True, help="Training triples that are asked.")
@click.option("--test-questions", default=100, show_default=True, help="Test triples, asked from both sides.")
@click.option("--finetune-epochs", default=2.0, show_default=True)
@click.option("--compress-epochs", default=3.0, show_default=True)
def main(
    graphs: Path,
    work: Path,
    encoder: Path | None,
    name: str,
    train_questions: int,
    test_questions: int,
    finetune_epochs: float,
    compress_epochs: float,
) -> None:
    """Run what has no result yet, and print all cells of the encoder."""
    for graph in GRAPHS:
        result = RESULTS / f"{graph}_ind-{name}.json"
        if not result.exists():
            examples, out = work / f"{graph}-examples", work / f"{graph}-{name}"
            mining = replank.Mining(
                test_graph=graphs / f"{graph}_ind",
                train_questions=train_questions,
                dev_questions=_DEV_QUESTIONS,
                test_questions=test_questions,
            )
            if not examples.exists():
                replank.mine(graphs / graph, examples, mining)
            data = replank.Data(data=examples, task="relation-prediction", dataset=f"{graph}_ind")
            plan = replank.Run(finetune_epochs=finetune_epochs, compress_epochs=compress_epochs, max_drop=_MAX_DROP)
            found = replank.run(encoder or demo_encoder(), out, plan, data=data)
            RESULTS.mkdir(parents=True, exist_ok=True)
            values = found.to_json() | {"train_questions": train_questions, "test_questions": test_questions}
            result.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        console().print(comparison_table(read_summary(result)))


def read_summary(path: Path) -> Summary:
    """The comparison of a cell."""
    return Summary.from_json(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
