"""GLUE, the nine tasks of the benchmark (Wang et al., 2018), in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from replank.system.errors import UsageError
from replank.tasks.kinds import KINDS, Kind

# Its name on the hub.
GLUE_DATASET = "nyu-mll/glue"


@dataclass(frozen=True)
class GlueTask:
    """One task, as the hub's ``nyu-mll/glue`` and the leaderboard have it.

    :param files: the leaderboard's file of each split that is handed in (gluebenchmark.com/submit).
    :param labels: in GLUE's order; none of STS-B, which asks for a number.
    :param hub_columns: the text columns.
    :param hands_in_names: whether the leaderboard takes the names of labels; else their numbers.
    :param has_mismatched: whether dev and test come in two: of the genres of the training split, and of others.
    """

    files: Mapping[str, str]
    labels: tuple[str, ...]
    hub_columns: tuple[str, ...]
    metrics: tuple[str, ...]
    max_length: int = 128
    hands_in_names: bool = False
    has_mismatched: bool = False

    @property
    def hub_splits(self) -> dict[str, str]:
        """Our names of its splits to the hub's; ``ax``, the diagnostics, is a data set of its own there."""
        if not self.has_mismatched:
            return {"train": "train", "dev": "validation", "test": "test"}
        mismatched = {"dev_mismatched": "validation_mismatched", "test_mismatched": "test_mismatched"}
        return {"train": "train", "dev": "validation_matched", "test": "test_matched", **mismatched, "ax": "ax"}

    @property
    def kind(self) -> Kind:
        """Classification, but for STS-B."""
        return KINDS["classification" if self.labels else "regression"]


_PAIR = ("sentence1", "sentence2")
_ENTAILMENT = ("entailment", "not_entailment")
_TWO_CLASSES = ("accuracy", "macro_f1")
_MNLI_FILES = {"test": "MNLI-m", "test_mismatched": "MNLI-mm", "ax": "AX"}

GLUE: Mapping[str, GlueTask] = {
    "cola": GlueTask({"test": "CoLA"}, ("unacceptable", "acceptable"), ("sentence",), ("matthews", "accuracy")),
    "sst2": GlueTask({"test": "SST-2"}, ("negative", "positive"), ("sentence",), _TWO_CLASSES),
    "mrpc": GlueTask({"test": "MRPC"}, ("not_equivalent", "equivalent"), _PAIR, ("f1", "accuracy")),
    "stsb": GlueTask({"test": "STS-B"}, (), _PAIR, ("pearson", "spearman")),
    "qqp": GlueTask({"test": "QQP"}, ("not_duplicate", "duplicate"), ("question1", "question2"), ("f1", "accuracy")),
    "mnli": GlueTask(
        _MNLI_FILES,
        ("entailment", "neutral", "contradiction"),
        ("premise", "hypothesis"),
        _TWO_CLASSES,
        hands_in_names=True,
        has_mismatched=True,
    ),
    "qnli": GlueTask(
        {"test": "QNLI"}, _ENTAILMENT, ("question", "sentence"), _TWO_CLASSES, max_length=256, hands_in_names=True
    ),
    "rte": GlueTask({"test": "RTE"}, _ENTAILMENT, _PAIR, _TWO_CLASSES, hands_in_names=True),
    "wnli": GlueTask({"test": "WNLI"}, _ENTAILMENT[::-1], _PAIR, _TWO_CLASSES),
}


def glue_task(name: str) -> GlueTask:
    """The GLUE task of a name.

    :raises UsageError: there is none; the message names the nine and the nearest.
    """
    if name in GLUE:
        return GLUE[name]
    near = get_close_matches(name.lower(), GLUE, n=1)
    raise UsageError(
        f"unknown data set {name!r}; those known by name are {', '.join(GLUE)}",
        hint=f"did you mean {near[0]}?"
        if near
        else "for your own data give `train` and `dev` files (or a `data` folder) and the column names",
    )
