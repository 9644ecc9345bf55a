"""Tokenizers of model folders: copied, converted, or refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from model_folder import CLS, FILM, GOOD, SEP, THE
from replank.system.errors import ModelError
from replank.system.json_files import read_json
from replank.text.padding import INPUT_NAMES
from replank.text.tokenization import TextEncoder
from replank.text.tokenizer_files import save_tokenizer
from tiny import VOCABULARY, tiny_settings


def test_saving_a_tokenizer_keeps_it_byte_for_byte(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("target")
    save_tokenizer(folder, target)
    assert (target / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    before, after = (read_json(place / "tokenizer_config.json") for place in (folder, target))
    assert after == before | {"model_input_names": list(INPUT_NAMES)}
    shutil.copyfile(folder / "config.json", target / "config.json")
    again = tmp_path_factory.mktemp("again")
    save_tokenizer(target, again)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (again / name).read_bytes() == (target / name).read_bytes()


def test_a_vocabulary_alone_is_made_a_tokenizer(tmp_path: Path) -> None:
    """As folders from before tokenizer.json hold it; transformers converts."""
    source, target = tmp_path / "source", tmp_path / "target"
    for place in (source, target):
        place.mkdir()
    (source / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    (source / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}', encoding="utf-8")
    config = {"model_type": "bert"} | tiny_settings(type_vocab_size=2)
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_tokenizer(source, target)
    shutil.copyfile(source / "config.json", target / "config.json")
    for place in (source, target):
        encoder = TextEncoder.from_folder(place, 16)
        batch = encoder.pad(encoder.tokenize(["The good film", ""], ["the", ""]))
        assert batch.input_ids.tolist() == [[CLS, THE, GOOD, FILM, SEP, THE, SEP], [CLS, SEP, SEP, 0, 0, 0, 0]]


def test_a_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json") as refusal:
        TextEncoder.from_folder(folder, 16)
    assert refusal.value.hint == "save the tokenizer into the model's folder"


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"model": {"type": "none"}}'])
def test_a_broken_tokenizer_is_named(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=rf"cannot read {folder}/tokenizer\.json"):
        TextEncoder.from_folder(folder, 16)
