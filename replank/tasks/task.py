"""What an encoder is asked to do: the columns, the labels, the metrics. GLUE's nine, and the user's own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal

from replank.system.errors import UsageError

Kind = Literal["classification", "regression", "token-classification", "masked-lm", "feature-extraction"]


@dataclass(frozen=True)
class Head:
    """The head that a kind of task needs, in transformers' words.

    :param name: as in ``AutoModelFor…`` and ``ORTModelFor…``.
    :param pipeline: the hub's name of what it does.
    :param output: what a graph of it calls its answers.
    """

    name: str
    pipeline: str
    output: str = "logits"

    @property
    def auto_class(self) -> str:
        """transformers' class that loads a model with it."""
        return "AutoModel" if self.output == "last_hidden_state" else f"AutoModelFor{self.name}"


HEADS: dict[Kind, Head] = {
    "classification": Head("SequenceClassification", "text-classification"),
    "regression": Head("SequenceClassification", "text-classification"),
    "token-classification": Head("TokenClassification", "token-classification"),
    "masked-lm": Head("MaskedLM", "fill-mask"),
    # No head: the encoder itself. Nothing of ours trains or scores it; it is exported, compared and quantized.
    "feature-extraction": Head("FeatureExtraction", "feature-extraction", output="last_hidden_state"),
}


@dataclass(frozen=True)
class Task:
    """One task, as it is stored in every manifest.

    :param name: GLUE's name, or the user's.
    :param kind: ``classification`` (one label of several), ``regression`` (one number), ``token-classification`` (a
        label for each word), ``masked-lm`` (each masked token) or ``feature-extraction`` (a vector for each token).
    :param labels: label names in the order of the model's outputs; empty where there are none.
    :param columns: the text columns, one (single sentence) or two (sentence pair); none where a plain model folder
        does not tell.
    :param label_column: the column of the label.
    :param metrics: names of metrics, the headline first; keys of :data:`METRICS`.
    :param max_length: tokens a text (or pair) is truncated to, special tokens included.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    label_column: str
    metrics: tuple[str, ...]
    max_length: int = 128

    @property
    def headline(self) -> str:
        """The metric by which checkpoints are chosen and losses of quality are judged."""
        return self.metrics[0]

    @property
    def is_pair(self) -> bool:
        """Whether an example is two texts."""
        return len(self.columns) == 2

    @property
    def is_per_token(self) -> bool:
        """Whether each token has an answer of its own."""
        return self.kind in ("token-classification", "masked-lm", "feature-extraction")

    @property
    def outputs(self) -> int:
        """How many logits a model has for an answer; 0 where its vocabulary or its width decides."""
        return {"regression": 1, "masked-lm": 0, "feature-extraction": 0}.get(self.kind, len(self.labels))

    def to_json(self) -> dict[str, Any]:
        """This task as plain JSON values."""
        return asdict(self) | {key: list(getattr(self, key)) for key in ("labels", "columns", "metrics")}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Task:
        """The task that :meth:`to_json` wrote."""
        return cls(**values | {key: tuple(values[key]) for key in ("labels", "columns", "metrics")})


@dataclass(frozen=True)
class GlueTask:
    """One of the nine tasks of the GLUE benchmark (Wang et al., 2018) as the hub's ``nyu-mll/glue`` has it.

    :param has_mismatched: whether dev and test come in two: of the genres of the training split, and of others.
    """

    labels: tuple[str, ...]
    hub_columns: tuple[str, ...]
    metrics: tuple[str, ...] = ("accuracy",)
    max_length: int = 128
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
        return "classification" if self.labels else "regression"


_PAIR = ("sentence1", "sentence2")
_ENTAILMENT = ("entailment", "not_entailment")
_TWO_CLASSES = ("accuracy", "macro_f1")

GLUE: dict[str, GlueTask] = {
    "cola": GlueTask(("unacceptable", "acceptable"), ("sentence",), ("matthews", "accuracy")),
    "sst2": GlueTask(("negative", "positive"), ("sentence",), _TWO_CLASSES),
    "mrpc": GlueTask(("not_equivalent", "equivalent"), _PAIR, ("f1", "accuracy")),
    "stsb": GlueTask((), _PAIR, ("pearson", "spearman")),
    "qqp": GlueTask(("not_duplicate", "duplicate"), ("question1", "question2"), ("f1", "accuracy")),
    "mnli": GlueTask(
        ("entailment", "neutral", "contradiction"),
        ("premise", "hypothesis"),
        _TWO_CLASSES,
        has_mismatched=True,
    ),
    "qnli": GlueTask(_ENTAILMENT, ("question", "sentence"), _TWO_CLASSES, max_length=256),
    "rte": GlueTask(_ENTAILMENT, _PAIR, _TWO_CLASSES),
    "wnli": GlueTask(_ENTAILMENT[::-1], _PAIR, _TWO_CLASSES),
}


def glue_task(name: str) -> GlueTask:
    """GLUE's task of that name.

    :raises UsageError: there is none; the message names the nine and the nearest.
    """
    if name in GLUE:
        return GLUE[name]
    near = get_close_matches(name.lower(), GLUE, n=1)
    raise UsageError(
        f"unknown task {name!r}; the tasks known by name are {', '.join(GLUE)}",
        hint=f"did you mean --task {near[0]}?"
        if near
        else "for your own data give --train FILE --dev FILE (or --data FOLDER) and the column names",
    )


def custom_metrics(kind: Kind, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The metrics of a task of the user's own."""
    if kind == "token-classification" and all(label == "O" or label[1:2] == "-" for label in labels):
        return ("entity_f1", "accuracy")
    others: dict[Kind, tuple[str, ...]] = {
        "regression": ("pearson", "spearman"),
        "masked-lm": ("accuracy",),
        "feature-extraction": (),
    }
    return others.get(kind, ("accuracy", "macro_f1"))
