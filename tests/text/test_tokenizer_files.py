"""Tokenizers of model folders: read, copied, or refused by name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import transformers

from model_folder import ADDED, CLS, FILM, GOOD, SEP, THE, change
from replank.system import extras
from replank.system.errors import MissingExtraError, ModelError
from replank.system.json_files import read_json
from replank.text import transformers_tokenizer
from replank.text.padding import INPUT_NAMES
from replank.text.tokenization import TextEncoder
from replank.text.tokenizer_check import check_tokenizer, require_same_ids
from replank.text.tokenizer_files import save_tokenizer
from tokenizer_folders import reference, write_vocabulary


def saved(source: Path, target: Path) -> Path:
    shutil.copyfile(source / "config.json", target / "config.json")
    save_tokenizer(source, target)
    return target


def test_saving_a_tokenizer_keeps_it_byte_for_byte(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = saved(folder, tmp_path_factory.mktemp("target"))
    assert (target / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    before, after = (read_json(place / "tokenizer_config.json") for place in (folder, target))
    assert after == before | {"model_input_names": list(INPUT_NAMES)}
    again = saved(target, tmp_path_factory.mktemp("again"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (again / name).read_bytes() == (target / name).read_bytes()


def test_a_vocabulary_alone_is_made_a_tokenizer(tmp_path: Path, folder: Path) -> None:
    """As folders from before tokenizer.json hold it; transformers converts."""
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    write_vocabulary(source, "bert")
    saved(source, target)
    for place in (source, target):
        encoder = TextEncoder.from_folder(place, 16)
        batch = encoder.pad(encoder.tokenize(["The good film", ""], ["the", ""]))
        assert batch.input_ids.tolist() == [[CLS, THE, GOOD, FILM, SEP, THE, SEP], [CLS, SEP, SEP, 0, 0, 0, 0]]


def test_an_artifact_has_the_ids_that_its_model_was_made_with(folder: Path, tmp_path: Path) -> None:
    """Earlier releases read ``tokenizer.json`` alone: an artifact of theirs may have files that disagree."""
    change(folder / "tokenizer_config.json", do_lower_case=False)
    (folder / "replank.json").write_text("{}", encoding="utf-8")
    target = tmp_path / "target"
    target.mkdir()
    for place in (folder, saved(folder, target)):
        (tokens,) = TextEncoder.from_folder(place, 16).tokenize(["the FILM"])
        assert tokens.ids == [CLS, THE, FILM, SEP]
    assert reference(target)("the FILM")["input_ids"] == [CLS, THE, FILM, SEP]
    assert (target / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_other_ids_than_those_of_transformers_are_refused(folder: Path) -> None:
    encoder = TextEncoder.from_folder(folder, 48)
    check_tokenizer(folder)
    require_same_ids(encoder, reference(folder), "it")
    change(folder / "tokenizer_config.json", do_lower_case=False)
    with pytest.raises(ModelError, match=r"of it gives other ids than that of transformers: 'The film is good\.'"):
        require_same_ids(encoder, reference(folder), "it")
    change(folder / "tokenizer_config.json", do_lower_case=True, truncation_side="left")
    with pytest.raises(ModelError, match=r"'the good film the good film .*not "):
        require_same_ids(encoder, reference(folder), "it")


# Without transformers


@pytest.fixture
def without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers_tokenizer, "installed_version", lambda package: None)


def test_files_that_agree_need_no_transformers(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from replank.text.tokenization import TextEncoder;"
        "print(TextEncoder.from_folder(Path(sys.argv[1]), 16).tokenize(['the'])[0].ids, 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout == f"{[CLS, THE, SEP]} False\n"


@pytest.mark.parametrize(
    ("file", "values", "reason"),
    [
        ("tokenizer_config.json", {"do_lower_case": False}, "lowercase of its normalizer is true, and .* false"),
        ("tokenizer_config.json", {"strip_accents": False}, "strip_accents of its normalizer is null, and .* false"),
        ("tokenizer_config.json", {"unk_token": "[MASK]"}, r'unk_token of its model is "\[UNK\]", and .* "\[MASK\]"'),
        ("tokenizer_config.json", {"cls_token": "the"}, "'the' is a special token, and not among those that it adds"),
        (
            "tokenizer_config.json",
            {"tokenizer_class": "FunnelTokenizer"},
            "only transformers knows what FunnelTokenizer",
        ),
        (
            "tokenizer_config.json",
            {"fast_tokenizer_files": ["x.json"]},
            "tokenizer_config.json has fast_tokenizer_files",
        ),
        ("tokenizer_config.json", {"added_tokens_decoder": {}}, r"adds '\[PAD\]', which added_tokens_decoder"),
        ("added_tokens.json", {"covid": ADDED}, f"added_tokens.json adds 'covid' as {ADDED}"),
        ("tokenizer.json", {"post_processor": None}, "pair of its post_processor is null, and"),
    ],
)
@pytest.mark.usefixtures("without_transformers")
def test_files_that_disagree_are_named(folder: Path, file: str, values: dict[str, Any], reason: str) -> None:
    (folder / file).write_text(json.dumps(read_json(folder / file, optional=True) | values), encoding="utf-8")
    with pytest.raises(
        ModelError, match=rf"needs transformers: its tokenizer\.json is not all of it: .*{reason}"
    ) as refusal:
        TextEncoder.from_folder(folder, 16)
    assert str(refusal.value.hint).startswith('pip install "replank[tokenizers]"')


@pytest.mark.usefixtures("without_transformers")
def test_a_vocabulary_alone_needs_transformers(tmp_path: Path) -> None:
    write_vocabulary(tmp_path, "bert")
    with pytest.raises(ModelError, match=r"needs transformers: it has no tokenizer\.json"):
        TextEncoder.from_folder(tmp_path, 16)


@pytest.mark.parametrize("model_type", ["deberta-v2", "xlm-roberta"])
def test_the_package_that_reads_sentence_pieces_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_type: str
) -> None:
    write_vocabulary(tmp_path, model_type)
    monkeypatch.setattr(extras, "installed_version", lambda package: None if package == "sentencepiece" else "1")
    with pytest.raises(MissingExtraError, match=r"not installed: sentencepiece$"):
        TextEncoder.from_folder(tmp_path, 16)


def test_the_extra_brings_what_reads_every_tokenizer() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    brought = {re.match(r"[\w-]+", each)[0] for each in project["optional-dependencies"]["tokenizers"]}  # type: ignore[index]
    assert brought == {"transformers", "sentencepiece", "protobuf"}


# Refused


def test_a_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json") as refusal:
        TextEncoder.from_folder(folder, 16)
    assert refusal.value.hint == "save the tokenizer into the model's folder"


def test_the_vocabulary_of_another_class_is_refused(tmp_path: Path) -> None:
    """transformers would make an empty tokenizer."""
    write_vocabulary(tmp_path, "roberta")
    change(tmp_path / "config.json", model_type="bert")
    with pytest.raises(ModelError, match=r"neither tokenizer\.json nor vocab\.txt, which BertTokenizer reads"):
        TextEncoder.from_folder(tmp_path, 16)


def test_half_a_vocabulary_is_refused(tmp_path: Path) -> None:
    write_vocabulary(tmp_path, "roberta")
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(ModelError, match=rf"transformers cannot load the tokenizer of {tmp_path}: .*merges"):
        TextEncoder.from_folder(tmp_path, 16)


@pytest.mark.parametrize("name", transformers_tokenizer._WITHOUT_FAST_FORM)
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_tokenizer_without_a_fast_form_is_refused(folder: Path, name: str, file: str) -> None:
    """Before any package is asked for that the class needs."""
    change(folder / "tokenizer_config.json", tokenizer_class=None)
    change(folder / file, tokenizer_class=name)
    with pytest.raises(ModelError, match=f"is a {name}, of which no fast form exists"):
        TextEncoder.from_folder(folder, 16)
    assert not issubclass(getattr(transformers, name), transformers.PreTrainedTokenizerFast)


def test_transformers_is_asked_for_other_classes_without_a_fast_form(folder: Path) -> None:
    """Of which it has a few dozen."""
    change(folder / "tokenizer_config.json", tokenizer_class="ByT5Tokenizer")
    with pytest.raises(ModelError, match="is a ByT5Tokenizer, of which no fast form exists"):
        TextEncoder.from_folder(folder, 16)


@pytest.mark.parametrize(
    "stranger", [["tokenization_x.X", None], {"AutoTokenizer": ["tokenization_x.X", None]}, [None, "tokenization_x.X"]]
)
def test_code_of_strangers_is_refused(folder: Path, stranger: Any) -> None:
    change(folder / "tokenizer_config.json", auto_map=stranger)
    (folder / "tokenization_x.py").write_text("raise SystemExit('it ran')", encoding="utf-8")
    with pytest.raises(ModelError, match=r"asks for the tokenizer tokenization_x\.X, which is code"):
        TextEncoder.from_folder(folder, 16)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"model": {"type": "none"}}', '{"version": "1.0", "trunc'])
def test_a_broken_tokenizer_is_named(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=rf"cannot read {folder}/tokenizer\.json"):
        TextEncoder.from_folder(folder, 16)


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.txt", "spm.model"])
def test_a_pointer_of_git_lfs_is_named(folder: Path, name: str) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", encoding="utf-8")
    with pytest.raises(ModelError, match=rf"{folder}/{name} is a pointer of Git LFS, not the file"):
        TextEncoder.from_folder(folder, 16)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pad_token": 3}, "has pad_token 3; expected a token"),
        ({"mask_token": {"text": "x"}}, "has mask_token {'text': 'x'}; expected a token"),
        ({"extra_special_tokens": "x"}, "has extra_special_tokens 'x'; expected a list of tokens"),
        ({"additional_special_tokens": [1]}, r"has additional_special_tokens \[1\]; expected a list of tokens"),
        ({"added_tokens_decoder": [1]}, r"has added_tokens_decoder \[1\]; expected tokens by their ids"),
        ({"added_tokens_decoder": {"x": {"content": "x"}}}, "has added_tokens_decoder .* expected tokens by their ids"),
        ({"truncation_side": "middle"}, "has truncation_side 'middle'; expected left or right"),
        ({"tokenizer_class": ["x"]}, r"has tokenizer_class \['x'\]; expected the name of a class"),
        ({"model_input_names": "input_ids"}, "has model_input_names 'input_ids'; expected a list of names"),
    ],
)
def test_settings_of_the_wrong_kind_are_named(folder: Path, values: dict[str, Any], message: str) -> None:
    change(folder / "tokenizer_config.json", **values)
    with pytest.raises(ModelError, match=rf"{folder}/tokenizer_config\.json {message}"):
        TextEncoder.from_folder(folder, 16)


@pytest.mark.parametrize("name", ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"])
def test_settings_that_are_a_list_are_named(folder: Path, name: str) -> None:
    (folder / name).write_text("[1]", encoding="utf-8")
    with pytest.raises(ModelError, match=rf"{folder}/{name} is not a JSON object"):
        TextEncoder.from_folder(folder, 16)


# What the opener of a model compares with its weights


def test_the_largest_id_counts_not_the_number_of_ids(folder: Path) -> None:
    written = read_json(folder / "tokenizer.json")
    written["model"]["vocab"]["far"] = 500
    (folder / "tokenizer.json").write_text(json.dumps(written), encoding="utf-8")
    assert TextEncoder.from_folder(folder, 16).vocabulary_size == 501


@pytest.mark.parametrize(
    ("limit", "known"), [(64, 64), (None, None), (1000000000000000019884624838656, None), (1e30, None), (0, None)]
)
def test_the_limit_of_the_files(folder: Path, limit: float | None, known: int | None) -> None:
    change(folder / "tokenizer_config.json", model_max_length=limit)
    assert TextEncoder.from_folder(folder, 16).length_limit == known


def test_the_segment_types_of_pairs(folder: Path, tmp_path: Path) -> None:
    assert TextEncoder.from_folder(folder, 16).segment_types == 2
    change(folder / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    assert TextEncoder.from_folder(folder, 16).segment_types == 1
    write_vocabulary(tmp_path / "roberta", "roberta")
    names = {"model_input_names": list(INPUT_NAMES)}
    (tmp_path / "roberta" / "tokenizer_config.json").write_text(json.dumps(names), encoding="utf-8")
    encoder = TextEncoder.from_folder(tmp_path / "roberta", 16)
    assert (encoder.input_names, encoder.segment_types) == (INPUT_NAMES, 1)
