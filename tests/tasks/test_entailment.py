"""Candidate labels, and the outputs of a model that judges them."""

from __future__ import annotations

import numpy as np
import pytest

from replank.system.errors import ModelError, UsageError
from replank.tasks.answers import HeldScore
from replank.tasks.entailment import Candidates, Entailment
from replank.tasks.kinds import KINDS
from replank.tasks.task import Task


def task_of(*labels: str, kind: str = "classification", columns: tuple[str, ...] = ()) -> Task:
    return Task("nli", KINDS[kind], labels, columns, "label", ())


@pytest.mark.parametrize(
    ("labels", "entails", "contradicts"),
    [
        (("contradiction", "neutral", "entailment"), 2, 0),
        (("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), 0, 2),
        (("contradiction", "entailment", "neutral"), 1, 0),
        # Here transformers takes the neutral output for the contradiction.
        (("neutral", "contradiction", "entailment"), 2, 1),
        (("entailment", "not_entailment"), 0, 1),
        (("not_entailment", "entailment"), 1, 0),
    ],
)
def test_the_outputs_are_found_by_name(labels: tuple[str, ...], entails: int, contradicts: int) -> None:
    assert Entailment.of(task_of(*labels), "m") == Entailment(entails, contradicts)


@pytest.mark.parametrize(
    "task",
    [
        task_of("bad", "good"),
        task_of("0", "1", "2"),
        task_of("entailment", "neutral", "other"),
        task_of("entailment", "entails", "contradiction"),
        task_of("entailment", "contradiction", columns=("text",)),
        task_of("entailment", "contradiction", kind="multi-label"),
        task_of("entailment", "contradiction", kind="token-classification"),
        task_of(kind="regression"),
    ],
)
def test_a_model_of_something_else_is_refused_by_name(task: Task) -> None:
    with pytest.raises(UsageError, match=r"the model m .* judges no candidate labels") as caught:
        Entailment.of(task, "m")
    assert "entailment and contradiction" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("labels", "template", "message"),
    [
        ((), "{}", "no candidate labels"),
        (("a", " "), "{}", "candidate label is empty"),
        (("a", "b", "a"), "{}", "'a' occurs twice"),
        (("a",), "It is so.", "has 0 places"),
        (("a",), "{0}", "has 0 places"),
        (("a",), "{} and {}", "has 2 places"),
    ],
)
def test_labels_and_templates_that_can_be_none(labels: tuple[str, ...], template: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Candidates(labels, template)


def test_each_text_meets_each_hypothesis_and_braces_are_only_characters() -> None:
    candidates = Candidates(("a", "{0.__class__}"), "It {} is.")
    first, second = candidates.pairs(["x", "y"])
    assert first == ["x", "x", "y", "y"]
    assert second == ["It a is.", "It {0.__class__} is."] * 2


def test_labels_each_for_itself_hold_from_one_half_on() -> None:
    logits = np.array([[2.0, 9.0, 1.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 900.0]], dtype=np.float32)
    (found,) = Entailment(0, 2).scores(Candidates(("a", "b", "c"), multi_label=True), logits)
    assert found == [HeldScore("a", found[0].score, True), HeldScore("b", 0.5, True), HeldScore("c", 0.0, False)]
    assert found[0].score == pytest.approx(1 / (1 + np.exp(-1)))
    with pytest.raises(ModelError, match="not finite"):
        Entailment(0, 2).scores(Candidates(("a",)), np.array([[np.nan, 0, 0]], dtype=np.float32))
