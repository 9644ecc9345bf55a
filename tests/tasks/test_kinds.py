"""Kinds of task: what every one of them promises."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from replank.system.errors import FieldError, ModelError
from replank.tasks.kinds import KIND_NAMES, KINDS, Kind, head_of, kind_named
from replank.tasks.task import Task

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=str)


def task_of(kind: Kind) -> Task:
    labels = ("a", "b", "c") if kind.has_label_names else ()
    return Task("t", kind, labels, ("text",), "label", kind.default_metrics(labels))


@every_kind
def test_a_task_of_it_is_the_same_after_json_and_pickle(kind: Kind) -> None:
    task = task_of(kind)
    assert Task.from_json(task.to_json()) == task
    assert task.to_json()["kind"] == kind.name
    assert pickle.loads(pickle.dumps(task)) == task  # noqa: S301 - our own bytes


@every_kind
def test_transformers_has_its_class_and_a_configuration_finds_it(kind: Kind) -> None:
    assert hasattr(transformers, kind.auto_class)
    config = {"architectures": [f"BertFor{kind.head}"], **kind.head_settings(task_of(kind).labels)}
    assert head_of(config) == kind.head
    outputs: Any = config.get("num_labels", 2)
    problem: Any = config.get("problem_type")
    fitting = [other for other in KINDS.values() if other.head == kind.head and other.fits(outputs, problem)]
    # That passages are ranked, no configuration says; and that of two classes one is for triples that hold.
    expected = KINDS["probability"] if kind.is_ranked else kind
    assert fitting == [expected] or not kind.has_head or kind.ranks_candidates


@every_kind
def test_its_names_are_its_own(kind: Kind) -> None:
    assert all(kind_named(name) is kind for name in (kind.name, *kind.aliases))
    assert len(KIND_NAMES) == sum(1 + len(other.aliases) for other in KINDS.values())


@every_kind
def test_a_logit_that_is_not_finite_is_refused(kind: Kind) -> None:
    with pytest.raises(ModelError, match="not finite"):
        kind.decide(np.array([[0.0, np.nan, 0.0]], dtype=np.float32))


@every_kind
def test_a_student_equal_to_its_teacher_has_no_distillation_loss(kind: Kind) -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 5.0, -1.0]])
    loss = kind.distillation_loss(logits, logits.clone(), 2.0)
    assert loss.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    other = kind.distillation_loss(logits, logits.flip(1), 2.0)
    assert (other > 0.05).all()


def test_scores_of_a_head_with_one_output_are_learnt_as_probabilities() -> None:
    kind = KINDS["probability"]
    student = torch.zeros((3, 1), requires_grad=True)
    teacher = torch.tensor([[2.0], [-1.0], [0.0]])
    kind.distillation_loss(student, teacher, 1.0).mean().backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    np.testing.assert_allclose(student.grad.flatten(), (0.5 - teacher.sigmoid().flatten()) / 3, atol=1e-6)


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(FieldError, match="`task` is sentiment; expected one of regression, prob"):
        kind_named("sentiment")
