"""Module replacing, bit for bit: what runs, what learns, what comes out."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from replank.models.encoders import ENCODERS
from replank.system.errors import FieldError, UsageError
from replank_compress.layers import assemble, group_sizes, layer_stack
from replank_compress.successor import initial_layers
from small_models import INPUTS, make_model, make_replacement


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = model(**INPUTS).logits
    return result


@pytest.mark.parametrize("gates", list(itertools.product([False, True], repeat=6)))
def test_every_pattern_of_gates_equals_a_stack_assembled_by_hand(gates: tuple[bool, ...]) -> None:
    model = make_model(num_hidden_layers=12)
    replacement = make_replacement(copy.deepcopy(model), *[2] * 6)
    for module in replacement.modules:
        for parameter in module.successor.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    parts = [
        [module.successor] if gate else list(module.predecessor)
        for module, gate in zip(replacement.modules, gates, strict=True)
    ]
    by_hand = copy.deepcopy(model)
    by_hand.bert.encoder.layer = nn.ModuleList(copy.deepcopy(layer) for part in parts for layer in part)
    replacement.replace(gates)
    assert torch.equal(logits(replacement.model.train()), logits(by_hand.train()))
    if all(gates):
        assert torch.equal(logits(replacement.model.train()), logits(replacement.extract()))
    if not any(gates):
        assert torch.equal(logits(replacement.model.train()), logits(model))


@pytest.mark.parametrize("model_type", list(ENCODERS))
@pytest.mark.parametrize("sizes", [(2, 2), (1, 3)])
def test_unreplaced_is_the_predecessor_and_extracted_is_the_successor(model_type: str, sizes: tuple[int, ...]) -> None:
    model = make_model(model_type)
    replacement = make_replacement(copy.deepcopy(model), *sizes)
    replacement.replace((False, False))
    assert torch.equal(logits(replacement.model.train()), logits(model))
    successor = replacement.extract()
    assert successor.config.num_hidden_layers == len(layer_stack(successor)) == 2
    assert torch.equal(logits(replacement.model.eval()), logits(successor))
    assert not torch.equal(logits(successor), logits(model))


def test_only_the_drawn_branch_runs() -> None:
    replacement = make_replacement(make_model())
    ran: list[nn.Module] = []
    for module in replacement.modules:
        for layer in (*module.predecessor, module.successor):
            layer.register_forward_hook(lambda layer, *_: ran.append(layer))
    replacement.replace((True, False))
    logits(replacement.model.train())
    first, second = replacement.modules
    assert ran == [first.successor, *second.predecessor]


def test_evaluation_ignores_the_gates() -> None:
    replacement = make_replacement(make_model())
    replacement.replace((True, True))
    expected = logits(replacement.model.eval())
    replacement.replace((False, False))
    assert torch.equal(logits(replacement.model.eval()), expected)


def test_only_drawn_successors_learn_and_gradients_pass_through_frozen_layers() -> None:
    replacement = make_replacement(make_model(num_hidden_layers=12), *[2] * 6)
    replacement.replace((True, False, False, False, False, False))
    replacement.model.train()(**INPUTS, labels=torch.tensor([0, 1])).loss.backward()
    first, *others = replacement.modules
    assert all(parameter.grad is not None for parameter in first.successor.parameters())
    assert sum(float(p.grad.abs().sum()) for p in first.successor.parameters() if p.grad is not None) > 0
    learnt = {id(parameter) for parameter in first.successor.parameters()}
    assert all(p.grad is None for p in replacement.model.parameters() if id(p) not in learnt)
    assert all(parameter.requires_grad for module in others for parameter in module.successor.parameters())


def test_neither_momentum_nor_weight_decay_moves_an_undrawn_layer() -> None:
    """Nor anything of the predecessor, whatever is drawn."""
    replacement = make_replacement(make_model())
    first, second = replacement.modules
    frozen = {name: p.clone() for name, p in replacement.model.named_parameters() if not p.requires_grad}
    learning = [p for p in replacement.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=0.1, weight_decay=0.1)

    def step(*gates: bool) -> None:
        replacement.replace(gates)
        optimizer.zero_grad()
        replacement.model.train()(**INPUTS, labels=torch.tensor([0, 1])).loss.backward()
        optimizer.step()

    step(True, True)  # both have momentum now
    before = [copy.deepcopy(module.successor.state_dict()) for module in (first, second)]
    step(True, False)
    after = [module.successor.state_dict() for module in (first, second)]
    assert any(not torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert all(torch.equal(before[1][name], after[1][name]) for name in before[1])
    now = dict(replacement.model.named_parameters())
    assert {name.split(".")[1] for name in frozen} == {"embeddings", "encoder", "pooler", "weight", "bias"}
    assert all(torch.equal(value, now[name]) for name, value in frozen.items())


@pytest.mark.parametrize(
    ("parts", "head", "embeddings"),
    [((), False, False), (("head",), True, False), (("embeddings", "head"), True, True)],
)
def test_what_is_shared_learns_only_when_told(parts: tuple[str, ...], head: bool, embeddings: bool) -> None:
    replacement = make_replacement(make_model())
    replacement.train_shared(parts)
    model = replacement.model
    assert model.classifier.weight.requires_grad is model.bert.pooler.dense.weight.requires_grad is head
    assert model.bert.embeddings.word_embeddings.weight.requires_grad is embeddings
    assert model.bert.embeddings.LayerNorm.weight.requires_grad is embeddings
    assert not any(p.requires_grad for module in replacement.modules for p in module.predecessor.parameters())


def test_the_successor_of_bert_base_has_the_papers_size() -> None:
    """66,955,008 parameters of six layers, without the classifier; counted without memory for them."""
    with torch.device("meta"):
        config = AutoConfig.for_model("bert", num_hidden_layers=12)
        model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
        successor = assemble(model, list(layer_stack(model))[:6])
    counts = [sum(p.numel() for p in m.base_model.parameters()) for m in (model, successor)]
    assert counts == [109_482_240, 66_955_008]


def test_layers_start_as_the_first_or_as_those_of_each_group() -> None:
    model = make_model(num_hidden_layers=6)
    stack = layer_stack(model)

    def sources(sizes: tuple[int, ...], choice: str) -> list[int]:
        weights = [layer.output.dense.weight for layer in initial_layers(model, sizes, choice)]  # type: ignore[union-attr]
        return [next(i for i, own in enumerate(stack) if torch.equal(own.output.dense.weight, w)) for w in weights]  # type: ignore[union-attr,arg-type]

    assert sources((2, 2, 2), "first") == [0, 1, 2]
    assert sources((2, 2, 2), "spread") == [0, 2, 4]
    assert sources((1, 2, 3), "spread") == [0, 1, 3]


@pytest.mark.parametrize(
    ("layers", "grouping", "expected"),
    [(None, None, (2,) * 6), (4, None, (3,) * 4), (None, (1, 2, 3, 6), (1, 2, 3, 6)), (2, (1, 11), (1, 11))],
)
def test_groups(layers: int | None, grouping: tuple[int, ...] | None, expected: tuple[int, ...]) -> None:
    assert group_sizes(12, layers, grouping) == expected


@pytest.mark.parametrize("layers", [3, 4, 5, 0])
def test_layers_that_do_not_divide_are_refused(layers: int) -> None:
    expected = f"`layers` is {layers}; expected a divisor of 4, the predecessor's layers: 2, 1"
    with pytest.raises(FieldError, match=expected) as refusal:
        group_sizes(4, layers, None)
    assert ("`grouping=1,1,2`" in str(refusal.value.hint)) is (layers == 3)


def test_a_single_layer_is_refused() -> None:
    with pytest.raises(FieldError, match="none, as there is nothing to compress"):
        group_sizes(1, None, None)


@pytest.mark.parametrize(
    ("layers", "grouping", "message"),
    [
        (None, (1, 2), "`grouping` is 1, 2; expected sizes of 1 or more that add up to 4, the predecessor's layers"),
        (None, (0, 4), "`grouping` is 0, 4"),
        (None, (), "`grouping` is empty"),
        (None, (1, 1, 1, 1), "nothing to compress"),
        (3, (2, 2), "`layers=3` contradicts `grouping`, which has 2 groups"),
    ],
)
def test_groups_that_do_not_fit_are_refused(layers: int | None, grouping: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        group_sizes(4, layers, grouping)
