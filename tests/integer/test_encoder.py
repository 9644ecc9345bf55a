"""Whole encoders in integers: close to torch, in every family, and bounded whatever the weights are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from integer_encoders import FAMILIES, integer_encoder, random_inputs, ranges_of
from replank.integer.families import family_of
from replank.integer.ranges import Ranges, read_ranges, write_ranges
from replank.integer.trace import Trace
from replank.system.errors import ModelError
from small_models import make_model


def states(model: Any, ids: Any, mask: Any) -> Any:
    with torch.inference_mode():
        return model.base_model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))[0].numpy()


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_are_close_to_torchs(family: str, per_channel: bool) -> None:
    model = make_model(family, **FAMILIES[family])
    ids, mask = random_inputs(model, 6, 20)
    encoder = integer_encoder(model, ranges_of(model, ids, mask, per_channel=per_channel))
    real, kept = states(model, ids, mask), mask != 0
    difference = (encoder(ids, mask) * encoder.scale - real)[kept]
    # 20 dB of signal over noise: one part in ten, after four layers of random weights.
    assert (difference**2).mean() < (real[kept] ** 2).mean() / 100


def test_padding_changes_nothing() -> None:
    model = make_model()
    ids, mask = random_inputs(model, 4, 12)
    encoder = integer_encoder(model, ranges_of(model, ids, mask))
    whole = encoder(ids, mask)
    padded = encoder(np.pad(ids, ((0, 1), (0, 5))), np.pad(mask, ((0, 1), (0, 5))))  # and a row of padding alone
    assert (padded[:4, :12][mask != 0] == whole[mask != 0]).all()


def test_no_weights_overflow() -> None:
    model = make_model()
    with torch.no_grad():
        for number, (name, weight) in enumerate(model.named_parameters()):
            weight *= (1e-9, 1.0, 1e6)[number % 3]
            if name.endswith("LayerNorm.weight"):
                weight[::3] = 0.0
            weight[..., 1] = 0.0
    ids, mask = random_inputs(model, 4, 12)
    trace = Trace()
    integer_encoder(model, ranges_of(model, ids, mask))(ids, mask, observe=trace)
    assert not [name for name, (value, bits) in trace.found.items() if value >= 2 ** (bits - 1)]


def test_what_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"'mpnet'.*relative positions"):
        family_of({"model_type": "mpnet"}, "m")
    with pytest.raises(ModelError, match="norms come before attention"):
        family_of({"model_type": "megatron-bert"}, "m")
    with pytest.raises(ModelError, match="activation 'relu'"):
        family_of({"model_type": "bert", "hidden_act": "relu"}, "m")
    with pytest.raises(ModelError, match="activation 'quick_gelu'"):
        family_of({"model_type": "distilbert", "activation": "quick_gelu"}, "m")


def test_ranges_that_mean_nothing_are_refused_by_the_activations_name(tmp_path: Any) -> None:
    model = make_model()
    ids, mask = random_inputs(model, 2, 8)
    ranges = ranges_of(model, ids, mask)
    with pytest.raises(ModelError, match=r"layers\.1\.gelu is nan"):
        Ranges({**ranges, "layers.1.gelu": float("nan")})
    with pytest.raises(ModelError, match=r"no range of the activation layers\.3\.key"):
        integer_encoder(model, Ranges({name: end for name, end in ranges.items() if name != "layers.3.key"}))
    write_ranges(tmp_path, ranges)
    read = read_ranges(tmp_path)
    assert read is not None
    assert {name: end.tolist() for name, end in read.items()} == {name: end.tolist() for name, end in ranges.items()}
