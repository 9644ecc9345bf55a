"""Masked language modelling: masks, a general-purpose successor, and what it is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.data.training_examples import EpochRow, LabelledExamples
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import FieldError, ModelError
from replank.tasks.kinds.learning import IGNORED
from replank_compress.finetune import finetune
from replank_compress.methods.theseus import TheseusConfig
from replank_compress.successor import compress
from replank_compress.training.config import FinetuneConfig
from replank_compress.training.trainer import MethodTrainer
from small_models import make_model, make_replacement
from tiny import SPECIAL, curve_of, save_texts

SHORT: dict[str, Any] = {"epochs": 12.0, "batch_size": 16, "learning_rate": 2e-3, "precision": "fp32"}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Texts without labels."""
    folder = save_texts(tmp_path_factory.mktemp("texts"), {"train": 96, "dev": 32})
    return DataConfig(data=folder, task="masked-lm", max_length=32)


def test_texts_without_labels_are_nothing_new_to_it(masked_lm: Path, texts: DataConfig, tmp_path: Path) -> None:
    config = TheseusConfig(**SHORT, unlabelled=tmp_path / "more.tsv")
    with pytest.raises(FieldError, match=r"`unlabelled` is .*expected nothing for tasks of kind masked-lm"):
        compress(open_source(masked_lm), tmp_path / "out", config, texts)


def test_masks_are_berts_and_new_in_each_epoch(masked_lm: Path, texts: DataConfig) -> None:
    data = texts.load()
    assert data.task.labels == ()
    encoder = open_source(masked_lm).text_encoder(data.task)
    asked = LabelledExamples(data.task, encoder, data.split("train"), seed=3)
    plain = encoder.tokenize(data.split("train").first)
    fates = {"mask": 0, "same": 0, "other": 0}
    chosen = total = 0
    for epoch in range(20):
        for row, before in enumerate(plain):
            tokens, target = asked[EpochRow(epoch, row)]
            for old, new, wanted in zip(before.ids, tokens.ids, target, strict=True):
                total += old >= len(SPECIAL)
                if wanted == IGNORED:
                    assert old == new
                    continue
                assert wanted == old >= len(SPECIAL)
                chosen += 1
                fates["mask" if new == SPECIAL.index("[MASK]") else "same" if new == old else "other"] += 1
    assert chosen / total == pytest.approx(0.15, abs=0.03)
    assert np.array(list(fates.values())) / chosen == pytest.approx([0.8, 0.1, 0.1], abs=0.03)
    ids = [[asked[EpochRow(epoch, row)][0].ids for row in range(len(asked))] for epoch in (0, 0, 1)]
    assert ids[0] == ids[1] == [asked[row][0].ids for row in range(len(asked))]
    assert ids[0] != ids[2]


