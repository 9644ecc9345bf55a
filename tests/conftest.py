"""The smallest things that tests need, built in code, each once a session."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from replank.data import DataConfig, Dataset
from replank.runtime import Model

# Tiny models gain nothing from a second thread, and the tests run side by side.
os.environ["OMP_NUM_THREADS"] = "1"
# A shell's background jobs ignore Ctrl-C, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

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
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
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


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain Hugging Face folder: a tiny BERT without a head."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    BertModel(BertConfig(**tiny_settings())).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Single sentences with two labels."""
    folder = tmp_path_factory.mktemp("sentences")
    write_sentences(folder)
    return DataConfig(task="sentiment", data=folder, text="sentence", max_length=32)


@pytest.fixture(scope="session")
def pair_data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Pairs of sentences with two labels."""
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder)
    return DataConfig(task="same", data=folder, text="one", text_pair="two", label="same", max_length=48)


@pytest.fixture(scope="session")
def predecessor(encoder: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torch artifact: the encoder, fine-tuned on the sentences."""
    from compress.finetune import FinetuneConfig, finetune
    from replank.source import open_source

    out = tmp_path_factory.mktemp("artifacts") / "predecessor"
    config = FinetuneConfig(epochs=8, learning_rate=2e-3, batch_size=16, precision="fp32")
    return finetune(open_source(encoder), out, config, data).path


@pytest.fixture(scope="session")
def successor(predecessor: Path, data: DataConfig) -> Path:
    """A torch artifact of 2 layers."""
    from compress.replacing import TheseusConfig
    from compress.successor import compress
    from replank.source import open_source

    out = predecessor.with_name("successor")
    config = TheseusConfig(epochs=6, learning_rate=2e-3, batch_size=16, precision="fp32", layers=2)
    return compress(open_source(predecessor), out, config, data).path


@pytest.fixture(scope="session")
def onnx_artifact(successor: Path, data: DataConfig) -> Path:
    """A fused ONNX artifact of the successor."""
    from export.convert import ExportConfig, export
    from replank.source import open_source

    return export(open_source(successor), successor.with_name("onnx"), ExportConfig(), data).path


@pytest.fixture(scope="session")
def int8_artifact(onnx_artifact: Path, data: DataConfig) -> Path:
    """The ONNX artifact in INT8."""
    from export.int8 import DynamicInt8
    from export.quantize import quantize
    from replank.source import open_source

    config = DynamicInt8(max_drop=0.1, allow_slower=True)
    return quantize(open_source(onnx_artifact), onnx_artifact.with_name("int8"), config, data).path


@pytest.fixture(scope="session")
def pair_onnx_artifact(encoder: Path, pair_data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fused ONNX artifact of a pair task."""
    from compress.finetune import FinetuneConfig, finetune
    from export.convert import ExportConfig, export
    from replank.source import open_source

    folder = tmp_path_factory.mktemp("pair")
    config = FinetuneConfig(epochs=1, batch_size=32, precision="fp32")
    tuned = finetune(open_source(encoder), folder / "predecessor", config, pair_data)
    return export(open_source(tuned.path), folder / "onnx", ExportConfig()).path


@pytest.fixture(scope="session")
def model(onnx_artifact: Path) -> Model:
    """The ONNX artifact, loaded."""
    from replank.runtime import load_model
    from replank.source import open_source

    return load_model(open_source(onnx_artifact), threads=1)


@pytest.fixture(scope="session")
def pair_model(pair_onnx_artifact: Path) -> Model:
    """The ONNX artifact of the pair task, loaded."""
    from replank.runtime import load_model
    from replank.source import open_source

    return load_model(open_source(pair_onnx_artifact), threads=1)


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


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, its data, its talk."""

    code: int
    out: str
    err: str


def error_lines(done: Done) -> list[str]:
    """The lines of an error as it must be: one of what is wrong, at most one of what to try, and no data."""
    lines = [line for line in done.err.splitlines() if line.startswith(("error: ", "hint: "))]
    assert "Traceback" not in done.err
    assert done.out == ""
    assert 1 <= len(lines) <= 2, done.err
    assert lines[0].startswith("error: ")
    assert done.err.splitlines()[-len(lines) :] == lines
    return lines


Replank = Callable[..., Done]


@pytest.fixture
def replank(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Replank]:
    """The command line, in this process: ``replank("predict", folder, "a text", stdin=b"…")``."""
    from replank.cli.main import main

    def run(*arguments: object, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Done(end.value.code, out, err)

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)


def replank_process(*arguments: object, **settings: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own, which a test may interrupt."""
    program = [sys.executable, "-P", "-c", "from replank.cli.main import main; main()"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*program, *map(str, arguments)], **pipes | settings)


def run_replank(*arguments: object, **settings: Any) -> Done:
    """The command line in a process of its own, to its end."""
    with replank_process(*arguments, **settings) as process:
        out, err = process.communicate()
    return Done(process.returncode, out, err)
