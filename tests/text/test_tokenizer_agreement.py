"""All files of a tokenizer count: the ids are those of transformers, from the source and from what is saved of it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_folder import ADDED, CLS, FILM, SEP, THE, change
from replank.system.json_files import read_json
from replank.text.tokenization import TextEncoder
from replank.text.tokenizer_files import save_tokenizer
from replank.text.tokenizer_reading import load_tokenizer
from tiny import SPECIAL, VOCABULARY
from tokenizer_folders import MODEL_TYPES, ids_by_replank, ids_by_transformers, reference, write_vocabulary

CUT_ON_THE_LEFT = {"direction": "Left", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
PADDED = {"strategy": {"Fixed": 50}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0}
PADDED |= {"pad_token": "[PAD]"}
TOKEN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
# A special token within a word is none.
WHOLE_WORDS = {
    str(index): TOKEN | {"content": text, "single_word": True, "normalized": False, "special": True}
    for index, text in enumerate(SPECIAL)
}


def lowercase(folder: Path, on: bool) -> None:
    written = read_json(folder / "tokenizer.json")
    written["normalizer"]["lowercase"] = on
    (folder / "tokenizer.json").write_text(json.dumps(written), encoding="utf-8")


def assert_ids_are_those_of_transformers(source: Path) -> None:
    right = ids_by_transformers(source)
    assert ids_by_replank(source) == right
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder)
        shutil.copyfile(source / "config.json", saved / "config.json")
        save_tokenizer(source, saved)
        assert load_tokenizer(saved).agrees
        assert ids_by_replank(saved) == right
        assert ids_by_transformers(saved) == right
        assert load_tokenizer(saved).pad_id == load_tokenizer(source).pad_id


def ids(folder: Path, text: str) -> list[int]:
    (tokens,) = TextEncoder.from_folder(folder, 16).tokenize([text])
    return tokens.ids


# Files that disagree


def test_the_case_is_that_of_the_settings(folder: Path) -> None:
    change(folder / "tokenizer_config.json", do_lower_case=False)
    assert ids(folder, "the FILM") == [CLS, THE, VOCABULARY.index("[UNK]"), SEP]
    lowercase(folder, False)
    assert ids(folder, "the FILM") == [CLS, THE, VOCABULARY.index("[UNK]"), SEP]
    change(folder / "tokenizer_config.json", do_lower_case=True)
    assert ids(folder, "the FILM") == [CLS, THE, FILM, SEP]


def test_tokens_that_stand_beside_tokenizer_json_are_added(folder: Path) -> None:
    (folder / "added_tokens.json").write_text(json.dumps({"covid": ADDED}), encoding="utf-8")
    assert ids(folder, "the covid film") == [CLS, THE, ADDED, FILM, SEP]
    assert TextEncoder.from_folder(folder, 16).vocabulary_size == len(VOCABULARY)


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("tokenizer_config.json", {"do_lower_case": False}),
        ("tokenizer_config.json", {"strip_accents": False}),
        ("tokenizer_config.json", {"tokenize_chinese_chars": False}),
        ("tokenizer_config.json", {"additional_special_tokens": ["<x>", "<y>"]}),
        ("tokenizer_config.json", {"extra_special_tokens": {"image_token": "<x>"}}),
        ("tokenizer_config.json", {"added_tokens_decoder": {str(ADDED): {"content": "covid", **TOKEN}}}),
        ("tokenizer_config.json", {"added_tokens_decoder": WHOLE_WORDS}),
        ("tokenizer_config.json", {"sep_token": "[MASK]"}),
        ("tokenizer_config.json", {"pad_token": "<x>"}),
        ("tokenizer_config.json", {"truncation_side": "left"}),
        ("tokenizer_config.json", {"split_special_tokens": True}),
        ("added_tokens.json", {"covid": ADDED}),
        ("special_tokens_map.json", {"cls_token": "the"}),
        ("special_tokens_map.json", {"mask_token": {"content": "<x>", "lstrip": True, "special": True}}),
        ("tokenizer.json", {"truncation": CUT_ON_THE_LEFT}),
    ],
)
def test_whatever_the_files_say(folder: Path, file: str, values: dict[str, Any]) -> None:
    before = ids_by_replank(folder)
    (folder / file).write_text(json.dumps(read_json(folder / file, optional=True) | values), encoding="utf-8")
    assert_ids_are_those_of_transformers(folder)
    assert ids_by_replank(folder) != before


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False}),
        ("tokenizer_config.json", {"tokenizer_class": "MyTokenizer", "do_lower_case": False}),
        ("tokenizer_config.json", {"add_prefix_space": False}),
        ("tokenizer.json", {"normalizer": None}),
        ("tokenizer.json", {"post_processor": None}),
        ("tokenizer.json", {"padding": PADDED}),
    ],
)
def test_what_its_class_does_not_read_changes_nothing(folder: Path, file: str, values: dict[str, Any]) -> None:
    before = ids_by_replank(folder)
    (folder / file).write_text(json.dumps(read_json(folder / file) | values), encoding="utf-8")
    assert_ids_are_those_of_transformers(folder)
    assert ids_by_replank(folder)[:2] == before[:2]


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_every_architecture(tmp_path: Path, model_type: str) -> None:
    """As it was first published, and as transformers saves it, which needs no transformers to be read."""
    source, saved = tmp_path / "source", tmp_path / "saved"
    write_vocabulary(source, model_type)
    assert_ids_are_those_of_transformers(source)
    reference(source).save_pretrained(saved)
    shutil.copyfile(source / "config.json", saved / "config.json")
    assert load_tokenizer(saved).agrees
    assert_ids_are_those_of_transformers(saved)


@pytest.fixture(scope="module")
def saved_by_transformers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder an architecture."""
    folder = tmp_path_factory.mktemp("saved")
    for model_type in MODEL_TYPES:
        source = tmp_path_factory.mktemp("source")
        write_vocabulary(source, model_type)
        reference(source).save_pretrained(folder / model_type)
        shutil.copyfile(source / "config.json", folder / model_type / "config.json")
    return folder


