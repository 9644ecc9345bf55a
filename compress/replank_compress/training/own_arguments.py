"""Arguments of transformers' Trainer that a person sets beside replank's settings, and those that replank owns."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from replank.system.errors import UsageError
from replank.system.settings_file import read_settings_file

# What is owned and has a setting of ours.
_SETTINGS = {
    "output_dir": "out",
    "per_device_train_batch_size": "batch_size",
    "per_device_eval_batch_size": "batch_size",
    "gradient_accumulation_steps": "micro_batches",
    "num_train_epochs": "epochs",
    "max_steps": "epochs",
    "learning_rate": "learning_rate",
    "warmup_steps": "warmup",
    "warmup_ratio": "warmup",
    "weight_decay": "weight_decay",
    "seed": "seed",
    "data_seed": "seed",
    "bf16": "precision",
    "fp16": "precision",
    "activation_checkpointing": "checkpoint_activations",
    "gradient_checkpointing": "checkpoint_activations",
    "report_to": "report_to",
}
_LOSS = "the loss is the method's"
_CHECKPOINTS = "replank writes checkpoints at its evaluations, keeps two and goes on from the newest"
_EVALUATION = "replank evaluates once an epoch, or every 500 steps of a longer one"
_LOADER = "replank batches rows of like length itself"
_HUB = "replank push publishes"
_PARALLEL = "replank spreads batches over the processes of torchrun or accelerate launch"
_CURVE = "the curve that is kept has a loss every 50 steps or more often"
_COMPILED = "replacing runs other layers in each step, and each choice of them would be compiled"
_TALK = "replank shows its own progress"
# What is owned and has none, or would be without effect; with the reason.
_REASONS = {
    "label_smoothing_factor": _LOSS,
    "average_tokens_across_devices": _LOSS,
    "label_names": _LOSS,
    "use_liger_kernel": _LOSS,
    "liger_kernel_config": _LOSS,
    "save_strategy": _CHECKPOINTS,
    "save_steps": _CHECKPOINTS,
    "save_only_model": _CHECKPOINTS,
    "save_total_limit": _CHECKPOINTS,
    "save_on_each_node": _CHECKPOINTS,
    "enable_jit_checkpoint": _CHECKPOINTS,
    "load_best_model_at_end": _CHECKPOINTS,
    "resume_from_checkpoint": _CHECKPOINTS,
    "restore_callback_states_from_checkpoint": _CHECKPOINTS,
    "ignore_data_skip": _CHECKPOINTS,
    "eval_strategy": _EVALUATION,
    "eval_steps": _EVALUATION,
    "eval_delay": _EVALUATION,
    "eval_on_start": _EVALUATION,
    "eval_do_concat_batches": _EVALUATION,
    "eval_use_gather_object": _EVALUATION,
    "eval_accumulation_steps": _EVALUATION,
    "batch_eval_metrics": _EVALUATION,
    "include_for_metrics": _EVALUATION,
    "prediction_loss_only": _EVALUATION,
    "metric_for_best_model": "`metric` of the data chooses",
    "greater_is_better": "`metric` of the data chooses",
    "auto_find_batch_size": _LOADER,
    "train_sampling_strategy": _LOADER,
    "length_column_name": _LOADER,
    "remove_unused_columns": _LOADER,
    "include_num_input_tokens_seen": _LOADER,
    "dataloader_drop_last": _LOADER,
    "dataloader_persistent_workers": _LOADER,
    "dataloader_prefetch_factor": _LOADER,
    "dataloader_multiprocessing_context": _LOADER,
    "dataloader_in_order": _LOADER,
    "accelerator_config": _LOADER,
    "push_to_hub": _HUB,
    "hub_token": _HUB,
    "hub_model_id": _HUB,
    "hub_strategy": _HUB,
    "hub_always_push": _HUB,
    "hub_revision": _HUB,
    "use_cpu": _PARALLEL,
    "local_rank": _PARALLEL,
    "parallelism_config": _PARALLEL,
    "fsdp": _PARALLEL,
    "fsdp_config": _PARALLEL,
    "deepspeed": _PARALLEL,
    "ddp_find_unused_parameters": _PARALLEL,
    "ddp_static_graph": _PARALLEL,
    "ddp_timeout": _PARALLEL,
    "bf16_full_eval": _EVALUATION,
    "fp16_full_eval": _EVALUATION,
    "logging_strategy": _CURVE,
    "logging_steps": _CURVE,
    "dataloader_pin_memory": _LOADER,
    "torch_compile": _COMPILED,
    "torch_compile_backend": _COMPILED,
    "torch_compile_mode": _COMPILED,
    "disable_tqdm": _TALK,
    "log_level": _TALK,
    "log_level_replica": _TALK,
    "log_on_each_node": _TALK,
    "do_train": "every command trains, evaluates and predicts as it says",
    "do_eval": "every command trains, evaluates and predicts as it says",
    "do_predict": "every command trains, evaluates and predicts as it says",
}
OWNED = frozenset({*_SETTINGS, *_REASONS})

# Where a value is wrong, and what to try: the error to raise.
_Refuse = Callable[[str, str, str | None], UsageError]


def own_arguments(given: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """The arguments of transformers' ``TrainingArguments`` that a person sets, checked by name and type.

    :param given: the arguments, or a YAML or JSON file of them.
    :raises UsageError: an argument that there is not, with the nearest; one that replank owns, with its own setting; or
        a value of another type.
    """
    names = _names()
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                near = get_close_matches(str(name), names, n=1)
                hint = f"did you mean {near[0]}?" if near else None
                raise _error(name, "is no argument of transformers' TrainingArguments", hint)
        return {name: _checked(name, value, _error) for name, value in given.items()}
    entries = read_settings_file(Path(given)).entries(names)

    def refuse(name: str, problem: str, hint: str | None) -> UsageError:
        return entries[name].error(problem, hint)

    return {name: _checked(name, entry.plain(), refuse) for name, entry in entries.items()}


def _names() -> tuple[str, ...]:
    from transformers import TrainingArguments

    return tuple(entry.name for entry in fields(TrainingArguments) if entry.init)


def _error(name: str, problem: str, hint: str | None) -> UsageError:
    return UsageError(f"`training_arguments`: {name} {problem}", hint=hint)


def _checked(name: str, value: Any, refuse: _Refuse) -> Any:
    from transformers import TrainingArguments

    if name in _SETTINGS:
        raise refuse(name, "is replank's own", f"`{_SETTINGS[name]}` sets it")
    if name in _REASONS:
        raise refuse(name, f"is replank's own: {_REASONS[name]}", "leave it out")
    hint = get_type_hints(TrainingArguments)[name]
    if not any(_fits(value, kind) for kind in _kinds(hint)):
        expected = ", ".join(dict.fromkeys(_KINDS.get(get_origin(kind) or kind, "a name") for kind in _kinds(hint)))
        raise refuse(name, f"is {json.dumps(value, default=str)}; expected {expected}", None)
    return value


_KINDS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    dict: "an object",
    list: "a list",
    type(None): "null",
}


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _fits(value: Any, kind: Any) -> bool:
    origin = get_origin(kind) or kind
    if origin is Literal:
        return value in get_args(kind)
    if origin is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    # transformers makes its own names of texts, and refuses others.
    return isinstance(value, str if isinstance(origin, type) and issubclass(origin, Enum) else origin)
