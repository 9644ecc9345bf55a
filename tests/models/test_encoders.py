"""The table of architectures, compared with the models that transformers builds."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from replank.models.encoder import Encoder
from replank.models.encoders import ENCODERS, encoder_of
from small_models import make_model


@pytest.mark.parametrize("padding_id", [1, 3])
@pytest.mark.parametrize("model_type", list(ENCODERS))
def test_as_many_positions_as_the_model_takes_and_no_more(model_type: str, padding_id: int) -> None:
    # RoBERTa and its relatives count positions from the padding's id, which is 1 in most published models.
    model = make_model(model_type, pad_token_id=padding_id)
    limit = ENCODERS[model_type].position_limit(model.config.to_dict())
    model(input_ids=torch.full((1, limit), 7))
    # Rotary positions have no table that ends; their limit is that of the training.
    if any("position_embeddings" in name for name, _ in model.named_parameters()):
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, limit + 1), 7))


@pytest.mark.parametrize("model_type", list(ENCODERS))
def test_shape_and_weights_are_told_as_they_are(model_type: str) -> None:
    model = make_model(model_type)
    config, encoder = model.config.to_dict(), ENCODERS[model_type]
    assert (encoder.layers(config), encoder.heads(config), encoder.hidden_size(config)) == (4, 4, 32)
    assert encoder.activation(config) == ("silu" if model_type in ("eurobert", "nomic_bert") else "gelu")
    assert encoder.head_width(config) == 8
    names = [name for name, _ in model.named_parameters()]
    assert {encoder.layer_of(name) for name in names} == {0, 1, 2, 3, None}
    assert [name for name in names if encoder.is_in_stack(name)] == [
        name for name in names if re.search(r"\.layers?\.\d", name)
    ]
    assert any(encoder.is_in_embeddings(name) for name in names)
    tables = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Embedding)}
    assert {name for name in names if encoder.is_table(name)} == tables


@pytest.mark.parametrize(("model_type", "module"), [("electra", "embeddings_project"), ("deberta", "embed_proj")])
def test_a_projection_of_narrow_embeddings_is_per_token(model_type: str, module: str) -> None:
    model = make_model(model_type, embedding_size=16)
    per_token = [name for name, _ in model.named_parameters() if ENCODERS[model_type].is_per_token(name)]
    assert [name for name in per_token if module in name]
    assert not [name for name in per_token if "classifier" in name]


def test_only_some_settings_of_deberta_have_scores_that_are_not_counted() -> None:
    deberta = ENCODERS["deberta"]
    assert deberta.has_extra_scores({"relative_attention": True})
    assert not deberta.has_extra_scores({"relative_attention": False})
    assert not ENCODERS["bert"].has_extra_scores({"relative_attention": True})


def test_local_layers_are_counted_in_files_of_any_age() -> None:
    encoder = ENCODERS["modernbert"]
    config = make_model("modernbert", num_hidden_layers=6).config.to_dict()
    assert encoder.local_layers(config) == 4
    assert encoder.local_layers(config | {"layer_types": None}) == 4
    assert encoder.local_layers(config | {"layer_types": None, "global_attn_every_n_layers": 2}) == 3
    assert ENCODERS["bert"].local_layers(config) == 0


def test_a_plain_encoder_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS, "nova", Encoder("nova", stack="blocks"))
    assert encoder_of({"model_type": "nova"}, "x").layer_of("nova.blocks.3.dense.bias") == 3