@pytest.mark.parametrize(
    ("model_type", "setting", "value"),
    [
        ("mpnet", "do_lower_case", False),
        ("distilbert", "strip_accents", False),
        ("roberta", "add_prefix_space", True),
        ("deberta", "add_prefix_space", True),
        ("deberta-v2", "do_lower_case", True),
        ("deberta-v2", "split_by_punct", True),
        ("deberta-v2", "add_prefix_space", False),
        ("xlm-roberta", "add_prefix_space", False),
        ("camembert", "add_prefix_space", False),
    ],
)
def test_settings_of_an_architecture(
    saved_by_transformers: Path, tmp_path: Path, model_type: str, setting: str, value: bool
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(saved_by_transformers / model_type, folder)
    before = ids_by_replank(folder)
    change(folder / "tokenizer_config.json", **{setting: value})
    assert_ids_are_those_of_transformers(folder)
    assert ids_by_replank(folder) != before


TOKENS = st.sampled_from(["[CLS]", "[MASK]", "<s>", "<x>", "the", "covid"])
FLAGS = st.booleans()


@given(
    model_type=st.sampled_from(MODEL_TYPES),
    changes=st.fixed_dictionaries(
        {},
        optional={
            "do_lower_case": FLAGS,
            "strip_accents": st.sampled_from([True, False, None]),
            "tokenize_chinese_chars": FLAGS,
            "add_prefix_space": FLAGS,
            "trim_offsets": FLAGS,
            "split_by_punct": FLAGS,
            "split_special_tokens": FLAGS,
            "truncation_side": st.sampled_from(["left", "right"]),
            "additional_special_tokens": st.lists(TOKENS, max_size=2, unique=True),
            "mask_token": TOKENS,
            "tokenizer_class": st.sampled_from(["PreTrainedTokenizerFast", "MyTokenizer"]),
        },
    ),
    flags=st.fixed_dictionaries({}, optional={"lstrip": FLAGS, "normalized": FLAGS, "special": FLAGS}),
    added=st.dictionaries(st.just("covid"), st.integers(0, 400), max_size=1),
)
@settings(max_examples=80, deadline=None)
def test_any_settings(
    saved_by_transformers: Path,
    model_type: str,
    changes: dict[str, Any],
    flags: dict[str, bool],
    added: dict[str, int],
) -> None:
    """Whether files agree is told without transformers: it may be told too rarely, but never wrongly."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "folder"
        shutil.copytree(saved_by_transformers / model_type, folder)
        change_files(folder, changes, flags, added)
        assert_ids_are_those_of_transformers(folder)


def change_files(folder: Path, changes: dict[str, Any], flags: dict[str, bool], added: dict[str, int]) -> None:
    change(folder / "tokenizer_config.json", **changes)
    written = read_json(folder / "tokenizer.json")
    written["added_tokens"][-1] |= flags
    (folder / "tokenizer.json").write_text(json.dumps(written), encoding="utf-8")
    if added:
        (folder / "added_tokens.json").write_text(json.dumps(added), encoding="utf-8")
