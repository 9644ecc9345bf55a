"""Folders of sentence-transformers: what their files say of vectors, lengths, prompts and pairs.

Read as sentence-transformers 6.2 reads them; what would change a vector and is not understood is refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, get_args

from replank.system.errors import ModelError
from replank.system.json_files import read_json, read_json_objects
from replank.tasks.vectors import Pooling, Vectors

_MODULES = "modules.json"
_SETTINGS = "config_sentence_transformers.json"
_POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
# Modules that change nothing when no gradient is wanted.
_IDLE_MODULES = {"Dropout"}
# Settings of the first module by the names of old and new releases, with the values that leave vectors as they are.
_NEUTRAL_SETTINGS: Mapping[str, tuple[Any, ...]] = {
    "transformer_task": ("feature-extraction",),
    "module_output_name": (None, "token_embeddings"),
    "query_length": (None,),
    "document_length": (None,),
    "query_expansion": (None,),
    "config_kwargs": (None, {}),
    "config_args": (None, {}),
    "processor_kwargs": (None, {}),
    "tokenizer_args": (None, {}),
}
# One key for each mode, in releases before 5.4.
_POOLING_KEYS: Mapping[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# The keys of config.json under which releases kept the function on a CrossEncoder's logits.
ACTIVATION_KEYS = ("sentence_transformers", "sbert_ce_default_activation_function")
_HINT = "use the model with sentence-transformers, or leave the module out and train without it"


@dataclass(frozen=True)
class EmbeddingFolder:
    """A folder of a ``SentenceTransformer``.

    :param vectors: how vectors are made.
    :param max_length: tokens that it cuts texts to; ``None``: as many as the model takes.
    """

    vectors: Vectors
    max_length: int | None


def embedding_folder(folder: Path) -> EmbeddingFolder | None:
    """The settings of a ``SentenceTransformer`` folder; ``None`` of any other.

    :raises ModelError: a module or a setting that is not understood, by name.
    """
    if not (folder / _MODULES).is_file() or _is_cross_encoder(folder):
        return None
    entries = read_json_objects(folder / _MODULES)
    modules = [(_module_name(folder, entry), PurePath(entry.get("path") or "").as_posix()) for entry in entries]
    modules = [(name, path) for name, path in modules if name not in _IDLE_MODULES]
    names = [name for name, _ in modules]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ModelError(
            f"{folder} is a sentence-transformers model of the modules {', '.join(names)}; "
            "expected Transformer and Pooling, and Normalize if at all",
            hint=_HINT,
        )
    (_, model_path), (_, pooling_path) = modules[:2]
    if model_path != ".":
        raise ModelError(
            f"{folder} keeps its encoder in {model_path}, as older sentence-transformers models do",
            hint="load it with a current sentence-transformers once and save it",
        )
    return EmbeddingFolder(
        Vectors(
            pooling=_pooling(_inside(folder, pooling_path) / "config.json"),
            normalize="Normalize" in names,
            **_prompts(folder),
        ),
        max_length=_max_length(folder),
    )


def copy_modules(source: Path, folder: Path) -> None:
    """Copy the files by which sentence-transformers makes vectors; nothing where a folder has none.

    With them, whatever is made of an embedding model is one itself.

    :param folder: the new model's.
    """
    if embedding_folder(source) is None:
        return
    settings, _ = _transformer_settings(source)
    for name in (_MODULES, _SETTINGS, settings.name):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    for entry in read_json_objects(source / _MODULES):
        config = PurePath(entry.get("path") or "") / "config.json"
        if config.parts[:-1] and _inside(source, config.as_posix()).is_file():
            (folder / config).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / config, folder / config)


def lowercases(folder: Path) -> bool:
    """Whether sentence-transformers makes the texts of a folder's model small before they are tokenized."""
    return (folder / _MODULES).is_file() and bool(_transformer_settings(folder)[1].get("do_lower_case"))


