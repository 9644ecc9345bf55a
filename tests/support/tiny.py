"""The smallest encoder, vocabulary and data that tests need, built in code."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from replank.data.examples import Dataset

GOOD = ("good", "great", "fine", "lovely", "superb", "warm")
BAD = ("bad", "poor", "dull", "awful", "weak", "cold")
FILLER = ("the", "film", "is", "a", "and", "very", "plot", "actor", "scene", "with", "music", "it")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = (
    *SPECIAL,
    *FILLER,
    *GOOD,
    *BAD,
    *"abcdefghijklmnopqrstuvwxyz",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
)


def write_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer of a few dozen words, as transformers would save it."""
    tokenizer = Tokenizer(WordPiece({token: index for index, token in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    settings: dict[str, object] = {
        "tokenizer_class": "BertTokenizer",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
    }
    settings |= {"sep_token": "[SEP]", "mask_token": "[MASK]", "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def tiny_settings(**changes: Any) -> dict[str, Any]:
    """A BERT that trains in a second: 4 layers, hidden size 32."""
    return {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
    } | changes


def sentences(rows: int, seed: int) -> list[tuple[str, str]]:
    """Sentences with their sentiment, which one word in each decides."""
    generator = random.Random(seed)  # noqa: S311 - test data, no secret
    made = []
    for _ in range(rows):
        label = generator.choice(("negative", "positive"))
        words = generator.choices(FILLER, k=generator.randint(3, 12))
        words.insert(generator.randrange(len(words)), generator.choice(GOOD if label == "positive" else BAD))
        made.append((" ".join(words), label))
    return made


def save_texts(folder: Path, rows: dict[str, int]) -> Path:
    """A folder with texts without labels as JSONL, so many of each split."""
    for seed, (split, count) in enumerate(rows.items()):
        lines = [json.dumps({"text": text}) for text, _ in sentences(count, seed)]
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def write_sentences(folder: Path) -> None:
    """A data folder: 192 training rows, 64 dev, 64 test, as TSV."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (split, rows) in enumerate({"train": 192, "dev": 64, "test": 64}.items()):
        lines = ["sentence\tlabel", *("\t".join(row) for row in sentences(rows, seed))]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_pairs(folder: Path) -> None:
    """A data folder of pairs as JSONL: are two sentences of the same sentiment?"""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (split, rows) in enumerate({"train": 96, "dev": 32}.items()):
        left, right = sentences(rows, seed + 10), sentences(rows, seed + 20)
        lines = [
            json.dumps({"one": a, "two": b, "same": "yes" if x == y else "no"})
            for (a, x), (b, y) in zip(left, right, strict=True)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def save_table(folder: Path, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    """A TSV file."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in [columns, *rows]]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def labels_of(data: Dataset, split: str) -> list[Any]:
    """The labels of a split that has some."""
    labels = data.split(split).labels
    assert labels is not None
    return list(labels.tolist())


def curve_of(folder: Path) -> list[dict[str, Any]]:
    """The curve of an artifact's training."""
    curve: list[dict[str, Any]] = json.loads((folder / "training.json").read_text(encoding="utf-8"))["curve"]
    return curve
