"""From torch to ONNX by either exporter: fused completely, and right under every padding, for every architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForTokenClassification

from replank.models.artifact import Artifact
from replank.models.encoders import ENCODERS
from replank.models.facts import ExportFacts
from replank.models.int8_facts import Int8Facts
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import ModelError, UsageError
from replank_export.convert import ExportConfig, export
from replank_export.fusion.exporters import ExporterName
from replank_export.graph_files import save_graph
from replank_export.int8 import DynamicInt8
from replank_export.quantize import quantize
from small_models import save_model
from tiny import tiny_settings, write_tokenizer

# Nodes of two layers, by the exporter that `auto` takes. Each pair was looked at: what is missing stands in another
# place than the layers (embeddings, heads) or is fused under another name.
BERT = {"Attention": 2, "SkipLayerNormalization": 4, "EmbedLayerNormalization": 1, "BiasGelu": 2}
ROBERTA = {"Attention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2}
ROTARY = {"MultiHeadAttention": 2, "RotaryEmbedding": 4}
TORCHSCRIPT = {
    "bert": BERT,
    "electra": BERT,
    "distilbert": BERT,
    "ernie": BERT,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "data2vec-text": ROBERTA,
    "xlm-roberta-xl": ROBERTA,
    "roberta-prelayernorm": ROBERTA,
}
DYNAMO = {
    "bert": ROBERTA,
    "electra": ROBERTA,
    "distilbert": ROBERTA,
    "roberta": ROBERTA | {"SkipLayerNormalization": 5},  # one adds the position embeddings
    "mpnet": ROBERTA | {"SkipLayerNormalization": 5},
    "megatron-bert": ROBERTA,
    "deberta-v2": {"MultiHeadAttention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2},
    "modernbert": ROTARY | {"SkipLayerNormalization": 4},  # the last is the model's final norm; the first has none
    "eurobert": ROTARY | {"SkipSimplifiedLayerNormalization": 4, "BiasGelu": 1},  # a GELU in the head
    "gte": ROTARY | {"SkipLayerNormalization": 5},  # one adds the token types
    "nomic_bert": ROTARY | {"SkipLayerNormalization": 5},
    "jina_embeddings_v3": ROTARY | {"SkipLayerNormalization": 5, "BiasGelu": 2},
}
# Nodes of such a graph at most, of two layers; four of ModernBERT, so that it has both kinds of attention.
MOST_NODES = {"modernbert": 103, "eurobert": 76, "gte": 76, "nomic_bert": 72, "deberta-v2": 144}
UNFUSED = [name for name in ENCODERS if name not in TORCHSCRIPT | DYNAMO]
# Of rotary positions: others for texts longer than the model's positions.
DYNAMIC_ANGLES = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}
PADDING_CASES = {
    "right padding", "left padding", "padding on both sides", "holes", "batch of one", "length one", "maximal length",
}  # fmt: skip


def exported(folder: Path, out: Path, **settings: Any) -> ExportFacts:
    """The facts of an export, after its graph was found to give torch's numbers."""
    manifest = export(open_source(folder), out, ExportConfig(**settings)).manifest
    assert manifest.verification is not None
    cases = {case.case: case.max_abs for case in manifest.verification.cases}
    assert set(cases) == PADDING_CASES
    assert max(cases.values()) <= 2e-5
    return manifest.made_by.facts_of(ExportFacts)


@pytest.mark.parametrize("model_type", list(TORCHSCRIPT))
def test_torchscripts_graph_is_fused_and_right_under_any_padding(model_type: str, tmp_path: Path) -> None:
    facts = exported(save_model(model_type, tmp_path / "torch"), tmp_path / "onnx")
    assert facts.exporter == "torchscript"
    assert facts.fused == TORCHSCRIPT[model_type]
    assert facts.unfused is None