def takes_pairs(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether a folder is a ``CrossEncoder``, which answers pairs of texts.

    :raises ModelError: it puts a prompt before each text.
    """
    if not _is_cross_encoder(folder) and _activation(folder, config) is None:
        return False
    if default := _prompts(folder)["default_prompt"]:
        raise ModelError(
            f"{folder / _SETTINGS}: default_prompt_name is {default!r}; prompts of cross-encoders are not supported"
        )
    return True


def activation_of(folder: Path, config: Mapping[str, Any]) -> str | None:
    """The name of the function on the logits of a ``CrossEncoder``, such as ``Sigmoid``; ``None`` if none is named."""
    found = _activation(folder, config)
    return None if found is None else found.rsplit(".", 1)[-1]


def _activation(folder: Path, config: Mapping[str, Any]) -> str | None:
    """The activation, by its path in torch, from any of the places where releases kept it."""
    block = config.get("sentence_transformers")
    places = (block if isinstance(block, Mapping) else {}, read_json(folder / _SETTINGS, optional=True))
    named = [place["activation_fn"] for place in places if place.get("activation_fn")]
    named += (
        [config["sbert_ce_default_activation_function"]] if config.get("sbert_ce_default_activation_function") else []
    )
    return str(named[0]) if named else None


def _is_cross_encoder(folder: Path) -> bool:
    """Whether the settings say so.

    :raises ModelError: they name another type of model, such as ``SparseEncoder``.
    """
    model_type = read_json(folder / _SETTINGS, optional=True).get("model_type") or "SentenceTransformer"
    if model_type not in ("SentenceTransformer", "CrossEncoder"):
        raise ModelError(
            f"{folder / _SETTINGS}: model_type is {model_type!r}; expected SentenceTransformer or CrossEncoder"
        )
    return bool(model_type == "CrossEncoder")


def _module_name(folder: Path, entry: Mapping[str, Any]) -> str:
    """The name of a module's class.

    :raises ModelError: it is none of sentence-transformers' own.
    """
    path = str(entry.get("type", ""))
    if not path.startswith("sentence_transformers."):
        raise ModelError(
            f"{folder / _MODULES} names the class {path!r}, which is code of the model's own, and is not run",
            hint=_HINT,
        )
    return path.rsplit(".", 1)[-1]


def _max_length(folder: Path) -> int | None:
    path, settings = _transformer_settings(folder)
    for name, neutral in _NEUTRAL_SETTINGS.items():
        if settings.get(name, neutral[0]) not in neutral:
            raise ModelError(f"{path}: {name} is {settings[name]!r}, which is not supported", hint=_HINT)
    length = settings.get("max_seq_length")
    if length is not None and (not isinstance(length, int) or length < 1):
        raise ModelError(f"{path}: max_seq_length is {length!r}; expected a number of tokens")
    return length


def _transformer_settings(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The settings of the first module, whose file was named after the architecture once."""
    usual = folder / "sentence_bert_config.json"
    path = next((path for path in (usual, *sorted(folder.glob("sentence_*_config.json"))) if path.is_file()), usual)
    return path, read_json(path, optional=True)


def _pooling(path: Path) -> Pooling:
    settings = read_json(path)
    modes = settings.get("pooling_mode") or [mode for key, mode in _POOLING_KEYS.items() if settings.get(key)] or "mean"
    modes = [modes] if isinstance(modes, str) else list(modes)
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise ModelError(
            f"{path}: the pooling is {' and '.join(map(str, modes))}; expected one of {', '.join(_POOLINGS)}",
            hint=_HINT,
        )
    if settings.get("include_prompt") is False:
        raise ModelError(f"{path}: include_prompt is false, which is not supported", hint=_HINT)
    mode: Pooling = modes[0]
    return mode


def _prompts(folder: Path) -> dict[str, Any]:
    """The prompts with a text, and the name of the default one."""
    path = folder / _SETTINGS
    settings = read_json(path, optional=True)
    prompts = settings.get("prompts") or {}
    default = settings.get("default_prompt_name")
    if settings.get("truncate_dim") is not None:
        raise ModelError(f"{path}: truncate_dim is {settings['truncate_dim']!r}, which is not supported", hint=_HINT)
    if not isinstance(prompts, dict) or not all(isinstance(text, (str, type(None))) for text in prompts.values()):
        raise ModelError(f"{path}: prompts is no object of texts")
    if default is not None and default not in prompts:
        raise ModelError(f"{path}: default_prompt_name is {default!r}; its prompts: {', '.join(prompts) or 'none'}")
    return {"prompts": {name: text or "" for name, text in prompts.items()}, "default_prompt": default}


def _inside(folder: Path, path: str) -> Path:
    """A module's folder, which must lie in the model's."""
    if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
        raise ModelError(f"{folder / _MODULES} names the path {path!r}; expected a folder in it")
    return folder / path
