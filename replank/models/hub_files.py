"""The files that a model on the hub needs, and what to say of a repository that does not have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from replank.models.manifest import CARD, MANIFEST, MODEL_FILES
from replank.models.weights import HUB_GRAPH, external_names, model_file
from replank.system.errors import ModelError
from replank.system.json_files import read_json

# Configuration, tokenizer and card, with the modules of sentence-transformers that have weights of their own.
SMALL_FILES = ["*.json", "*.txt", "*.model", CARD, "[0-9]_*/model.safetensors"]
_SHARDS_INDEX, _SHARDS = "model.safetensors.index.json", "model-*-of-*.safetensors"


def weights_of(name: str, files: Sequence[str], file: str | None = None) -> list[str]:
    """Patterns of the files that hold the weights; of an artifact none, since its manifest names them.

    :param files: all that the repository has.
    :param file: the graph that somebody chose.
    :raises ModelError: none of them can be used.
    """
    if MANIFEST in files:
        return []
    graphs = sorted(each for each in files if each.endswith(".onnx"))
    if file is not None:
        if file in graphs and "config.json" in files:
            return [file]
        raise ModelError(f"{name} has no graph {file}; it holds {', '.join(graphs) or 'none'}")
    for weights in (MODEL_FILES["torch"], _SHARDS_INDEX, MODEL_FILES["onnx"], HUB_GRAPH):
        if weights in files and "config.json" in files:
            return [_SHARDS] if weights == _SHARDS_INDEX else [weights]
    if "adapter_config.json" in files:
        raise ModelError(
            f"{name} holds an adapter (adapter_config.json), not a model",
            hint="merge it into its base model with peft: model.merge_and_unload().save_pretrained(FOLDER)",
        )
    if pickles := [file for file in files if file.startswith("pytorch_model") and file.endswith(".bin")]:
        raise ModelError(
            f"{name} holds its weights as a pickle ({pickles[0]}), which replank does not load",
            hint="load it with transformers once and save it: model.save_pretrained(FOLDER) writes safetensors",
        )
    if graphs and "config.json" in files:
        raise ModelError(
            f"{name} has no {MODEL_FILES['onnx']}; it holds {', '.join(graphs)}", hint=f"choose one: `file={graphs[0]}`"
        )
    listed = ", ".join(sorted(files)[:6]) or "nothing"
    raise ModelError(
        f"{name} is no model that replank reads; it holds {listed}",
        hint=f"expected config.json, tokenizer.json and {MODEL_FILES['torch']} (or {MODEL_FILES['onnx']})",
    )


def is_whole(folder: Path, file: str | None = None) -> bool:
    """Whether what was fetched is all that is needed.

    :param file: the graph that somebody chose.
    """
    if files := files_of_artifact(folder):
        return all((folder / name).exists() for name in files)
    needed = ["config.json"]
    if file is not None:
        needed += [file, *files_beside_graph(folder, file)]
    elif (folder / MODEL_FILES["torch"]).exists():
        needed += [MODEL_FILES["torch"]]
    elif (folder / _SHARDS_INDEX).exists():
        needed += read_json(folder / _SHARDS_INDEX).get("weight_map", {}).values()
    else:
        needed += [model_file(folder, "onnx").relative_to(folder).as_posix(), *files_beside_graph(folder)]
    return all((folder / name).exists() for name in needed)


def files_beside_graph(folder: Path, file: str | None = None) -> list[str]:
    """The files with weights of a graph, where there is one.

    :param file: the graph that somebody chose.
    """
    graph = folder / file if file else model_file(folder, "onnx")
    place = graph.parent.relative_to(folder)
    return [(place / name).as_posix() for name in external_names(graph)] if graph.exists() else []


def files_of_artifact(folder: Path) -> list[str]:
    """The files that an artifact's manifest names; none if it is no artifact. Opening it checks them."""
    return list(read_json(folder / MANIFEST, optional=True).get("files", ()))
