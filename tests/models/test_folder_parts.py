"""Parts of a folder that do not fit each other, or say less than others do; one model through several doors."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers
from tokenizers import AddedToken, Tokenizer

from model_folder import change
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import ModelError
from tiny import VOCABULARY, tiny_settings, write_tokenizer

TEXTS = ["a good film", "the very dull plot of a film with music"]


# Tokenizer and embeddings


def add_tokens(folder: Path, *tokens: str) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(token) for token in tokens])
    tokenizer.save(str(folder / "tokenizer.json"))


def test_a_tokenizer_with_more_tokens_than_the_embeddings(plain: Path, plain_graph: Path) -> None:
    rows = len(VOCABULARY)
    for folder in (plain, plain_graph):
        add_tokens(folder, "<user>", "<url>")
        message = rf"the tokenizer has token ids up to {rows}, the embeddings have {rows} rows"
        with pytest.raises(ModelError, match=message) as refusal:
            open_source(folder)
        assert "resize_token_embeddings" in str(refusal.value.hint)


def test_embeddings_with_more_rows_than_tokens_are_usual(tmp_path: Path) -> None:
    config = transformers.BertConfig(**tiny_settings(vocab_size=len(VOCABULARY) + 7, num_hidden_layers=1))
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    assert len(load_model(open_source(tmp_path)).predict(TEXTS)) == 2


# One model through several doors


def test_one_model_is_described_alike_through_every_door(
    predecessor: Path, plain: Path, plain_graph: Path, onnx_artifact: Path
) -> None:
    for artifact, folder in ((predecessor, plain), (onnx_artifact, plain_graph)):
        one, other = open_source(artifact), open_source(folder)
        for source in (one, other):
            assert (source.task.kind.name, source.task.labels) == ("classification", ("negative", "positive"))
            assert source.position_limit == 64
        assert (one.layers, one.encoder) == (other.layers, other.encoder)
        assert load_model(one).logits(TEXTS).tolist() == load_model(other).logits(TEXTS).tolist()


@pytest.mark.parametrize(("limit", "length"), [(20, 20), (64, 64), (512, 64), (int(1e30), 64)])
def test_the_nearer_of_the_models_limit_and_the_tokenizers(plain: Path, limit: int, length: int) -> None:
    change(plain / "tokenizer_config.json", model_max_length=limit)
    source = open_source(plain)
    assert source.task.max_length == length
    (tokens,) = source.text_encoder(source.task).tokenize(["a good film " * 40])
    truth = transformers.AutoTokenizer.from_pretrained(plain)("a good film " * 40, truncation=True, max_length=length)
    assert tokens.ids == truth["input_ids"]


def test_one_segment_type_where_the_tokenizer_makes_two(tmp_path: Path) -> None:
    settings = tiny_settings(num_hidden_layers=1, type_vocab_size=1, max_position_embeddings=66, pad_token_id=0)
    transformers.RobertaForSequenceClassification(transformers.RobertaConfig(**settings)).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    names = ["input_ids", "token_type_ids", "attention_mask"]
    change(tmp_path / "tokenizer_config.json", model_input_names=names)
    with pytest.raises(ModelError, match="gives the texts of a pair 2 segment types, the model has 1") as refusal:
        open_source(tmp_path)
    assert "take token_type_ids out of model_input_names" in str(refusal.value.hint)
    change(tmp_path / "tokenizer_config.json", model_input_names=[name for name in names if "type" not in name])
    assert len(load_model(open_source(tmp_path)).predict([("a good film", "the plot")])) == 1
