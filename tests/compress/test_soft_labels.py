"""Soft labels: the predecessor's answers, kept once for a whole training, and the loss on them."""

from __future__ import annotations

import logging
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_weights

from replank.data.config import DataConfig
from replank.data.training_examples import LabelledExamples
from replank.models.source import open_source
from replank.models.training_facts import TrainingFacts
from replank.runtime.load import load_model
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import TrainingError
from replank.tasks.kinds import KINDS
from replank.tasks.kinds.learning import IGNORED
from replank.text.tokens import Tokens
from replank_compress.methods.config import SuccessorConfig
from replank_compress.methods.kd import KdConfig
from replank_compress.methods.soft_labels import SoftLabels, SoftLabelsConfig
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.methods.truncate import TruncateConfig
from replank_compress.successor import compress
from replank_compress.training.answers import Answers, TaughtExamples, compute_answers
from replank_compress.training.targets import have_loss
from tiny import save_table, sentences

SHORT: dict[str, Any] = {"epochs": 2.0, "batch_size": 32, "learning_rate": 1e-3, "precision": "fp32", "layers": 2}
KIND = KINDS["classification"]
PROBABILITY = 1 / (1 + np.exp(-0.7))
STUDENT = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.5, 0.5]])
TAUGHT = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])


def mixed_loss(config: SoftLabelsConfig, labels: torch.Tensor) -> float:
    hard = torch.nn.functional.cross_entropy(STUDENT, labels)
    student = SimpleNamespace(logits=STUDENT, loss=hard)
    return float(SoftLabels(KIND, config).loss(student, {"labels": labels}, TAUGHT))


def test_the_loss_is_a_mixture_over_all_rows() -> None:
    labels = torch.tensor([0, 1, 0])
    soft, hard = KIND.distillation_loss(STUDENT, TAUGHT, 2.0), torch.nn.functional.cross_entropy(STUDENT, labels)
    for weight in (0.25, 1.0):
        expected = weight * soft.mean() + (1 - weight) * hard
        assert mixed_loss(KdConfig(soft_weight=weight), labels) == pytest.approx(float(expected))
    assert mixed_loss(TheseusConfig(soft_weight=0.0), labels) == float(hard)


def test_a_row_without_a_label_learns_the_answers_alone() -> None:
    labels = torch.tensor([0, IGNORED, 0])
    soft = KIND.distillation_loss(STUDENT, TAUGHT, 2.0)
    hard = torch.nn.functional.cross_entropy(STUDENT, labels, reduction="none")
    expected = (0.5 * soft[[0, 2]] + 0.5 * hard[[0, 2]]).sum() + soft[1]
    assert mixed_loss(TheseusConfig(), labels) == pytest.approx(float(expected / 3))
    nothing = torch.full((3,), IGNORED)
    assert mixed_loss(TheseusConfig(), nothing) == pytest.approx(float(soft.mean()))


def test_a_number_may_be_what_marks_no_label_elsewhere() -> None:
    """-100 is a temperature, or a balance: the row has a label, and both losses count it."""
    numbers, answers = torch.tensor([-100.0, 3.0]), torch.tensor([[-90.0], [2.0]])
    student = SimpleNamespace(logits=torch.tensor([[-95.0], [1.0]]), loss=torch.tensor(7.0))
    found = SoftLabels(KINDS["regression"], KdConfig(soft_weight=0.25)).loss(student, {"labels": numbers}, answers)
    assert float(found) == pytest.approx(0.25 * (25 + 1) / 2 + 0.75 * 7)
    assert have_loss(numbers).all()


def test_answers_on_several_labels_weigh_as_much_as_the_labels() -> None:
    """Their mean over labels, as binary cross entropy is one: of sure answers, the two losses are the same."""
    kind, labels = KINDS["multi-label"], torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    logits = torch.tensor([[0.3, -2.0, 1.0], [0.5, 1.5, -1.0]])
    hard = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    sure = (2 * labels - 1) * 50
    soft = kind.distillation_loss(logits, sure, 1.0)
    assert soft.shape == (2,)
    assert float(soft.mean()) == pytest.approx(float(hard))
    mixed = SoftLabels(kind, KdConfig(soft_weight=0.25, temperature=1.0))
    found = mixed.loss(SimpleNamespace(logits=logits, loss=hard), {"labels": labels}, sure)
    assert float(found) == pytest.approx(float(hard))


@pytest.mark.parametrize(
    ("name", "target"),
    [("multi-label", [PROBABILITY]), ("regression", 0.7), ("probability", PROBABILITY)],
)
def test_the_answer_is_the_target_of_a_number_without_a_label(name: str, target: Any) -> None:
    found = KINDS[name].unlabelled_target(Tokens([1], [0]), np.array([[0.7]], dtype=np.float32))
    assert found == pytest.approx(target)


