"""transformers' models with the head that a task needs, and no weight that is not theirs."""

from __future__ import annotations

from typing import Any

from replank.models.sentence_transformers import ACTIVATION_KEYS
from replank.models.source import Source
from replank.system.errors import ModelError
from replank.system.extras import require
from replank.system.quiet import quiet_transformers
from replank.tasks.kinds import Kind
from replank.tasks.task import Task
from replank.text.tokenizer_check import check_tokenizer


def load_torch_model(source: Source, kind: Kind | None = None, *, new_head: bool = False, **arguments: Any) -> Any:
    """A transformers model with the source's weights, in fp32.

    transformers fills weights that a file lacks with random numbers and passes over weights that the model has no
    place for. Here both are errors, but for the head of a model that is to be trained.

    :param kind: what its head is for; ``None``: the source's own task.
    :param new_head: allow a missing or misfit pooler and head.
    :param arguments: passed on to ``from_pretrained``.
    :returns: a ``PreTrainedModel``.
    :raises ModelError: the weights cannot be loaded or are not those of the configuration, its texts would get other
        ids than transformers gives, or it is not whole without references, which :func:`load_to_run` gives it.
    """
    if source.references:
        raise ModelError(
            f"{source.name} attends to references, whose bank would fit no model that is made of its layers",
            hint="begin with its predecessor instead; it can be exported, evaluated and served",
        )
    return _load(source, kind, new_head=new_head, **arguments)


def _load(source: Source, kind: Kind | None = None, *, new_head: bool = False, **arguments: Any) -> Any:
    require("torch", "transformers")
    import torch
    import transformers

    check_tokenizer(source.folder)
    kind = kind or source.task.kind
    auto_class = getattr(transformers, kind.auto_class)
    try:
        with quiet_transformers():
            model, report = auto_class.from_pretrained(
                source.folder,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # named below, with both sizes
                **arguments,
            )
    except Exception as error:  # damaged weights surface as any of half a dozen types
        raise ModelError(
            f"transformers cannot load {source.name}: {error}",
            hint="are config.json and model.safetensors whole, and of the same model?",
        ) from error
    # Vectors of tokens need no pooler, which many encoders are published without.
    _require_all_weights(source, model, report, new_head=new_head or not kind.has_head)
    # Logits are what is wanted of it, whatever its publisher used it for.
    model.config.output_hidden_states = model.config.output_attentions = False
    if new_head:
        for key in ACTIVATION_KEYS:  # of the head that gives way
            model.config.__dict__.pop(key, None)
    # Left open, transformers would choose a loss by the number of outputs and the type of the labels.
    if problem_type := kind.head_settings(source.task.labels).get("problem_type"):
        model.config.problem_type = problem_type
    return model


def load_to_run(source: Source, task: Task, **arguments: Any) -> Any:
    """A model with all that its answers need around it: the pooling of its task, its references.

    :param arguments: passed on to ``from_pretrained``.
    :returns: a ``PreTrainedModel``, a ``PooledEncoder`` or a ``ReferencedModel``.
    :raises ModelError: the weights cannot be loaded, see :func:`load_torch_model`.
    """
    model = _load(source, task.kind, **arguments)
    if source.references:
        from replank.runtime._torch_references import ReferencedModel

        return ReferencedModel(model)
    return pooled(model, source.task) if task.gives_one_vector else model


def pooled(model: Any, task: Task) -> Any:
    """A bare encoder with the pooling of its task: its logits are one vector for each text.

    :returns: a ``PooledEncoder``.
    """
    from replank.runtime._torch_pooling import PooledEncoder

    return PooledEncoder(model, task.vector_settings)


def _require_all_weights(source: Source, model: Any, report: Any, *, new_head: bool) -> None:
    encoder = source.encoder
    # The keys of a bare encoder begin with the names of its modules; those of one with a head, with its own name.
    prefix = "" if model.base_model is model else f"{model.base_model_prefix}."

    def counts(key: str) -> bool:
        """Whether a weight must be there: of a head that is to be trained and its pooler, none must."""
        return not new_head or (key.startswith(prefix) and not encoder.is_in_pooler(key))

    missing = [key for key in report["missing_keys"] if counts(key)]
    unplaced = [key for key in report["unexpected_keys"] if encoder.is_in_stack(key)]
    misfit = [
        f"{key} ({tuple(found)}, not {tuple(described)})"
        for key, found, described in report["mismatched_keys"]
        if counts(key)
    ]
    problems = (
        (missing, "lack"),
        (unplaced, "hold, beyond what config.json describes,"),
        (misfit, "have another shape than config.json describes in"),
    )
    for keys, problem in problems:
        if keys:
            others = f" and {len(keys) - 1} others" if len(keys) > 1 else ""
            raise ModelError(
                f"the weights of {source.name} {problem} {min(keys)}{others}",
                hint=_misfit_hint(report),
            )


def _misfit_hint(report: Any) -> str:
    """What helps where names of weights are not those of the model: what usually wrote them so."""
    names = report["unexpected_keys"]
    for prefix in ("module.", "model.", "_orig_mod."):
        if names and all(key.startswith(prefix) for key in names):
            return f"the names of the weights begin with {prefix!r}: save the model inside, with save_pretrained"
    if any("lora_" in key for key in names):
        return "they hold adapters: merge one into the weights (peft's merge_and_unload()), then save_pretrained"
    return "config.json and model.safetensors are not of the same model"


def require_head(source: Source, kind: Kind | None = None) -> None:
    """Refuse a bare encoder where answers are wanted: its head would be random.

    :raises ModelError: the model has no head for this kind of task.
    """
    kind = kind or source.task.kind
    if source.kind == "torch" and kind.has_head and source.head != kind.head:
        named = ", ".join(map(str, source.config.get("architectures") or [])) or "no architectures"
        raise ModelError(
            f"{source.name} is an encoder without a {kind} head ({named}); its answers would be random",
            hint="make a predecessor of it first: replank finetune (or export it with `features` for vectors)",
        )
