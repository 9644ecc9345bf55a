"""ONNX folders that replank did not make: what runs like our own, and what is turned away with which words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest

from app_client import expected, post, with_app
from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.models.onnx_checks import require_sound_file
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.system.errors import ModelError
from replank.system.json_files import read_json
from replank.text.padding import INPUT_NAMES
from replank_serve.engine.engine import Engine
from tiny import sentences

TEXTS = [text for text, _ in sentences(20, seed=3)]
Change = Callable[[onnx.ModelProto], None]


@pytest.fixture(scope="session")
def exported(predecessor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `optimum-cli export onnx` would make of the predecessor: its layout, names, axes and exporter."""
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = tmp_path_factory.mktemp("foreign") / "exported"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(predecessor / name, folder / name)
    model = AutoModelForSequenceClassification.from_pretrained(predecessor, return_dict=False).eval()
    ids = torch.full((2, 16), 7)
    axes = {name: {0: "batch_size", 1: "sequence_length"} for name in INPUT_NAMES} | {"logits": {0: "batch_size"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (ids, torch.ones_like(ids), torch.zeros_like(ids)),
            str(folder / "model.onnx"),
            input_names=list(INPUT_NAMES),
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=14,
            dynamo=False,
        )
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return shutil.copytree(exported, tmp_path / "folder")


def change(folder: Path, edit: Change) -> Path:
    graph = onnx.load(str(folder / "model.onnx"))
    edit(graph)
    onnx.save(graph, str(folder / "model.onnx"))
    return folder


def renamed(old: str, new: str) -> Change:
    def edit(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.name = new if value.name == old else value.name
        for node in model.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]

    return edit


def of_opset(version: int) -> Change:
    def edit(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = version

    return edit


def with_fixed_length(model: onnx.ModelProto) -> None:
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[1].dim_value = 16


def with_narrow_segments(model: onnx.ModelProto) -> None:
    model.graph.input[2].type.tensor_type.elem_type = onnx.TensorProto.INT32


# What runs


def test_it_answers_as_the_model_that_it_was_made_of(exported: Path, predecessor: Path) -> None:
    source = open_source(exported)
    assert (source.kind, source.precision, source.artifact) == ("onnx", "fp32", None)
    ours, theirs = (load_model(open_source(path)).logits(TEXTS) for path in (predecessor, exported))
    np.testing.assert_allclose(theirs, ours, atol=1e-5, rtol=0)
    assert np.ptp(ours[:, 0]) > 0.1


def test_the_commands_take_it(replank: Replank, exported: Path, predecessor: Path, data: DataConfig) -> None:
    flags = ("--data", data.data, "--text", "sentence", "--max-length", data.max_length, "--json")
    theirs, ours = (json.loads(replank("evaluate", path, *flags).out) for path in (exported, predecessor))
    assert ours.pop("chosen_on_it") is True
    assert theirs == ours | {"model": str(exported)}
    assert json.loads(replank("inspect", exported, "--json").out)["task"]["labels"] == ["negative", "positive"]
    assert replank("predict", exported, "a superb film").out.startswith("positive\t")
    verified = replank("verify", predecessor, exported, "--json")
    assert verified.code == 0, verified.err
    speed = replank("benchmark", exported, "--rounds", 1, "--batch-size", 1, "--length", 8, "--json")
    assert json.loads(speed.out)["models"][0]["kind"] == "onnx", speed.err


def test_the_server_takes_it(exported: Path) -> None:
    model = load_model(open_source(exported), threads=1)

    async def client(http: httpx.AsyncClient, engine: Engine) -> None:
        answer = await post(http, {"inputs": TEXTS[:3]})
        assert answer.json() == expected(model, TEXTS[:3])

    with_app(model, client)


def test_nothing_of_it_needs_the_package_onnx(exported: Path) -> None:
    code = (
        "import sys; from replank.runtime.load import load_model; from replank.models.source import open_source\n"
        f"load_model(open_source({str(exported)!r})).logits(['a']); print('onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_optimum_says_what_it_quantized(folder: Path) -> None:
    (folder / "ort_config.json").write_text('{"quantization": {}}', encoding="utf-8")
    assert open_source(folder).precision == "fp32"
    (folder / "ort_config.json").write_text('{"quantization": {"is_static": false}}', encoding="utf-8")
    assert open_source(folder).precision == "int8"


# What is turned away


@pytest.mark.parametrize(
    ("edit", "error", "hint"),
    [
        (
            renamed("input_ids", "tokens"),
            "takes tokens, attention_mask, token_type_ids; expected input_ids, attention_mask, token_type_ids",
            "export it again",
        ),
        (renamed("token_type_ids", "position_ids"), "takes input_ids, attention_mask, position_ids", "export it"),
        (with_fixed_length, "takes input_ids as tensor(int64) of shape ['batch_size', 16]; expected int64", "export"),
        (with_narrow_segments, "takes token_type_ids as tensor(int32) of shape", "export it again"),
        (renamed("logits", "scores"), "gives scores; expected logits", "export the model with its head"),
        (of_opset(10), "model.onnx is of opset 10; expected 11 or newer", "export it again: replank export MODEL"),
    ],
)
def test_graphs_of_another_kind(replank: Replank, folder: Path, edit: Change, error: str, hint: str) -> None:
    done = replank("predict", change(folder, edit), "a text")
    lines = error_lines(done)
    assert done.code == 1
    assert error in lines[0]
    assert lines[1].startswith(f"hint: {hint}")


def test_a_configuration_of_another_model(folder: Path) -> None:
    config = read_json(folder / "config.json") | {"id2label": {"0": "a", "1": "b", "2": "c"}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match=r"config\.json names 3 labels, the graph gives 2"):
        open_source(folder)


def test_a_folder_without_its_tokenizer(replank: Replank, folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    lines = error_lines(replank("predict", folder, "a text"))
    assert lines == [
        f"error: {folder} has no tokenizer.json",
        "hint: save the tokenizer into the model's folder",
    ]


def test_a_folder_with_a_graph_of_another_name(replank: Replank, folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "model_quantized.onnx")
    lines = error_lines(replank("predict", folder, "a text"))
    assert lines == [
        f"error: {folder} has no model.onnx; it holds model_quantized.onnx",
        "hint: choose one: --file model_quantized.onnx",
    ]
    assert replank("predict", folder, "a text", "--file", "model_quantized.onnx").code == 0


def test_a_graph_that_is_cut_off_anywhere(folder: Path) -> None:
    graph = (folder / "model.onnx").read_bytes()
    require_sound_file(folder / "model.onnx")
    for size in {*range(0, len(graph), len(graph) // 50), *range(len(graph) - 12, len(graph))}:
        (folder / "model.onnx").write_bytes(graph[:size])
        with pytest.raises(ModelError, match=r"model\.onnx is (cut off after \d+ bytes|no ONNX graph)"):
            open_source(folder)


@pytest.mark.parametrize("content", [b"", b"\x08", b"\xff" * 20, b"PK\3\4", b"{}"])
def test_a_file_that_is_no_graph(folder: Path, content: bytes) -> None:
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx is (cut off after|no ONNX graph)"):
        open_source(folder)
