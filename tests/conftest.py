"""The smallest things that tests need, built in code, each once a session."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from commands import Done, Replank
from family import write_family
from replank.data.config import DataConfig
from replank.runtime.model import Model
from tiny import tiny_settings, write_pairs, write_sentences, write_tokenizer

# Examples may take their time: how long one takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
# Tiny models gain nothing from a second thread, and the tests run side by side.
os.environ["OMP_NUM_THREADS"] = "1"
# A shell's background jobs ignore Ctrl-C, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
    return DataConfig(dataset="sentiment", data=folder, text="sentence", max_length=32)


@pytest.fixture(scope="session")
def pair_data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Pairs of sentences with two labels."""
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder)
    return DataConfig(dataset="same", data=folder, text="one", text_pair="two", label="same", max_length=48)


@pytest.fixture(scope="session")
def predecessor(encoder: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torch artifact: the encoder, fine-tuned on the sentences."""
    from replank.models.source import open_source
    from replank_compress.finetune import finetune
    from replank_compress.training.config import FinetuneConfig

    out = tmp_path_factory.mktemp("artifacts") / "predecessor"
    config = FinetuneConfig(epochs=8, learning_rate=2e-3, batch_size=16, precision="fp32")
    return finetune(open_source(encoder), out, config, data).path


@pytest.fixture(scope="session")
def successor(predecessor: Path, data: DataConfig) -> Path:
    """A torch artifact of 2 layers."""
    from replank.models.source import open_source
    from replank_compress.methods.theseus import TheseusConfig
    from replank_compress.successor import compress

    out = predecessor.with_name("successor")
    config = TheseusConfig(epochs=6, learning_rate=2e-3, batch_size=16, precision="fp32", layers=2)
    return compress(open_source(predecessor), out, config, data).path


@pytest.fixture(scope="session")
def onnx_artifact(successor: Path, data: DataConfig) -> Path:
    """A fused ONNX artifact of the successor."""
    from replank.models.source import open_source
    from replank_export.convert import ExportConfig, export

    return export(open_source(successor), successor.with_name("onnx"), ExportConfig(), data).path


@pytest.fixture(scope="session")
def int8_artifact(onnx_artifact: Path, data: DataConfig) -> Path:
    """The ONNX artifact in INT8."""
    from replank.models.source import open_source
    from replank_export.int8 import DynamicInt8
    from replank_export.quantize import quantize

    config = DynamicInt8(max_drop=0.1, allow_slower=True)
    return quantize(open_source(onnx_artifact), onnx_artifact.with_name("int8"), config, data).path


@pytest.fixture(scope="session")
def static_artifact(onnx_artifact: Path, data: DataConfig) -> Path:
    """The ONNX artifact in INT8 with fixed scales."""
    from replank.models.source import open_source
    from replank_export.int8 import StaticInt8
    from replank_export.quantize import quantize

    config = StaticInt8(calibration_rows=32, max_drop=0.1, allow_slower=True)
    return quantize(open_source(onnx_artifact), onnx_artifact.with_name("static"), config, data).path


@pytest.fixture(scope="session")
def referenced(predecessor: Path, data: DataConfig) -> Path:
    """A torch artifact of 2 layers that attends to references."""
    from replank.models.source import open_source
    from replank_compress.methods.refbert import RefbertConfig
    from replank_compress.successor import compress

    out = predecessor.with_name("referenced")
    config = RefbertConfig(epochs=6, learning_rate=2e-3, batch_size=16, precision="fp32", layers=2)
    return compress(open_source(predecessor), out, config, data).path


@pytest.fixture(scope="session")
def referenced_onnx(referenced: Path, data: DataConfig) -> Path:
    """A fused ONNX artifact of the model with references."""
    from replank.models.source import open_source
    from replank_export.convert import ExportConfig, export

    return export(open_source(referenced), referenced.with_name("referenced-onnx"), ExportConfig(), data).path


@pytest.fixture(scope="session")
def referenced_int8(referenced_onnx: Path, data: DataConfig) -> Path:
    """That in INT8."""
    from replank.models.source import open_source
    from replank_export.int8 import DynamicInt8
    from replank_export.quantize import quantize

    config = DynamicInt8(max_drop=0.1, allow_slower=True)
    return quantize(open_source(referenced_onnx), referenced_onnx.with_name("referenced-int8"), config, data).path


@pytest.fixture(scope="session")
def pair_onnx_artifact(encoder: Path, pair_data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fused ONNX artifact of a pair task."""
    from replank.models.source import open_source
    from replank_compress.finetune import finetune
    from replank_compress.training.config import FinetuneConfig
    from replank_export.convert import ExportConfig, export

    folder = tmp_path_factory.mktemp("pair")
    config = FinetuneConfig(epochs=1, batch_size=32, precision="fp32")
    tuned = finetune(open_source(encoder), folder / "predecessor", config, pair_data)
    return export(open_source(tuned.path), folder / "onnx", ExportConfig()).path


@pytest.fixture(scope="session")
def masked_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain Hugging Face folder: a tiny BERT that guesses masked words, and was never trained."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    folder = tmp_path_factory.mktemp("masked-lm")
    torch.manual_seed(1)
    BertForMaskedLM(BertConfig(**tiny_settings())).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a graph of families, with valid.txt, test.txt and names."""
    return write_family(tmp_path_factory.mktemp("graphs") / "family")


@pytest.fixture(scope="session")
def relation_model(encoder: Path, family: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torch artifact of relation prediction, hardly trained."""
    from replank.models.source import open_source
    from replank_compress.finetune import finetune
    from replank_compress.training.config import FinetuneConfig

    config = FinetuneConfig(epochs=1, batch_size=32, precision="fp32")
    data = DataConfig(data=family, task="relation-prediction", max_length=64)
    return finetune(open_source(encoder), tmp_path_factory.mktemp("relations") / "predecessor", config, data).path


@pytest.fixture(scope="session")
def model(onnx_artifact: Path) -> Model:
    """The ONNX artifact, loaded."""
    from replank.models.source import open_source
    from replank.runtime.load import load_model

    return load_model(open_source(onnx_artifact), threads=1)


@pytest.fixture(scope="session")
def pair_model(pair_onnx_artifact: Path) -> Model:
    """The ONNX artifact of the pair task, loaded."""
    from replank.models.source import open_source
    from replank.runtime.load import load_model

    return load_model(open_source(pair_onnx_artifact), threads=1)


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Those of the tests' process, which a command line that ran in it replaced, are there again."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def levels_of_loggers() -> Iterator[None]:
    """Likewise, which a command line or a server sets."""
    yield
    logging.root.setLevel(logging.WARNING)
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("replank")]:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def replank(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Replank:
    """The command line, in this process: ``replank("predict", folder, "a text", stdin=b"…")``."""
    from replank.cli.main import main

    def run(*arguments: object, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Done(end.value.code, out, err)

    return run