@pytest.mark.parametrize("model_type", list(DYNAMO))
def test_dynamos_graph_is_fused_and_right_under_any_padding(model_type: str, tmp_path: Path) -> None:
    asked: ExporterName = "dynamo" if model_type in TORCHSCRIPT else "auto"
    facts = exported(save_model(model_type, tmp_path / "torch"), tmp_path / "onnx", exporter=asked)
    assert facts.exporter == "dynamo"
    assert facts.fused == DYNAMO[model_type]
    graph = onnx.load(str(tmp_path / "onnx" / "model.onnx")).graph
    axes = {node.name: [axis.dim_param for axis in node.type.tensor_type.shape.dim] for node in graph.input}
    assert set(map(tuple, axes.values())) == {("batch_size", "sequence_length")}
    if model_type != "modernbert":
        assert len(graph.node) <= MOST_NODES.get(model_type, len(graph.node))


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("modernbert", {"num_hidden_layers": 4}),
        ("modernbert", {"num_hidden_layers": 3, "hidden_size": 60, "num_attention_heads": 5, "norm_bias": True}),
        ("eurobert", {"num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "hidden_size": 36}),
        (
            "deberta-v2",
            {"share_att_key": False, "pos_att_type": ["c2p"], "position_buckets": -1},
        ),
        ("deberta-v2", {"relative_attention": False, "position_biased_input": True, "type_vocab_size": 2}),
        *((model_type, {"rope_parameters": DYNAMIC_ANGLES}) for model_type in ("gte", "nomic_bert", "eurobert")),
        (
            "modernbert",
            {
                "num_hidden_layers": 4,
                "rope_parameters": {
                    "full_attention": DYNAMIC_ANGLES,
                    "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
                },
            },
        ),
    ],
    ids=str,
)
def test_other_shapes_of_a_family_are_fused_and_right_too(
    model_type: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    folder = save_model(model_type, tmp_path / "torch", **changes)
    facts = exported(folder, tmp_path / "onnx")
    assert (facts.exporter, facts.unfused) == ("dynamo", None)
    nodes = onnx.load(str(tmp_path / "onnx" / "model.onnx")).graph.node
    layers = changes.get("num_hidden_layers", 2)
    assert facts.fused["MultiHeadAttention"] == layers
    if layers == 4:
        assert len(nodes) <= MOST_NODES[model_type]


def test_a_fourth_table_of_embeddings_is_not_lost(tmp_path: Path) -> None:
    folder = save_model("ernie", tmp_path / "torch", use_task_id=True, task_type_vocab_size=3)
    facts = exported(folder, tmp_path / "onnx")
    assert facts.unfused is None
    assert facts.fused["Attention"] == 2


@pytest.mark.parametrize("model_type", UNFUSED)
def test_what_no_exporter_fuses_is_refused_unless_asked_for(
    model_type: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = save_model(model_type, tmp_path / "torch")
    with pytest.raises(
        ModelError, match=r"no exporter .* torchscript: fusion found 0 Attention nodes instead of 2"
    ) as caught:
        export(open_source(folder), tmp_path / "onnx", ExportConfig())
    assert "`allow_unfused=True`" in (caught.value.hint or "")
    assert not (tmp_path / "onnx").exists()
    facts = exported(folder, tmp_path / "onnx", allow_unfused=True)
    assert "Attention" not in facts.fused
    assert facts.unfused is not None
    assert facts.unfused.startswith("fusion found 0 Attention nodes instead of 2")
    assert "a layer where 8 are enough" in caplog.text


def test_an_exporter_that_cannot_fuse_a_model_says_so_when_asked_for(tmp_path: Path) -> None:
    folder = save_model("mpnet", tmp_path / "torch")
    with pytest.raises(ModelError, match="torchscript: fusion found 0 Attention nodes instead of 2"):
        export(open_source(folder), tmp_path / "onnx", ExportConfig(exporter="torchscript"))


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
@pytest.mark.parametrize("head", [AutoModelForTokenClassification, AutoModelForMaskedLM])
def test_a_model_that_answers_each_token_is_exported_too(exporter: str, head: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model("bert", **tiny_settings(num_hidden_layers=2, num_labels=5))
    head.from_config(config).save_pretrained(tmp_path / "torch")
    write_tokenizer(tmp_path / "torch")
    facts = exported(tmp_path / "torch", tmp_path / "onnx", exporter=exporter)
    assert facts.fused["Attention"] == 2
    verification = Artifact.open(tmp_path / "onnx").manifest.verification
    assert verification is not None
    # Five rows of 24 tokens, less the padding.
    assert 5 <= next(case.rows for case in verification.cases if case.case == "right padding") < 5 * 24


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_an_encoder_without_a_head_gives_vectors(exporter: str, encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is an encoder without a classification head"):
        export(open_source(encoder), tmp_path / "onnx", ExportConfig(exporter=exporter))  # type: ignore[arg-type]
    exported(encoder, tmp_path / "onnx", exporter=exporter, features=True)
    artifact = Artifact.open(tmp_path / "onnx")
    assert artifact.manifest.task.kind.name == "feature-extraction"
    output = onnx.load(str(artifact.model_file)).graph.output[0]
    assert output.name == "last_hidden_state"
    model = AutoModel.from_pretrained(encoder)
    loaded = load_model(open_source(artifact.path))
    batch = loaded.text_encoder.pad(loaded.text_encoder.tokenize(["a good film", "it"]))
    inputs = {name: torch.from_numpy(value) for name, value in batch.inputs().items()}
    with torch.inference_mode():
        expected = model(**inputs).last_hidden_state.numpy()
    np.testing.assert_allclose(loaded.predictor(batch), expected, atol=1e-5)


def test_the_two_exporters_graphs_give_the_same_answers(tmp_path: Path) -> None:
    folder = save_model("bert", tmp_path / "torch")
    texts = ["good film", "a very dull plot with music and a cold actor", "it"]
    answers = []
    for exporter in ("torchscript", "dynamo"):
        out = export(open_source(folder), tmp_path / exporter, ExportConfig(exporter=exporter)).path
        answers.append(load_model(open_source(out)).logits(texts))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)


def test_options_that_nothing_can_write_are_refused() -> None:
    with pytest.raises(UsageError, match="`opset` is 16; expected 17 to 20"):
        ExportConfig(opset=16)
    with pytest.raises(UsageError, match="`opset` is 21; expected 17 to 20"):
        ExportConfig(opset=21)
    with pytest.raises(UsageError, match="`opset` is 17; expected 18 to 20"):
        ExportConfig(exporter="dynamo", opset=17)
    with pytest.raises(UsageError, match="`precision` is fp8; expected fp32 or fp16"):
        ExportConfig(precision="fp8")  # type: ignore[arg-type]


def test_a_graph_above_the_limit_of_one_file_has_its_tensors_beside_it(onnx_artifact: Path, tmp_path: Path) -> None:
    import onnxruntime

    whole = onnx.load(str(onnx_artifact / "model.onnx"))
    save_graph(whole, tmp_path / "one.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["one.onnx"]
    save_graph(whole, tmp_path / "two.onnx", limit=10_000)
    assert (tmp_path / "two.onnx_data").stat().st_size > (tmp_path / "two.onnx").stat().st_size
    feeds = {"input_ids": np.full((1, 4), 7), "attention_mask": np.ones((1, 4), dtype=np.int64)}
    sessions = [
        onnxruntime.InferenceSession(str(tmp_path / name), providers=["CPUExecutionProvider"])
        for name in ("one.onnx", "two.onnx")
    ]
    feeds |= {"token_type_ids": np.zeros((1, 4), dtype=np.int64)}
    one, two = (session.run(None, feeds)[0] for session in sessions)
    np.testing.assert_array_equal(one, two)


def test_a_graph_with_norms_by_the_mean_square_becomes_int8(tmp_path: Path) -> None:
    folder = save_model("eurobert", tmp_path / "torch", num_key_value_heads=2)
    exported(folder, tmp_path / "onnx")
    made = quantize(open_source(tmp_path / "onnx"), tmp_path / "int8", DynamicInt8(allow_slower=True))
    facts = made.manifest.made_by.facts_of(Int8Facts)
    assert not facts.kept_in_float
    assert facts.is_batch_invariant
