"""Tiny tokenizers of every architecture as they are published, and the ids that transformers gives."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import AutoTokenizer

from replank.text.tokenization import TextEncoder
from tiny import SPECIAL, VOCABULARY, sentences

MAX_LENGTH = 15
TEXTS = (
    "",
    "The Film is GOOD, é É",
    "the covid film",
    "日本語 中文 a🚢b",
    " a\tb\n c  d ",
    "x[MASK]y <mask> z [SEP] </s>",
    "covid19 Covid <x> <y>",
    "good " * 40 + "film",
)

Ids = list[list[int]]


def write_vocabulary(folder: Path, model_type: str) -> None:
    """The vocabulary of an architecture without a ``tokenizer.json``, as before there was one."""
    folder.mkdir(exist_ok=True)
    config = {"model_type": model_type, "type_vocab_size": 2, "pad_token_id": 0}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    _WRITERS[model_type](folder)


def reference(folder: Path) -> Any:
    """The tokenizer that transformers makes of a folder."""
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def ids_by_transformers(folder: Path) -> tuple[Ids, Ids, Ids]:
    """Of all texts; of pairs of them; and the segment types of the pairs."""
    tokenizer = reference(folder)
    settings = {"truncation": True, "max_length": MAX_LENGTH}
    pairs = tokenizer(list(TEXTS), list(TEXTS[::-1]), return_token_type_ids=True, **settings)
    return tokenizer(list(TEXTS), **settings)["input_ids"], pairs["input_ids"], pairs["token_type_ids"]


def ids_by_replank(folder: Path) -> tuple[Ids, Ids, Ids]:
    """The same by a text encoder."""
    encoder = TextEncoder.from_folder(folder, MAX_LENGTH)
    pairs = encoder.tokenize(TEXTS, TEXTS[::-1])
    single = [tokens.ids for tokens in encoder.tokenize(TEXTS)]
    return single, [tokens.ids for tokens in pairs], [tokens.type_ids for tokens in pairs]


def _word_pieces(special: Sequence[str]) -> Callable[[Path], None]:
    words = (*special, *VOCABULARY[len(SPECIAL) :], "é", "É", "Film", "日")
    return lambda folder: _write(folder / "vocab.txt", "\n".join(words).encode() + b"\n")


def _byte_pairs(special: Sequence[str]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = ByteLevel()
        trainer = BpeTrainer(
            vocab_size=320,
            special_tokens=list(special),
            initial_alphabet=ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(_corpus(), trainer)
        tokenizer.model.save(str(folder))

    return write


def _sentence_pieces(name: str, **settings: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(_corpus()),
            model_writer=model,
            vocab_size=60,
            hard_vocab_limit=False,
            minloglevel=2,
            **settings,
        )
        _write(folder / name, model.getvalue())

    return write


def _corpus() -> list[str]:
    return [text for text, _ in sentences(200, 0)]


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_WRITERS: dict[str, Callable[[Path], None]] = {
    "bert": _word_pieces(SPECIAL),
    "electra": _word_pieces(SPECIAL),
    "distilbert": _word_pieces(SPECIAL),
    "mpnet": _word_pieces(("<s>", "<pad>", "</s>", "[UNK]", "<mask>")),
    "roberta": _byte_pairs(_ROBERTA),
    "deberta": _byte_pairs(SPECIAL),
    "xlm-roberta": _sentence_pieces("sentencepiece.bpe.model"),
    "camembert": _sentence_pieces("sentencepiece.bpe.model"),
    "deberta-v2": _sentence_pieces(
        "spm.model",
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
    ),
}
MODEL_TYPES = tuple(_WRITERS)
