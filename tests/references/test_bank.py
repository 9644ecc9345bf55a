"""The bank: keys and values of references, in a file beside a model."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from replank.models.weights import REFERENCES
from replank.references import bank as bank_module
from replank.references.bank import BankPrecision, ReferenceBank, Rows, read_bank, write_bank
from replank.references.retrieval import NO_REFERENCE, KeywordRetriever
from replank.system.errors import ModelError, UsageError
from tiny import write_tokenizer

WIDTH = 8
TEXTS = [[2, 5, 20, 3], [2, 6, 21, 7, 3], [2, 7, 22, 3]]


def make_bank(precision: BankPrecision = "fp16", seed: int = 0) -> ReferenceBank:
    keys, values = np.random.default_rng(seed).standard_normal((2, 13, WIDTH)).astype(np.float32)
    retriever = KeywordRetriever.of(TEXTS, (0, 1, 2, 3, 4))
    return ReferenceBank(
        Rows.of(keys, precision), Rows.of(values, precision), np.array([0, 4, 9, 13], dtype=np.int64), retriever
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("precision", "error"), [("fp16", 2e-3), ("int8", 2e-2)])
def test_a_bank_in_a_file_is_the_bank(folder: Path, precision: BankPrecision, error: float) -> None:
    bank = make_bank(precision)
    write_bank(folder, bank)
    again = read_bank(folder, bank.digest, WIDTH)
    assert again.facts == bank.facts
    ids, mask = np.array([[2, 22, 3, 0], [2, 5, 20, 3]]), np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    for name, array in bank.find(ids, mask).inputs().items():
        np.testing.assert_array_equal(array, again.find(ids, mask).inputs()[name])
    whole = np.random.default_rng(0).standard_normal((2, 13, WIDTH))[0]
    np.testing.assert_allclose(again.keys[slice(0, 13)], whole, atol=error)


def test_an_int8_bank_is_about_half_the_size() -> None:
    halves, integers = (make_bank(precision).facts for precision in ("fp16", "int8"))
    assert halves.precision == "fp16"
    assert integers.precision == "int8"
    assert halves.bytes - integers.bytes == 2 * 13 * (WIDTH - 4)
    assert (halves.texts, halves.tokens, halves.retrieval, halves.style) == (3, 13, "keywords", "RefBERT-style")


def test_the_same_bank_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_tokenizer(tmp_path / name)
        write_bank(tmp_path / name, make_bank())
    assert (tmp_path / "one" / REFERENCES).read_bytes() == (tmp_path / "two" / REFERENCES).read_bytes()


def test_padding_of_a_text_changes_no_reference() -> None:
    bank = make_bank()
    right = bank.find(np.array([[2, 22, 3, 0, 0]]), np.array([[1, 1, 1, 0, 0]]))
    left = bank.find(np.array([[9, 9, 2, 22, 3]]), np.array([[0, 0, 1, 1, 1]]))
    np.testing.assert_array_equal(right.keys, left.keys)
    np.testing.assert_array_equal(right.keys[0], bank.keys[slice(9, 13)])


def test_references_are_padded_with_zeros_and_a_mask() -> None:
    found = make_bank().batch([NO_REFERENCE, 1, 0])
    assert found.mask.tolist() == [[0] * 5, [1] * 5, [1, 1, 1, 1, 0]]
    assert not found.values[0].any()
    assert not found.values[2, 4].any()
    assert make_bank().batch([NO_REFERENCE]).keys.shape == (1, 1, WIDTH)


def test_a_bank_of_something_else_is_refused(folder: Path) -> None:
    bank = make_bank()
    write_bank(folder, bank)
    with pytest.raises(ModelError, match="is the reference bank of another model than the one beside it"):
        read_bank(folder, make_bank(seed=1).digest, WIDTH)
    with pytest.raises(ModelError, match="is the reference bank of another model than the one beside it"):
        read_bank(folder, bank.digest, WIDTH + 1)
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(ModelError, match="is the reference bank of another tokenizer than the one beside it"):
        read_bank(folder, bank.digest, WIDTH)


def test_a_damaged_bank_is_refused(folder: Path) -> None:
    bank, file = make_bank(), folder / REFERENCES
    write_bank(folder, bank)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match="is damaged"):
        read_bank(folder, bank.digest, WIDTH)
    file.write_bytes(content[:-9])
    with pytest.raises(ModelError, match="is cut off"):
        read_bank(folder, bank.digest, WIDTH)
    assert b"keywords" in content
    file.write_bytes(content.replace(b"keywords", b"somewhat"))
    with pytest.raises(ModelError, match="holds no reference bank that can be read"):
        read_bank(folder, bank.digest, WIDTH)


def test_a_bank_larger_than_the_memory_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = make_bank()
    write_bank(folder, bank)
    monkeypatch.setattr(bank_module, "memory_bytes", lambda: 100)
    with pytest.raises(UsageError, match=re.escape("the reference bank has 0.0 GiB; expected at most half")) as refused:
        read_bank(folder, bank.digest, WIDTH)
    assert refused.value.hint == "keep fewer texts (`references`), or fewer tokens of each (`reference_tokens`)"


def test_states_that_are_no_numbers_are_refused() -> None:
    for number in (np.inf, np.nan, 1e6):
        with pytest.raises(ModelError, match="not finite numbers in half precision"):
            Rows.of(np.array([[1.0, number]], dtype=np.float32), "int8")
