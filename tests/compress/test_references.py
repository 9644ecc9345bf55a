"""References: the bank, retrieval, and a student that attends to them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from references import train_student
from replank.data.config import DataConfig
from replank.models.encoders import ENCODERS
from replank.models.source import open_source
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import DataError, ModelError, UsageError
from replank.text.tokenization import TextEncoder
from replank.text.tokens import Tokens
from replank_compress.layers import is_like_bert
from replank_compress.methods.kd import KdConfig
from replank_compress.references import bank as bank_module
from replank_compress.references.bank import ReferenceBank, bank_key, build_bank, read_bank, save_bank
from replank_compress.references.retrieval import (
    NO_REFERENCE,
    KeywordRetriever,
    RandomRetriever,
    Retriever,
    VectorRetriever,
)
from replank_compress.references.student import BankLookup, ConstantReference, References, attach_references
from small_models import INPUTS, make_model
from tiny import SPECIAL, sentences

SPECIAL_IDS = tuple(range(len(SPECIAL)))
WIDTH = 32


def tokens(*rows: Sequence[int]) -> list[Tokens]:
    return [Tokens([2, *row, 3], [0] * (len(row) + 2)) for row in rows]


def retrievers(references: Sequence[Tokens]) -> list[Retriever]:
    table = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    return [
        KeywordRetriever(references, 50, SPECIAL_IDS),
        VectorRetriever(references, table),
        RandomRetriever(references, seed=1),
    ]


@given(st.lists(st.lists(st.integers(5, 9), min_size=0, max_size=3), min_size=1, max_size=12))
def test_a_reference_is_never_the_text_itself_nor_its_duplicate(rows: list[list[int]]) -> None:
    texts = tokens(*rows)
    for retriever, again in zip(retrievers(texts), retrievers(texts), strict=True):
        found = retriever.nearest(texts)
        assert found.tolist() == again.nearest(texts).tolist()
        assert found.tolist() == [int(again.nearest([text])[0]) for text in texts]
        for text, row in zip(texts, found, strict=True):
            others = [other for other in texts if other.ids != text.ids]
            assert (row == NO_REFERENCE) == (not others)
            assert row == NO_REFERENCE or texts[row].ids != text.ids


def test_rare_words_in_common_make_a_reference() -> None:
    references = tokens([5, 6, 7, 20], [5, 6, 7, 21], [5, 6, 7, 22], [8, 21], [5, 6, 7, 8])
    retriever = KeywordRetriever(references, 50, SPECIAL_IDS)
    assert retriever.nearest(tokens([5, 6, 22], [21, 9], [30, 49])).tolist()[:2] == [2, 1]
    assert retriever.nearest(tokens([60, 22])).tolist() == [2]


def test_vectors_that_point_alike_make_a_reference() -> None:
    table = np.zeros((50, 3), dtype=np.float32)
    table[[10, 11, 12], [0, 1, 2]] = 1
    retriever = VectorRetriever(tokens([10], [11], [12]), table)
    assert retriever.nearest(tokens([11, 11], [12, 12, 10])).tolist() == [1, 2]


def test_random_references_are_of_every_row_and_by_seed() -> None:
    references = tokens(*([5 + index] for index in range(20)))
    texts = tokens(*([5 + index, 6] for index in range(30)))
    first, second = (RandomRetriever(references, seed).nearest(texts) for seed in (1, 2))
    assert len(set(first.tolist())) > 8
    assert first.tolist() != second.tolist()


@pytest.fixture
def teacher(predecessor: Path) -> Any:
    return load_torch_model(open_source(predecessor))


@pytest.fixture
def text_encoder(predecessor: Path) -> TextEncoder:
    return TextEncoder.from_folder(predecessor, 32)


@pytest.fixture
def texts(text_encoder: TextEncoder) -> list[Tokens]:
    return text_encoder.tokenize([text for text, _ in sentences(40, 5)])


def test_a_bank_holds_the_predecessors_states(teacher: Any, text_encoder: TextEncoder, texts: list[Tokens]) -> None:
    bank = build_bank(teacher.train(), texts, text_encoder, limit=6)
    assert len(bank) == 40
    for row in (0, 17, 39):
        ids = torch.tensor([texts[row].ids])
        with torch.no_grad():
            states = teacher.base_model(ids, output_hidden_states=True).hidden_states
        kept = slice(bank.starts[row], bank.starts[row + 1])
        assert len(bank.hidden[kept]) == min(6, len(texts[row]))
        for ours, theirs in ((bank.embeddings, states[0]), (bank.hidden, states[-1])):
            np.testing.assert_allclose(ours[kept], theirs[0, :6], atol=1e-2)
    assert bank.bytes == 2 * 2 * WIDTH * int(bank.starts[-1]) + 8 * 41


def test_a_bank_is_kept_and_of_nothing_else(
    teacher: Any, text_encoder: TextEncoder, texts: list[Tokens], tmp_path: Path
) -> None:
    file, key = tmp_path / "bank.safetensors", bank_key("teacher", texts, 6)
    bank = build_bank(teacher, texts, text_encoder, limit=6)
    save_bank(bank, file, key)
    assert read_bank(file, key).digest == bank.digest
    others = (bank_key("another", texts, 6), bank_key("teacher", texts[1:], 6), bank_key("teacher", texts, 7))
    for other in others:
        with pytest.raises(ModelError, match="is the bank of another predecessor, tokenizer or training split"):
            read_bank(file, other)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match="is damaged"):
        read_bank(file, key)
    with pytest.raises(ModelError, match="holds no reference bank that can be read"):
        read_bank(tmp_path / "nothing", key)


def test_an_empty_or_too_large_bank_is_refused(
    teacher: Any, text_encoder: TextEncoder, texts: list[Tokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="there is no training text to be a reference"):
        build_bank(teacher, [], text_encoder, 6)
    monkeypatch.setattr(bank_module, "_BYTES_PER_NUMBER", 2**40)
    with pytest.raises(UsageError, match=r"the reference bank has .* GiB; expected at most half of the memory"):
        build_bank(teacher, texts, text_encoder, 6)


def reference(rows: int = 2, length: int = 5, masked: bool = False) -> References:
    generator = torch.Generator().manual_seed(0)
    embeddings, hidden = (torch.randn(rows, length, WIDTH, generator=generator) for _ in range(2))
    return embeddings, hidden, torch.full((rows, length), int(not masked))


LIKE_BERT = [name for name in ENCODERS if is_like_bert(make_model(name))]


def logits(model: Any, given: References) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = attach_references(copy.deepcopy(model), lambda *_: given, WIDTH)(**INPUTS).logits
        return found


@pytest.mark.parametrize("model_type", LIKE_BERT)
def test_a_masked_reference_is_none(model_type: str) -> None:
    model = make_model(model_type)
    with torch.no_grad():
        plain = model(**INPUTS).logits
    assert float((logits(model, reference(masked=True)) - plain).abs().max()) <= 1e-6
    assert float((logits(model, reference()) - plain).abs().max()) > 1e-3


def test_the_architectures_that_take_references() -> None:
    assert {"bert", "roberta", "electra"} <= set(LIKE_BERT)
    with pytest.raises(ModelError, match="cannot take references"):
        attach_references(make_model("distilbert"), lambda *_: reference(), WIDTH)


def test_padding_and_order_of_a_reference_change_nothing() -> None:
    model, (embeddings, hidden, mask) = make_model(), reference()
    expected = logits(model, (embeddings, hidden, mask))
    padded = [torch.cat([part, 99 * torch.ones(2, 3, WIDTH)], dim=1) for part in (embeddings, hidden)]
    longer = torch.cat([mask, torch.zeros(2, 3, dtype=torch.long)], dim=1)
    assert torch.allclose(logits(model, (padded[0], padded[1], longer)), expected, atol=1e-6)
    order = torch.tensor([3, 0, 4, 1, 2])
    assert torch.allclose(logits(model, (embeddings[:, order], hidden[:, order], mask)), expected, atol=1e-6)


def test_the_lookup_is_the_retrievers_and_learns_nothing_into_the_bank() -> None:
    references = tokens([5, 20], [6, 21], [7, 22])
    starts = np.array([0, 4, 8, 12])
    states = np.random.default_rng(0).standard_normal((2, 12, WIDTH)).astype(np.float16)
    bank = ReferenceBank(states[0], states[1], starts)
    lookup = BankLookup(bank, KeywordRetriever(references, 50, SPECIAL_IDS), limit=2)
    ids, mask = torch.tensor([[2, 22, 3, 0], [2, 6, 21, 3]]), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    for _ in range(2):
        embeddings, hidden, is_there = lookup(ids, mask)
        np.testing.assert_array_equal(embeddings[0].numpy(), states[0, 8:12].astype(np.float32))
        assert is_there.tolist() == [[1] * 4] * 2
        # The second text is in the bank: its reference is another.
        assert not np.array_equal(hidden[1].numpy(), states[1, 4:8].astype(np.float32))
        assert not embeddings.requires_grad
    assert not bank.zeroed().batch([0])[0].any()
    assert bank.zeroed().bytes == bank.bytes
    nothing = bank.batch([NO_REFERENCE, 1])
    assert nothing[2].tolist() == [[0] * 4, [1] * 4]


def test_a_student_learns_its_references_matrices_and_a_constant_is_learned_too() -> None:
    constant = ConstantReference(4, WIDTH)
    for lookup, extra in ((lambda *_: reference(), 0), (constant, 2 * 4 * WIDTH)):
        model = make_model()
        before = sum(parameter.numel() for parameter in model.parameters())
        attach_references(model, lookup, WIDTH)
        assert sum(parameter.numel() for parameter in model.parameters()) == before + 2 * (WIDTH**2 + WIDTH) + extra
        torch.autograd.backward(model(**INPUTS, labels=torch.tensor([0, 1])).loss)
        gradients = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
        assert {"bert.encoder.layer.0.reference_key.weight", "bert.encoder.layer.0.reference_value.weight"} <= gradients
    assert constant.embeddings.grad is not None
    assert constant.hidden.grad is not None


@pytest.mark.parametrize("name", ["none", "keywords", "zeroed", "constant"])
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