def test_answers_are_the_models_logits_in_the_order_of_the_rows(predecessor: Path, data: DataConfig) -> None:
    source, dataset = open_source(predecessor), data.load()
    encoder = source.text_encoder(dataset.task)
    train = dataset.split("train")
    tokens = encoder.tokenize(train.first)
    answers = compute_answers(
        load_torch_model(source), KIND, tokens, encoder, partial(torch.autocast, "cpu", enabled=False)
    )
    expected = load_model(source, device="cpu").logits(train.first)
    np.testing.assert_allclose(np.concatenate([answers[row] for row in range(len(train))]), expected, atol=2e-3)


def test_words_are_answered_at_their_first_tokens() -> None:
    kind = KINDS["token-classification"]
    tokens = Tokens([1, 5, 6, 7, 2], [0] * 5, starts=(1, 3, -1))

    class Rows(LabelledExamples):
        def __init__(self) -> None:
            self._tokens = [tokens]

        def __getitem__(self, index: Any) -> tuple[Tokens, Any]:
            return tokens, None

    answers = Answers(np.array([[1, 2], [3, 4]], dtype=np.float16), np.array([0, 2]))
    _, target, taught = TaughtExamples(Rows(), kind, answers)[0]
    assert target.tolist() == [IGNORED] * 5
    assert taught[[1, 3]].tolist() == [[1, 2], [3, 4]]
    assert np.isnan(taught[[0, 2, 4]]).all()


def facts(path: Path) -> TrainingFacts:
    artifact = open_source(path).artifact
    assert artifact is not None
    return artifact.manifest.made_by.facts_of(TrainingFacts)


def test_methods_share_a_file_of_answers(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    file = tmp_path / "answers.safetensors"
    for name, config in (("theseus", TheseusConfig(**SHORT, answers=file)), ("kd", KdConfig(**SHORT, answers=file))):
        compress(open_source(predecessor), tmp_path / name, config, data)
        written = file.stat().st_mtime_ns
    assert facts(tmp_path / "theseus").answers == facts(tmp_path / "kd").answers is not None
    assert file.stat().st_mtime_ns == written
    compress(open_source(predecessor), tmp_path / "alone", KdConfig(**SHORT), data)
    ours, theirs = (load_weights(tmp_path / name / "model.safetensors") for name in ("kd", "alone"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not list(tmp_path.glob("*.work"))


def other_texts(folder: Path) -> DataConfig:
    for seed, split in enumerate(("train", "dev")):
        save_table(folder, f"{split}.tsv", ("text", "label"), sentences(64, 70 + seed))
    return DataConfig(data=folder)


def damaged(file: Path, _: DataConfig) -> tuple[DataConfig, str]:
    values = load_file(file)
    with_metadata = dict(line for line in metadata_of(file).items())
    values["logits"][0] += 1
    save_file(values, file, with_metadata)
    return _, "is damaged"


def metadata_of(file: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        return dict(opened.metadata())


def of_other_texts(file: Path, _: DataConfig) -> tuple[DataConfig, str]:
    (file.parent / "others").mkdir()
    return other_texts(file.parent / "others"), "holds answers of another predecessor, or on other texts"


def of_nothing(file: Path, data: DataConfig) -> tuple[DataConfig, str]:
    file.write_text("no tensors")
    return data, "holds no answers that can be read"


@pytest.mark.parametrize("spoil", [damaged, of_other_texts, of_nothing])
def test_answers_of_something_else_are_refused(predecessor: Path, data: DataConfig, tmp_path: Path, spoil: Any) -> None:
    file = tmp_path / "answers.safetensors"
    config = KdConfig(**SHORT | {"epochs": 1 / 3}, answers=file)
    compress(open_source(predecessor), tmp_path / "first", config, data)
    data, message = spoil(file, data)
    before = file.read_bytes()
    with pytest.raises(TrainingError, match=message):
        compress(open_source(predecessor), tmp_path / "out", config, data)
    assert file.read_bytes() == before
    assert not (tmp_path / "out").exists()


def test_texts_without_labels_are_learned_from(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    file = save_table(tmp_path, "more.tsv", ("sentence",), [(text,) for text, _ in sentences(64, 9)])
    config = TheseusConfig(**SHORT, unlabelled=file)
    compress(open_source(predecessor), tmp_path / "out", config, data)
    found = facts(tmp_path / "out")
    assert (found.steps, found.unlabelled is None) == (16, False)


def untrained(predecessor: Path, folder: Path) -> Path:
    """The predecessor with a head that always answers the same."""
    shutil.copytree(predecessor, folder, ignore=shutil.ignore_patterns("replank.json"))
    model = load_torch_model(open_source(folder))
    model.classifier.weight.data.zero_()
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "config", [TheseusConfig(**SHORT | {"epochs": 2 / 3}), TruncateConfig(**SHORT | {"epochs": 2 / 3})]
)
def test_a_predecessor_that_knows_nothing_is_said(
    predecessor: Path, data: DataConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture, config: SuccessorConfig
) -> None:
    with caplog.at_level(logging.WARNING):
        compress(open_source(untrained(predecessor, tmp_path / "untrained")), tmp_path / "out", config, data)
    assert "the predecessor is no better than chance" in caplog.text
    caplog.clear()
    compress(open_source(predecessor), tmp_path / "other", config, data)
    assert "chance" not in caplog.text
