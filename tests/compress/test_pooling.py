"""Length by pooling: which positions are left, and what they are made of."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForMaskedLM

from replank.models.encoders import ENCODERS
from replank.system.errors import FieldError
from replank.tasks.kinds.learning import IGNORED
from replank_compress.growing import masked_lm
from replank_compress.growing.flops import training_flops
from replank_compress.growing.masked_lm import masked_lm_loss
from replank_compress.growing.pooling import pooling_matrix, require_poolable
from tiny import tiny_settings

POOLABLE = ["bert", "electra", "roberta", "xlm-roberta", "camembert", "data2vec-text", "ernie"]


def make_masked_lm(model_type: str = "bert", **changes: Any) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **tiny_settings(**changes))
    return AutoModelForMaskedLM.from_config(config).eval()  # type: ignore[no-untyped-call]


def make_batch(lengths: tuple[int, ...] = (20, 15, 9), longest: int = 20) -> dict[str, torch.Tensor]:
    """Rows of random tokens with two asked tokens each, the last row with one, padded."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 40, (len(lengths), longest), generator=generator)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    labels = torch.full_like(ids, IGNORED)
    for row, length in enumerate(lengths):
        for place in (3, length - 2) if row < len(lengths) - 1 else (4,):
            labels[row, place] = ids[row, place]
    return {"input_ids": ids * mask, "attention_mask": mask, "labels": labels}


@given(st.data(), st.integers(1, 5))
def test_what_is_pooled(data: st.DataObject, size: int) -> None:
    """On random texts: the number of positions, what each is the mean of, and that padding is part of none."""
    length = data.draw(st.integers(1, 24))
    asked_places = data.draw(st.sets(st.integers(1, length - 1), max_size=5)) if length > 1 else set()
    padding = data.draw(st.integers(0, 4))
    mask = torch.tensor([[1] * length + [0] * padding])
    asked = torch.tensor([[place in asked_places for place in range(length + padding)]])
    matrix, groups = pooling_matrix(mask, asked, size)
    plain = length - len(asked_places)
    assert int(groups) == 1 + math.ceil((plain - 1) / size)
    assert matrix.shape == (1, int(groups) + len(asked_places), length + padding)
    assert torch.allclose(matrix.sum(-1), torch.ones(1))
    assert not matrix[..., length:].any()
    rows = [{int(place) for place in row.nonzero()} for row in matrix[0]]
    assert rows[0] == {0}
    assert rows[int(groups) :] == [{place} for place in sorted(asked_places)]
    others = [place for place in range(1, length) if place not in asked_places]
    assert rows[1 : int(groups)] == [set(others[at : at + size]) for at in range(0, len(others), size)]


@pytest.mark.parametrize("model_type", list(ENCODERS))
def test_the_head_for_asked_tokens_alone_gives_the_same_loss(model_type: str) -> None:
    model, inputs = make_masked_lm(model_type), make_batch()
    with torch.no_grad():
        assert float(masked_lm_loss(model, inputs)) == pytest.approx(float(model(**inputs).loss), abs=1e-5)


@pytest.mark.parametrize("model_type", POOLABLE)
def test_pooling_one_token_is_no_pooling(model_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pooled way of computing, with groups of one: the order of positions does not matter."""
    model, inputs = make_masked_lm(model_type), make_batch()
    require_poolable(model)
    monkeypatch.setattr(masked_lm, "pooling_matrix", lambda mask, asked, _: pooling_matrix(mask, asked, 1))
    with torch.no_grad():
        assert float(masked_lm_loss(model, inputs, 2)) == pytest.approx(float(model(**inputs).loss), abs=1e-5)


def test_other_architectures_are_refused() -> None:
    assert {name for name in ENCODERS if name not in POOLABLE}
    for model_type in ENCODERS:
        if model_type not in POOLABLE:
            with pytest.raises(FieldError, match=r"expected 1 with \w+, whose layers are not built as BERT's"):
                require_poolable(make_masked_lm(model_type))


def test_padding_changes_nothing() -> None:
    model = make_masked_lm()
    with torch.no_grad():
        for lengths in ((20,), (15,), (9, 9)):
            short, long = (make_batch(lengths, longest) for longest in (20, 31))
            for name in ("input_ids", "labels"):
                long[name][:, :20] = short[name]
            assert float(masked_lm_loss(model, long, 3)) == pytest.approx(
                float(masked_lm_loss(model, short, 3)), abs=1e-5
            )


def test_the_first_layers_keys_are_not_pooled_and_later_layers_are_short() -> None:
    model, inputs = make_masked_lm(), make_batch((20,))
    seen: dict[str, int] = {}
    first, second = (layer.attention.self for layer in model.bert.encoder.layer[:2])
    for name, module in {"q1": first.query, "k1": first.key, "v1": first.value, "k2": second.key}.items():
        module.register_forward_hook(lambda _, given, __, name=name: seen.update({name: given[0].shape[1]}))
    masked_lm_loss(model, inputs, 4)
    short = 1 + math.ceil(18 / 4) + 1
    assert seen == {"q1": short, "k1": 20, "v1": 20, "k2": short}


def test_positions_learn_under_pooling_and_not_under_truncation() -> None:
    model = make_masked_lm()
    whole = make_batch((20,))
    positions = model.bert.embeddings.position_embeddings.weight
    torch.autograd.backward(masked_lm_loss(model, whole, 2))
    assert positions.grad[:20].abs().sum(1).min() > 0
    model.zero_grad()
    torch.autograd.backward(masked_lm_loss(model, {name: value[:, :10] for name, value in whole.items()}))
    assert positions.grad[:10].abs().sum(1).min() > 0
    assert not positions.grad[10:].any()


def test_flops_are_those_of_the_matrix_multiplications() -> None:
    """Counted by hand: two per multiply-accumulate, and the backward pass twice the forward one."""
    model, inputs = make_masked_lm(num_hidden_layers=3), make_batch((20,))
    before = torch.random.get_rng_state()
    hidden, width, vocabulary, asked = 32, 64, tiny_settings()["vocab_size"], 1

    def layer(queries: int, keys: int) -> int:
        linear = 2 * queries * hidden**2 + 2 * keys * hidden**2 + 2 * queries * hidden * width
        return linear + 2 * queries * keys * hidden

    head = asked * (hidden**2 + hidden * vocabulary)
    short = 1 + math.ceil(18 / 2) + 1
    assert training_flops(model, inputs) == 6 * (3 * layer(20, 20) + head)
    assert training_flops(model, inputs, 2) == 6 * (layer(short, 20) + 2 * layer(short, short) + head) + _pooling(short)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), before)


def _pooling(short: int) -> int:
    """The product with the matrix of means, forward and backward; the matrix itself has no gradient."""
    return 2 * 2 * short * 20 * 32
