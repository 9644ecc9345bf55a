"""References in training: a predecessor's states, and a student that attends to them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reference_controls import ConstantReference, zeroed
from references import train_student
from replank.data.config import DataConfig
from replank.models.encoders import ENCODERS
from replank.models.source import open_source
from replank.references import bank as bank_module
from replank.references.retrieval import NO_REFERENCE, KeywordRetriever
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import DataError, ModelError, TrainingError, UsageError
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens
from replank_compress.methods.kd import KdConfig
from replank_compress.references.states import States, compute_states, states_key
from replank_compress.references.student import Lookup, StatesLookup, StatesOfBatch, attach_references, takes_references
from small_models import INPUTS, make_model
from tiny import SPECIAL, sentences

SPECIAL_IDS = tuple(range(len(SPECIAL)))
WIDTH = 32


@pytest.fixture
def teacher(predecessor: Path) -> Any:
    return load_torch_model(open_source(predecessor))


@pytest.fixture
def text_encoder(predecessor: Path) -> TextEncoder:
    return TextEncoder.from_folder(predecessor, 32)


@pytest.fixture
def texts(text_encoder: TextEncoder) -> list[Tokens]:
    return text_encoder.tokenize([text for text, _ in sentences(40, 5)])


def test_states_are_those_that_the_predecessor_gives(
    teacher: Any, text_encoder: TextEncoder, texts: list[Tokens]
) -> None:
    states = compute_states(teacher.train(), texts, text_encoder, limit=6)
    assert len(states) == 40
    for row in (0, 17, 39):
        ids = torch.tensor([texts[row].ids])
        with torch.no_grad():
            fresh = teacher.base_model(ids, output_hidden_states=True).hidden_states
        kept = slice(states.starts[row], states.starts[row + 1])
        assert len(states.hidden[kept]) == min(6, len(texts[row]))
        for ours, theirs in ((states.embeddings, fresh[0]), (states.hidden, fresh[-1])):
            np.testing.assert_allclose(ours[kept], theirs[0, :6], atol=1e-2)


def test_states_are_kept_and_are_of_nothing_else(
    teacher: Any, text_encoder: TextEncoder, texts: list[Tokens], tmp_path: Path
) -> None:
    file, key = tmp_path / "states.safetensors", states_key("teacher", texts, 6)
    calls: list[int] = []

    def compute() -> States:
        calls.append(1)
        return compute_states(teacher, texts, text_encoder, limit=6)

    assert States.kept(file, key, compute).digest == States.kept(file, key, compute).digest
    assert len(calls) == 1
    for other in (
        states_key("another", texts, 6),
        states_key("teacher", texts[1:], 6),
        states_key("teacher", texts, 7),
    ):
        with pytest.raises(TrainingError, match="holds states of another predecessor, tokenizer or training split"):
            States.kept(file, other, compute)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(TrainingError, match="is damaged"):
        States.kept(file, key, compute)
    file.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="holds no states of references that can be read"):
        States.kept(file, key, compute)


def test_no_text_or_too_many_are_refused(
    teacher: Any, text_encoder: TextEncoder, texts: list[Tokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="there is no training text to be a reference"):
        compute_states(teacher, [], text_encoder, 6)
    monkeypatch.setattr(bank_module, "memory_bytes", lambda: 1000)
    with pytest.raises(UsageError, match=r"the reference bank has .* GiB; expected at most half of the memory"):
        compute_states(teacher, texts, text_encoder, 6)


def given(rows: int = 2, length: int = 5, masked: bool = False) -> StatesOfBatch:
    generator = torch.Generator().manual_seed(0)
    embeddings, hidden = (torch.randn(rows, length, WIDTH, generator=generator) for _ in range(2))
    return embeddings, hidden, torch.full((rows, length), int(not masked))


LIKE_BERT = [name for name in ENCODERS if takes_references(make_model(name))]


def logits(model: Any, states: StatesOfBatch) -> torch.Tensor:
    model = copy.deepcopy(model)
    attach_references(model, lambda *_: states, WIDTH)
    with torch.no_grad():
        found: torch.Tensor = model(**INPUTS).logits
        return found


@pytest.mark.parametrize("model_type", LIKE_BERT)
def test_a_masked_reference_is_none(model_type: str) -> None:
    model = make_model(model_type)
    with torch.no_grad():
        plain = model(**INPUTS).logits
    assert float((logits(model, given(masked=True)) - plain).abs().max()) <= 1e-6
    assert float((logits(model, given()) - plain).abs().max()) > 1e-3


def test_the_architectures_that_take_references() -> None:
    assert {"bert", "roberta", "electra"} <= set(LIKE_BERT)
    with pytest.raises(ModelError, match="cannot take references"):
        attach_references(make_model("distilbert"), lambda *_: given(), WIDTH)


def test_padding_and_order_of_a_reference_change_nothing() -> None:
    model, (embeddings, hidden, mask) = make_model(), given()
    expected = logits(model, (embeddings, hidden, mask))
    padded = [torch.cat([part, 99 * torch.ones(2, 3, WIDTH)], dim=1) for part in (embeddings, hidden)]
    longer = torch.cat([mask, torch.zeros(2, 3, dtype=torch.long)], dim=1)
    assert torch.allclose(logits(model, (padded[0], padded[1], longer)), expected, atol=1e-6)
    order = torch.tensor([3, 0, 4, 1, 2])
    assert torch.allclose(logits(model, (embeddings[:, order], hidden[:, order], mask)), expected, atol=1e-6)


def make_states() -> States:
    halves = np.random.default_rng(0).standard_normal((2, 12, WIDTH)).astype(np.float16)
    return States(halves[0], halves[1], np.array([0, 4, 8, 12]))


def test_the_lookup_is_the_retrievers_and_learns_nothing_into_the_states() -> None:
    states = make_states()
    retriever = KeywordRetriever.of([[2, 5, 20, 3], [2, 6, 21, 3], [2, 7, 22, 3]], SPECIAL_IDS)
    lookup = StatesLookup(states, retriever, limit=2)
    ids, mask = torch.tensor([[2, 22, 3, 0], [2, 6, 21, 3]]), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    for _ in range(2):
        embeddings, hidden, is_there = lookup(ids, mask)
        np.testing.assert_array_equal(embeddings[0].numpy(), states.embeddings[8:12].astype(np.float32))
        assert is_there.tolist() == [[1] * 4] * 2
        # The second text is among the references: its own is another.
        assert not np.array_equal(hidden[1].numpy(), states.hidden[4:8].astype(np.float32))
        assert not embeddings.requires_grad
    assert not zeroed(states).batch([0])[0].any()
    assert states.batch([NO_REFERENCE, 1])[2].tolist() == [[0] * 4, [1] * 4]


def test_a_bank_holds_what_the_student_made_of_the_states() -> None:
    states, model = make_states(), make_model()
    retriever = KeywordRetriever.of([[2, 5, 20, 3], [2, 6, 21, 3], [2, 7, 22, 3]], SPECIAL_IDS)
    projections = attach_references(model, StatesLookup(states, retriever), WIDTH)
    with torch.no_grad():
        projections.key.weight += 0.1 * torch.randn_like(projections.key.weight)
        keys, values = projections(*states.batch([0, 1, 2])[:2])
    for precision, error in (("fp16", 1e-2), ("int8", 1e-1)):
        found = projections.bank(states, retriever, precision).batch([0, 1, 2])  # type: ignore[arg-type]
        np.testing.assert_allclose(found.keys, keys, atol=error)
        np.testing.assert_allclose(found.values, values, atol=error)


def test_a_student_learns_its_references_matrices_and_a_constant_is_learned_too() -> None:
    constant = ConstantReference(4, WIDTH)
    lookups: list[tuple[Lookup, int]] = [(lambda *_: given(), 0), (constant, 2 * 4 * WIDTH)]
    for lookup, extra in lookups:
        model = make_model()
        before = sum(parameter.numel() for parameter in model.parameters())
        projections = attach_references(model, lookup, WIDTH)
        assert sum(parameter.numel() for parameter in model.parameters()) == before + 2 * (WIDTH**2 + WIDTH) + extra
        torch.autograd.backward(model(**INPUTS, labels=torch.tensor([0, 1])).loss)
        assert all(parameter.grad is not None for parameter in projections.parameters())
    assert constant.embeddings.grad is not None
    assert constant.hidden.grad is not None


@pytest.mark.parametrize("name", ["none", "keywords", "vectors", "random", "zeroed", "constant"])
def test_every_student_is_trained_and_scored(name: str, predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    """The controls differ in what they see, and in nothing else: parameters, steps and rows are equal."""
    source, config = open_source(predecessor), KdConfig(epochs=1, precision="fp32", learning_rate=1e-3, layers=2)
    found = train_student(name, source, data.load(source.task), config, 8, tmp_path / "work")
    assert found["metrics"]["accuracy"] > 0.8
    assert found["steps"] == 6
    plain = sum(parameter.numel() for parameter in load_torch_model(source).parameters())
    layer = sum(parameter.numel() for parameter in load_torch_model(source).bert.encoder.layer[0].parameters())
    extra = {"none": 0, "constant": 2 * (WIDTH**2 + WIDTH) + 2 * 8 * WIDTH}.get(name, 2 * (WIDTH**2 + WIDTH))
    assert found["parameters"] == plain - 2 * layer + extra
    assert not (tmp_path / "work").exists()
