"""A trimmed vocabulary: texts of kept tokens keep tokens and answers, whatever the kind of tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

from commands import Replank
from embedding_folders import save_embedding_model
from replank.models.facts import TrimFacts
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import FieldError, UsageError
from replank.text.trimming import Vocabulary
from replank_compress.trim import TrimConfig, trim
from small_models import OWN_SETTINGS, make_model
from tiny import BAD, FILLER, GOOD, sentences, tiny_settings, write_tokenizer

TEXTS = [text for text, _ in sentences(200, seed=3)]
USED = ["the film is good", "a dull plot and a cold actor", "it is a lovely scene"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def write_trained_tokenizer(kind: str, folder: Path) -> int:
    """A BPE or unigram tokenizer trained on sentences; returns its size."""
    if kind == "BPE":
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=360, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=80, special_tokens=SPECIAL, unk_token="<unk>")
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.save(str(folder / "tokenizer.json"))
    names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **dict(zip(names, SPECIAL, strict=True))}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return tokenizer.get_vocab_size()


def model_with(kind: str, folder: Path) -> Path:
    """A random classifier with a tokenizer of a kind."""
    folder.mkdir()
    if kind == "WordPiece":
        make_model("bert", num_hidden_layers=1).save_pretrained(folder)
        write_tokenizer(folder)
        return folder
    size = write_trained_tokenizer(kind, folder)
    # RoBERTa counts positions from the padding's id.
    make_model("roberta", num_hidden_layers=1, vocab_size=size, pad_token_id=1).save_pretrained(folder)
    return folder


def texts_in(folder: Path, texts: list[str]) -> Path:
    """A file with a text a line."""
    file = folder / "texts.txt"
    file.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("kind", ["WordPiece", "BPE", "Unigram"])
def test_texts_of_kept_tokens_keep_tokens_and_answers(kind: str, tmp_path: Path) -> None:
    source = open_source(model_with(kind, tmp_path / "model"))
    artifact = trim(source, tmp_path / "out", TrimConfig(texts_in(tmp_path, USED)))
    facts = artifact.manifest.made_by.facts_of(TrimFacts)
    before, after = facts.tokens
    assert after < before
    assert (facts.rows, facts.changed_rows) == (3, 0)
    assert facts.unknown[0] == facts.unknown[1]
    one, other = load_model(source), load_model(open_source(artifact.path))
    assert other.source.config["vocab_size"] == after
    tokenizers = [Tokenizer.from_file(str(folder / "tokenizer.json")) for folder in (source.folder, artifact.path)]
    for text in USED:
        first, second = (tokenizer.encode(text).tokens for tokenizer in tokenizers)
        assert first == second
    torch.testing.assert_close(
        torch.from_numpy(one.logits(USED)), torch.from_numpy(other.logits(USED)), atol=1e-6, rtol=1e-6
    )
    # Any other text can still be read: every single character, or byte, is a token yet.
    assert tokenizers[1].encode("superb").tokens != tokenizers[0].encode("superb").tokens or kind == "Unigram"
    unknown = Vocabulary(json.loads((artifact.path / "tokenizer.json").read_text())).content["model"].get("unk_token")
    assert unknown not in tokenizers[1].encode("superb").tokens


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32])
def test_weights_keep_the_type_that_they_are_stored_in(stored: torch.dtype, tmp_path: Path) -> None:
    folder = model_with("WordPiece", tmp_path / "model")
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=stored)
    model.save_pretrained(folder)
    artifact = trim(open_source(folder), tmp_path / "out", TrimConfig(texts_in(tmp_path, USED)))
    before, after = artifact.manifest.made_by.facts_of(TrimFacts).bytes
    assert after < before
    assert load_file(artifact.path / "model.safetensors")["classifier.weight"].dtype == stored


def test_a_bpe_token_keeps_what_it_is_merged_from(tmp_path: Path) -> None:
    write_trained_tokenizer("BPE", tmp_path)
    vocabulary = Vocabulary(json.loads((tmp_path / "tokenizer.json").read_text()))
    ids = {token: index for index, token in vocabulary.tokens.items()}
    whole = max(ids, key=len)
    kept = vocabulary.with_parts({ids[whole]})
    content = vocabulary.without_others(sorted(kept | vocabulary.required()))
    assert whole in content["model"]["vocab"]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    assert tokenizer.encode(whole.replace("Ġ", " ").strip()).tokens[1:-1] == [whole]


def test_rare_tokens_go_below_a_coverage_and_that_is_told(tmp_path: Path) -> None:
    source = open_source(model_with("WordPiece", tmp_path / "model"))
    texts = ["the film"] * 99 + ["superb music"]
    facts = {}
    for coverage in (1.0, 0.99):
        out = tmp_path / str(coverage)
        made = trim(source, out, TrimConfig(texts_in(tmp_path, texts), coverage=coverage))
        facts[coverage] = made.manifest.made_by.facts_of(TrimFacts)
    assert (facts[1.0].changed_rows, facts[0.99].changed_rows) == (0, 1)
    assert facts[0.99].tokens[1] == facts[1.0].tokens[1] - 2
    assert facts[0.99].tokens_per_text[1] > facts[1.0].tokens_per_text[1]


@pytest.mark.parametrize("model_type", ["bert", "roberta", "deberta-v2", "modernbert", "xlm-roberta", "distilbert"])
def test_a_masked_language_model_answers_over_the_kept_tokens(model_type: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = tiny_settings(num_hidden_layers=1) | OWN_SETTINGS.get(model_type, {})
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(model_type, **settings))  # type: ignore[no-untyped-call]
    model.save_pretrained(tmp_path / "model")
    write_tokenizer(tmp_path / "model")
    artifact = trim(open_source(tmp_path / "model"), tmp_path / "out", TrimConfig(texts_in(tmp_path, USED)))
    assert artifact.manifest.task.kind.name == "masked-lm"
    facts = artifact.manifest.made_by.facts_of(TrimFacts)
    assert (
        AutoModelForMaskedLM.from_pretrained(artifact.path).get_output_embeddings().weight.shape[0] == facts.tokens[1]
    )


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    source = open_source(model_with("WordPiece", tmp_path / "model"))
    with pytest.raises(FieldError, match="`coverage` is 0; expected more than 0"):
        TrimConfig("texts.txt", coverage=0)
    everything = [*FILLER, *GOOD, *BAD]
    with pytest.raises(UsageError, match="needs every token of"):
        trim(source, tmp_path / "out", TrimConfig(texts_in(tmp_path, everything)))
    assert not (tmp_path / "out").exists()


def test_no_coverage_is_asked_for_where_the_padding_keeps_every_token(tmp_path: Path) -> None:
    folder = model_with("WordPiece", tmp_path / "bert")
    size = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["[LAST]"])
    changes = {"vocab_size": size + 1, "pad_token_id": size, "max_position_embeddings": size + 65}
    make_model("roberta", num_hidden_layers=1, **changes).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"pad_token": "[LAST]"}))
    with pytest.raises(UsageError, match="needs every token of") as refusal:
        trim(open_source(folder), tmp_path / "out", TrimConfig(texts_in(tmp_path, USED)))
    assert refusal.value.hint == f"pad_token_id is {size}, from which positions are counted: no token below it can go"


def test_an_embedding_model_stays_one_to_sentence_transformers(tmp_path: Path) -> None:
    folder = save_embedding_model(tmp_path / "model", {"pooling_mode_cls_token": True}, "Normalize")
    source = open_source(folder)
    artifact = trim(source, tmp_path / "out", TrimConfig(texts_in(tmp_path, USED)))
    for name in ("modules.json", "1_Pooling/config.json", "config_sentence_transformers.json"):
        assert (artifact.path / name).read_bytes() == (folder / name).read_bytes()
    assert artifact.manifest.task == source.task


def test_the_command_tells_what_it_did(replank: Replank, tmp_path: Path) -> None:
    model = model_with("WordPiece", tmp_path / "model")
    done = replank("trim", model, tmp_path / "out", "--texts", texts_in(tmp_path, USED))
    assert done.code == 0, done.err
    assert "0 of 3 texts" in done.out + done.err
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
