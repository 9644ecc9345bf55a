"""The weights of a model: whatever their files are called, they are its size, its identity and its copies."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from replank.models.artifact import Artifact
from replank.models.onnx_file import external_files
from replank.models.source import open_source
from replank.models.weights import Weights
from replank.runtime.load import load_model
from replank.system.errors import ModelError
from replank_export.int8.dynamic import DynamicInt8
from replank_export.quantize import quantize
from replank_export.triton import TritonConfig, write_repository


@pytest.fixture
def split(onnx_artifact: Path, tmp_path: Path) -> Path:
    """A plain ONNX folder whose weights lie in a file of their own, under a name that nobody expects."""
    folder = tmp_path / "split"
    shutil.copytree(onnx_artifact, folder)
    (folder / "replank.json").unlink()
    save_split(onnx.load(str(folder / "model.onnx")), folder)
    return folder


def save_split(model: onnx.ModelProto, folder: Path, location: str = "encoder.weights") -> None:
    onnx.save(
        model, str(folder / "model.onnx"), save_as_external_data=True, location=location, size_threshold=0,
        all_tensors_to_one_file=True,
    )  # fmt: skip


def test_a_model_in_one_file_is_that_file(onnx_artifact: Path, predecessor: Path) -> None:
    for folder, name in ((onnx_artifact, "model.onnx"), (predecessor, "model.safetensors")):
        artifact = Artifact.open(folder)
        content = (folder / name).read_bytes()
        assert artifact.weights.files == (folder / name,)
        assert artifact.weights.bytes == len(content)
        assert artifact.weights.digest == hashlib.sha256(content).hexdigest()


def test_weights_outside_a_graph_are_found_whatever_their_name(split: Path) -> None:
    source = open_source(split)
    assert source.weights.files == (split / "model.onnx", split / "encoder.weights")
    assert source.weights.bytes == sum((split / name).stat().st_size for name in ("model.onnx", "encoder.weights"))


def test_another_weight_outside_makes_another_model(split: Path) -> None:
    before = open_source(split).digest
    graph, file = split / "model.onnx", split / "encoder.weights"
    content = file.read_bytes()
    assert before == hashlib.sha256(graph.read_bytes() + content).hexdigest()
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert open_source(split).digest != before


def test_a_stranger_in_the_folder_is_no_part_of_it(split: Path) -> None:
    before = open_source(split).digest
    (split / "model.onnx_data").write_bytes(b"left over")
    assert open_source(split).digest == before


def test_a_missing_file_of_weights_is_named(split: Path) -> None:
    (split / "encoder.weights").unlink()
    with pytest.raises(ModelError, match=r"has no encoder\.weights, which holds weights of model\.onnx") as caught:
        Weights.of(split, "onnx")
    assert caught.value.hint == "copy encoder.weights too, from where model.onnx was"


@pytest.mark.parametrize("location", ["../weights", "/etc/hostname", "inner/weights", ".."])
def test_weights_elsewhere_are_refused(split: Path, location: str) -> None:
    graph = onnx.load(str(split / "model.onnx"), load_external_data=False)
    for tensor in graph.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (split / "model.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(ModelError, match=r"keeps weights in .*; expected a file beside it"):
        Weights.of(split, "onnx")


def test_int8_and_triton_take_them_along(split: Path, onnx_artifact: Path, tmp_path: Path) -> None:
    source = open_source(split)
    texts = ["a good film", "a bad one"]
    expected = load_model(open_source(onnx_artifact)).predict(texts)
    assert [row.scores for row in load_model(source).predict(texts)] == [row.scores for row in expected]
    int8 = quantize(source, tmp_path / "int8", DynamicInt8(allow_slower=True))
    assert [row.label for row in load_model(open_source(int8.path)).predict(texts)] == [row.label for row in expected]
    copied = write_repository(source, tmp_path / "repository", TritonConfig())
    assert sorted(path.name for path in (copied / "1").iterdir()) == ["encoder.weights", "model.onnx"]


def test_tensors_are_found_in_constants_and_in_subgraphs(tmp_path: Path) -> None:
    """As onnx itself writes them: in attributes of nodes, also within the branches of an If."""

    def tensor(name: str) -> TensorProto:
        found = numpy_helper.from_array(np.zeros(4, dtype=np.float32), name)
        found.ClearField("raw_data")
        found.data_location = TensorProto.EXTERNAL
        found.external_data.add(key="location", value=f"{name}.bin")
        return found

    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    constant = helper.make_node("Constant", [], ["y"], value=tensor("constant"), name="c")
    branch = helper.make_graph([constant], "branch", [], [output], initializer=[tensor("branch")])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    alpha = helper.make_node("Elu", ["y"], ["z"], alpha=0.5)  # a float, which protobuf writes in four bytes
    graph = helper.make_graph([node, alpha], "g", [], [output], initializer=[tensor("outer")])
    model = helper.make_model(graph)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert external_files(tmp_path / "model.onnx") == ["branch.bin", "constant.bin", "outer.bin"]
