"""Graph files: one file, with external data only above the size limit of a protobuf message."""

from __future__ import annotations

from pathlib import Path

import onnx

from replank.models.weights import external_names

# The limit of a protobuf message, less room for everything but the tensors.
SINGLE_FILE_LIMIT = 2**31 - 2**20


def save_graph(model: onnx.ModelProto, path: Path, *, limit: int = SINGLE_FILE_LIMIT) -> None:
    """Write a graph, with its tensors in ``<name>_data`` beside it only if one file cannot hold them.

    :param limit: the largest size of one file, in bytes.
    """
    _declare_domains(model)
    bytes_of_tensors = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if bytes_of_tensors < limit:
        onnx.save(model, str(path))
        return
    onnx.save(
        model,
        str(path),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=f"{path.name}_data",
        size_threshold=1024,
    )


def is_large(path: Path) -> bool:
    """Whether a graph has tensors in files beside it."""
    return bool(external_names(path))


def _declare_domains(model: onnx.ModelProto) -> None:
    """Declare every domain whose operators are used: rewriting may add the first operator of a domain without it."""
    declared = {entry.domain for entry in model.opset_import}
    for domain in sorted({node.domain for node in model.graph.node} - declared):
        model.opset_import.append(onnx.helper.make_opsetid(domain, 1))
