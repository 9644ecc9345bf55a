"""The weights of a plain folder: of which kind they are, and which of several graphs is meant."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from replank.models.manifest import ArtifactKind
from replank.models.sentence_transformers import embedding_folder
from replank.models.weights import kind_of_weights
from replank.system.errors import ModelError, UsageError

# Weights of other kinds than safetensors and ONNX, by the names that transformers gives them.
_UNREAD_WEIGHTS = {
    "pytorch_model*.bin": "a pickle",
    "tf_model*.h5": "TensorFlow's",
    "flax_model*.msgpack": "Flax's",
}


def plain_kind(folder: Path) -> ArtifactKind:
    """The kind of a plain folder's weights, or the reason why it has none that can be read."""
    here = ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing"
    if (folder / "adapter_config.json").exists() and kind_of_weights(folder) is None:
        raise ModelError(
            f"{folder} is an adapter (adapter_config.json) for a model, not a model",
            hint="merge the two and save the result: peft's merge_and_unload(), then save_pretrained(FOLDER)",
        )
    if not (folder / "config.json").exists():
        embedding_folder(folder)  # which knows more of a folder of sentence-transformers
        raise ModelError(
            f"{folder} is no model folder: it has no config.json; it holds {here}",
            hint="expected config.json, tokenizer.json and model.safetensors (or model.onnx)",
        )
    if kind := kind_of_weights(folder):
        return kind
    for pattern, what in _UNREAD_WEIGHTS.items():
        if found := sorted(folder.glob(pattern)):
            raise ModelError(
                f"{folder} holds its weights as {what} ({found[0].name}), which replank does not load",
                hint="load it with transformers once and save it: model.save_pretrained(FOLDER) writes safetensors",
            )
    if graphs := _graphs(folder):
        raise ModelError(
            f"{folder} has no model.onnx; it holds {', '.join(graphs)}", hint=f"choose one: `file={graphs[0]}`"
        )
    raise ModelError(f"{folder} has no weights: expected model.safetensors or model.onnx; it holds {here}")


def require_graph(name: str, folder: Path, file: str, *, is_artifact: bool) -> None:
    """Refuse a graph that is none of the folder's.

    :raises UsageError: an artifact's graph cannot be chosen.
    :raises ModelError: there is no such file.
    """
    if is_artifact:
        raise UsageError(f"`file` chooses a graph of a plain folder, and {name} is an artifact", hint="leave it out")
    graphs = _graphs(folder)
    if file not in graphs:
        near = get_close_matches(file, graphs, n=1)
        raise ModelError(
            f"{name} has no graph {file}; it holds {', '.join(graphs) or 'none'}",
            hint=f"did you mean {near[0]}?" if near else None,
        )


def _graphs(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.onnx"))