def train_with_workers(
    workers: int, masked_lm: Path, texts: DataConfig, out: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[dict[str, list[Any]]], str]:
    """Every training batch that the model sees, and the digest of the weights that come out."""
    batches: list[dict[str, list[Any]]] = []
    original_init, original_step = MethodTrainer.__init__, MethodTrainer.training_step

    def init(self: MethodTrainer, *arguments: Any, args: Any, **settings: Any) -> None:
        args.dataloader_num_workers = workers
        original_init(self, *arguments, args=args, **settings)

    def training_step(self: MethodTrainer, model: Any, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        batches.append({name: value.tolist() for name, value in inputs.items()})
        return original_step(self, model, inputs, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(MethodTrainer, "__init__", init)
        patch.setattr(MethodTrainer, "training_step", training_step)
        config = FinetuneConfig(**SHORT | {"epochs": 3.0})
        artifact = finetune(open_source(masked_lm), out, config, texts)
    return batches, artifact.manifest.files["model.safetensors"].sha256


def test_masks_do_not_depend_on_the_workers_of_the_data_loader(
    masked_lm: Path, texts: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several epochs, each of which masks other tokens."""
    (alone, expected), (shared, found) = (
        train_with_workers(workers, masked_lm, texts, tmp_path / str(workers), monkeypatch) for workers in (0, 2)
    )
    assert len(alone) == 3 * 6
    assert shared == alone
    assert found == expected
    data = texts.load()
    encoder = open_source(masked_lm).text_encoder(data.task)
    examples = LabelledExamples(data.task, encoder, data.split("train"), seed=FinetuneConfig().seed)
    for epoch in range(3):
        masked = sorted(examples[EpochRow(epoch, row)][0].ids for row in range(len(examples)))
        rows = [row for batch in alone[6 * epoch : 6 * epoch + 6] for row in zip(*batch.values(), strict=True)]
        names = list(alone[0])
        ids, mask = names.index("input_ids"), names.index("attention_mask")
        assert masked == sorted(row[ids][: sum(row[mask])] for row in rows)


def test_a_general_successor_is_made_and_fine_tuned_later(
    masked_lm: Path, texts: DataConfig, data: DataConfig, tmp_path: Path
) -> None:
    predecessor = finetune(open_source(masked_lm), tmp_path / "predecessor", FinetuneConfig(**SHORT), texts)
    losses = [entry["eval_loss"] for entry in curve_of(predecessor.path) if "eval_loss" in entry]
    assert losses[-1] < 0.95 * losses[0]
    config = TheseusConfig(**SHORT, layers=2, second_phase="all")
    successor = compress(open_source(predecessor.path), tmp_path / "successor", config, texts)
    model, report = AutoModelForMaskedLM.from_pretrained(successor.path, output_loading_info=True)
    assert not report["missing_keys"]
    assert model.config.num_hidden_layers == 2
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    tuned = finetune(open_source(successor.path), tmp_path / "tuned", FinetuneConfig(**SHORT), data)
    assert tuned.manifest.quality is not None
    assert tuned.manifest.quality.metrics["accuracy"] > 0.9
    assert open_source(tuned.path).layers == 2


def test_a_successor_of_one_task_is_fine_tuned_on_another(
    successor: Path, pair_data: DataConfig, tmp_path: Path
) -> None:
    """The paper's transfer from MNLI: the encoder stays, the head is new."""
    config = FinetuneConfig(epochs=1, precision="fp32")
    tuned = finetune(open_source(successor), tmp_path / "tuned", config, pair_data)
    assert tuned.manifest.task.columns == ("one", "two")
    assert tuned.manifest.parent is not None
    assert tuned.manifest.parent.manifest is not None
    assert tuned.manifest.parent.manifest.made_by.stage == "compress"


def test_a_pretrained_encoder_is_no_predecessor_of_a_task(masked_lm: Path, data: DataConfig) -> None:
    source = open_source(masked_lm)
    assert (source.head, source.is_fine_tuned, source.task.kind.name) == ("MaskedLM", False, "masked-lm")
    with pytest.raises(ModelError, match="without a classification head"):
        load_model(source, task=data.load().task)


def test_blank_texts_and_hidden_words_do_no_harm(masked_lm: Path, tmp_path: Path) -> None:
    """Batches in which nothing is asked, in training and in evaluation."""
    for split in ("train", "dev"):
        rows = [json.dumps({"text": text}) for text in ["good film"] * 8 + [""] * 40]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(rows))
    data = DataConfig(data=tmp_path, task="masked-lm")
    config = FinetuneConfig(**SHORT | {"epochs": 2.0})
    artifact = finetune(open_source(masked_lm), tmp_path / "out", config, data)
    assert all(np.isfinite(entry["loss"]) for entry in curve_of(artifact.path) if "loss" in entry)


@pytest.mark.parametrize("settings", [{}, {"mask_token": {"content": "[MASK]"}}])
def test_the_mask_is_found_where_the_tokenizer_does_not_name_it(
    masked_lm: Path, texts: DataConfig, tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder = shutil.copytree(masked_lm, tmp_path / "model")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert open_source(folder).text_encoder(texts.load().task).mask_id == SPECIAL.index("[MASK]")


@pytest.mark.parametrize("command", ["compress", "evaluate"])
def test_a_forgotten_fine_tuning_is_told(
    masked_lm: Path, data: DataConfig, replank: Replank, tmp_path: Path, command: str
) -> None:
    """What the encoder was pretrained on is not what these labels ask."""
    out = [tmp_path / "out"] if command == "compress" else []
    done = replank(command, masked_lm, *out, "--data", data.data, "--text", "sentence")
    assert done.code == 1
    lines = error_lines(done)
    assert "is an encoder without a classification head" in lines[0]
    assert "replank finetune" in lines[1]


@pytest.mark.parametrize("model_type", ["bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra"])
def test_the_tied_matrix_is_the_embeddings(model_type: str) -> None:
    """Whichever of its two names a model lists first."""
    made = make_model(model_type)
    model = AutoModelForMaskedLM.from_config(made.config)  # type: ignore[no-untyped-call]
    replacement = make_replacement(model)
    replacement.train_shared(("head",))
    assert not model.get_input_embeddings().weight.requires_grad
    assert any(parameter.requires_grad for parameter, is_head in replacement._shared if is_head)
