"""What `replank triton` writes is a model repository, by Triton's own published schema."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from commands import Replank, error_lines
from replank.models.source import open_source
from replank.runtime.session import open_session
from replank.system.errors import UsageError
from replank_export.triton import TritonConfig, write_repository

needs_schema = pytest.mark.skipif(
    importlib.util.find_spec("tritonclient") is None, reason="tritonclient, which holds the schema, is not installed"
)


def published_schema() -> ModuleType:
    """``model_config.proto``, compiled: the one module, as the package itself wants gRPC."""
    package = importlib.util.find_spec("tritonclient")
    assert package is not None
    (folder,) = package.submodule_search_locations or []
    spec = importlib.util.spec_from_file_location("model_config_pb2", Path(folder) / "grpc" / "model_config_pb2.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_repository_holds_the_graph_the_labels_and_the_configuration(
    replank: Replank, onnx_artifact: Path, tmp_path: Path
) -> None:
    done = replank("triton", onnx_artifact, tmp_path / "repository", "--name", "tiny", "--json")
    assert done.code == 0, done.err
    folder = tmp_path / "repository" / "tiny"
    assert json.loads(done.out) == {"folder": str(folder), "files": ["1/model.onnx", "config.pbtxt", "labels.txt"]}
    assert sha256(folder / "1" / "model.onnx") == sha256(onnx_artifact / "model.onnx")
    assert (folder / "labels.txt").read_text(encoding="utf-8") == "negative\npositive\n"
    text = (folder / "config.pbtxt").read_text(encoding="utf-8")
    assert text.startswith('name: "tiny"\nbackend: "onnxruntime"\nmax_batch_size: 16\n')
    names = [node.name for node in open_session(onnx_artifact / "model.onnx", threads=1).get_inputs()]
    assert re.findall(r'  name: "(\w+)"\n  data_type: TYPE_INT64\n  dims: \[ -1 \]', text) == names
    assert '  name: "logits"\n  data_type: TYPE_FP32\n  dims: [ 2 ]\n  label_filename: "labels.txt"\n' in text
    # Braces close, and nothing stands outside of what text protobuf allows.
    assert [text.count(mark) for mark in "{["] == [text.count(mark) for mark in "}]"]
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]


@needs_schema
@pytest.mark.filterwarnings("ignore")  # of tritonclient, at import
@pytest.mark.parametrize("kind", ["onnx_artifact", "int8_artifact", "pair_onnx_artifact"])
def test_the_configuration_is_a_model_config_of_triton(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    from google.protobuf import text_format

    schema = published_schema()
    source = open_source(request.getfixturevalue(kind))
    config = TritonConfig(name="tiny", threads=3, max_batch=8, max_queue=99, timeout_seconds=1.5)
    folder = write_repository(source, tmp_path / "repository", config)
    # Refuses any field that the published schema has not.
    found = text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), schema.ModelConfig())
    session = open_session(source.model_file, threads=1)
    assert (found.name, found.backend, found.max_batch_size) == ("tiny", "onnxruntime", 8)
    assert [tensor.name for tensor in found.input] == [node.name for node in session.get_inputs()]
    assert {(tensor.data_type, *tensor.dims) for tensor in found.input} == {(schema.TYPE_INT64, -1)}
    (output,) = found.output
    assert (output.name, output.data_type, list(output.dims)) == ("logits", schema.TYPE_FP32, [2])
    assert (folder / output.label_filename).is_file()
    (group,) = found.instance_group
    assert (group.count, group.kind) == (1, schema.ModelInstanceGroup.KIND_CPU)
    assert found.parameters["intra_op_thread_count"].string_value == "3"
    policy = found.dynamic_batching.default_queue_policy
    assert (policy.timeout_action, policy.default_timeout_microseconds, policy.max_queue_size) == (0, 1_500_000, 99)


def test_on_cuda_it_asks_for_a_gpu_but_not_for_int8(
    replank: Replank, onnx_artifact: Path, int8_artifact: Path, tmp_path: Path
) -> None:
    assert replank("triton", onnx_artifact, tmp_path / "repository", "--device", "cuda").code == 0
    assert "KIND_GPU" in (tmp_path / "repository" / "onnx" / "config.pbtxt").read_text(encoding="utf-8")
    done = replank("triton", int8_artifact, tmp_path / "repository", "--device", "cuda")
    assert done.code == 1
    assert error_lines(done)[-1] == "hint: --device cpu runs INT8 models"
    assert [path.name for path in (tmp_path / "repository").iterdir()] == ["onnx"]


def test_a_model_that_is_there_is_replaced_by_force_only(
    replank: Replank, onnx_artifact: Path, int8_artifact: Path, tmp_path: Path
) -> None:
    model = tmp_path / "repository" / "tiny"
    assert replank("triton", onnx_artifact, tmp_path / "repository", "--name", "tiny").code == 0
    done = replank("triton", int8_artifact, tmp_path / "repository", "--name", "tiny")
    assert (done.code, error_lines(done)[0]) == (2, f"error: {model} exists")
    assert sha256(model / "1" / "model.onnx") == sha256(onnx_artifact / "model.onnx")
    assert replank("triton", int8_artifact, tmp_path / "repository", "--name", "tiny", "--force").code == 0
    assert sha256(model / "1" / "model.onnx") == sha256(int8_artifact / "model.onnx")
    # What is no model of Triton's is not replaced.
    (tmp_path / "repository" / "precious").mkdir()
    assert replank("triton", onnx_artifact, tmp_path / "repository", "--name", "precious", "--force").code == 2
    assert sorted(path.name for path in tmp_path.rglob("*") if path.name.startswith(".")) == []


def test_a_torch_model_is_refused(replank: Replank, successor: Path, tmp_path: Path) -> None:
    done = replank("triton", successor, tmp_path / "repository")
    assert done.code == 1
    assert "triton needs one of kind onnx" in error_lines(done)[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "a b"}, "`name` is a b"),
        ({"name": "../up"}, r"`name` is \.\./up"),
        ({"max_batch": 0}, "`max_batch` is 0"),
        ({"threads": 0}, "`threads` is 0"),
        ({"timeout_seconds": float("nan")}, "`timeout_seconds` is nan"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TritonConfig(**settings)  # type: ignore[arg-type]
