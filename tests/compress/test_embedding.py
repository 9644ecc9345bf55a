"""Embedding models and their successors, which learn vectors without labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from embedding_folders import save_embedding_model
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.source import open_source
from replank.runtime._torch_pooling import PooledEncoder
from replank.runtime.evaluate import evaluate
from replank.runtime.load import load_model
from replank.runtime.pooling import pool
from replank.system.errors import DataError, UsageError
from replank.tasks.vectors import Pooling, Vectors
from replank_compress.finetune import finetune
from replank_compress.methods import METHODS
from replank_compress.successor import compress
from replank_compress.training.config import FinetuneConfig
from tiny import save_table, sentences
from training_runs import SHORT

TEXTS = ["a good film", "the very dull plot of a film with music and it is bad", "it"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedding") / "model"
    return save_embedding_model(folder, {"pooling_mode": "mean"}, "Normalize", prompts={"query": "the film "})


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [(text,) for text, _ in sentences(400, 5)]
    return save_table(tmp_path_factory.mktemp("texts"), "train.tsv", ["text"], rows)


@pytest.mark.parametrize("method", ["theseus", "kd", "truncate"])
def test_a_successor_learns_vectors_without_labels(model: Path, texts: Path, tmp_path: Path, method: str) -> None:
    config = METHODS[method](**SHORT | {"epochs": 8, "layers": 1, "init_layers": "spread"})
    made = compress(open_source(model), tmp_path / "out", config, DataConfig(train=texts))
    start = compress(
        open_source(model),
        tmp_path / "start",
        METHODS["kd"](**SHORT | {"epochs": 0.1, "learning_rate": 1e-9, "layers": 1, "init_layers": "spread"}),
        DataConfig(train=texts),
    )
    assert made.manifest.quality is not None and start.manifest.quality is not None
    assert set(made.manifest.quality.metrics) == {"cosine", "neighbours"}
    assert 1 - made.manifest.quality.metrics["cosine"] < 0.5 * (1 - start.manifest.quality.metrics["cosine"])
    assert made.manifest.task.vectors == open_source(model).task.vectors
    for prompt in (None, "query"):
        truth = SentenceTransformer(str(made.path), device="cpu").encode(TEXTS, prompt_name=prompt)
        found = load_model(open_source(made.path)).embed(TEXTS, prompt_name=prompt)
        np.testing.assert_allclose(found, truth, atol=1e-5)
    # The artifact with its folder of pooling is checked, and gives way to another.
    assert "1_Pooling/config.json" in Artifact.open(made.path).manifest.files
    assert 'SentenceTransformer("FOLDER")' in (made.path / "README.md").read_text(encoding="utf-8")
    again = METHODS["kd"](**SHORT | {"epochs": 0.1, "layers": 1})
    compress(open_source(model), tmp_path / "start", again, DataConfig(train=texts), force=True)


def test_vectors_are_learned_at_a_rate_of_their_own(model: Path, texts: Path, tmp_path: Path) -> None:
    config = METHODS["kd"](layers=1, batch_size=2, epochs=0.5, warmup=0, precision="fp32")
    made = compress(open_source(model), tmp_path / "out", config, DataConfig(train=texts))
    assert made.manifest.made_by.config["learning_rate"] is None
    training = json.loads((made.path / "training.json").read_text(encoding="utf-8"))
    entry = next(entry for entry in training["curve"] if "learning_rate" in entry)
    steps = made.manifest.made_by.to_json()["steps"]
    # It falls linearly.
    assert entry["learning_rate"] == pytest.approx(3e-4 * (1 - entry["step"] / steps), rel=0.1)


def test_pairs_with_scores_judge_by_the_order_of_cosines(model: Path, tmp_path: Path) -> None:
    rows = [("a good film", "a great film", "5"), ("a good film", "cold music", "0.5"), ("it is bad", "the plot", "2")]
    config = DataConfig(dev=save_table(tmp_path, "dev.tsv", ["sentence1", "sentence2", "score"], rows))
    loaded = load_model(open_source(model))
    found = evaluate(loaded, config.load(loaded.task), "dev")
    first, second = (loaded.embed([row[side] for row in rows]) for side in (0, 1))
    expected = np.corrcoef((first * second).sum(axis=1), [float(row[2]) for row in rows])[0, 1]
    assert found.metrics["pearson"] == pytest.approx(expected, abs=1e-5)


def test_passages_are_ranked_by_cosines_behind_the_models_prompts(model: Path, tmp_path: Path) -> None:
    rows = [("1", "good", "a good film", 1), ("1", "good", "cold", 0), ("1", "good", "the plot is weak", 0)]
    table = save_table(tmp_path, "dev.tsv", ["query_id", "query", "passage", "label"], rows)
    loaded = load_model(open_source(model))
    found = evaluate(loaded, DataConfig(dev=table).load(loaded.task), "dev")
    query = loaded.embed(["good"], prompt_name="query")[0]
    cosines = loaded.embed([row[2] for row in rows]) @ query
    assert found.metrics["mrr_at_10"] == pytest.approx(1 / (1 + (cosines[1:] >= cosines[0]).sum()))


def test_too_few_texts_and_training_on_labels_are_refused(model: Path, tmp_path: Path) -> None:
    few = DataConfig(train=save_table(tmp_path, "few.tsv", ["text"], [("a film",), ("the plot",)]))
    with pytest.raises(DataError, match="2 different texts to learn from"):
        compress(open_source(model), tmp_path / "out", METHODS["kd"](layers=1), few)
    asked = DataConfig(task="sentence-embedding", train=few.train)
    with pytest.raises(UsageError, match="are of vectors"):
        finetune(open_source(model), tmp_path / "out", FinetuneConfig(), asked)
    assert not (tmp_path / "out").exists()


class _States(torch.nn.Module):
    """An encoder that answers with its ids."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor]:
        return (input_ids,)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"])
def test_torch_pools_as_numpy_does_wherever_the_padding_is(pooling: Pooling) -> None:
    states = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 0], [1, 0, 0, 0, 0]])
    for normalize in (False, True):
        found = PooledEncoder(_States(), Vectors(pooling, normalize))(input_ids=states, attention_mask=mask).logits
        expected = [
            pool(row[real.bool()].numpy(), pooling, normalize=normalize) for row, real in zip(states, mask, strict=True)
        ]
        np.testing.assert_allclose(found.numpy(), np.stack(expected), atol=1e-5)
