"""A pretraining from its first stage to its last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, set_seed

from replank.models.encoders import encoder_of
from replank.models.training_facts import GrowthStage, PretrainingFacts
from replank.system.errors import ModelError
from replank_compress.growing.config import PretrainConfig
from replank_compress.growing.moments import Moments, grown_moments
from replank_compress.growing.operators import Growth, Shape, grow
from replank_compress.growing.schedule import Plan
from replank_compress.growing.stage import Corpus, StageResult, train_stage


def masked_lm_model(settings: dict[str, Any], shape: Shape | None = None) -> Any:
    """A masked language model with random weights.

    :param settings: the content of ``config.json``.
    :param shape: other sizes than the settings'.
    :raises ModelError: transformers refuses the settings.
    """
    keys = encoder_of(settings, "the encoder").keys
    sizes = {keys.layers: shape.layers, keys.feed_forward: shape.width} if shape else {}
    others = {name: value for name, value in settings.items() if name not in ("model_type", "dtype", "torch_dtype")}
    try:
        config = AutoConfig.for_model(settings["model_type"], **others | sizes)
        return AutoModelForMaskedLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    except (TypeError, ValueError) as error:
        raise ModelError(f"config.json describes no model: {error}") from error


def shape_of(model: Any) -> Shape:
    """The sizes of a model that growth changes."""
    config = model.config.to_dict()
    encoder = encoder_of(config, "the encoder")
    return Shape(encoder.layers(config), encoder.feed_forward(config))


def train_stages(
    settings: dict[str, Any],
    plans: Sequence[Plan],
    corpus: Corpus,
    config: PretrainConfig,
    *,
    work: Path,
    fingerprint: dict[str, Any],
) -> tuple[Any, list[StageResult]]:
    """Train every stage, each from the grown weights of the one before.

    :param work: gets a folder of checkpoints for each stage, from which a later call with the same fingerprint goes on.
    :returns: the trained model of the last stage, and the results of all.
    """
    set_seed(config.seed)
    results: list[StageResult] = []
    model, moments = masked_lm_model(settings, plans[0].shape), None
    for number, plan in enumerate(plans, 1):
        if results:
            model, moments = _grown(settings, model, results[-1].moments, plans[number - 2].shape, plan.shape, config)
        results.append(
            train_stage(
                model,
                plan,
                corpus,
                config,
                work=stage_folder(work, number),
                fingerprint=fingerprint,
                number=number,
                moments=moments,
                wants_moments=config.moments == "carried" and number < len(plans),
            )
        )
    return model.eval(), results


def stage_folder(work: Path, number: int) -> Path:
    """The folder of a stage's checkpoints."""
    return work / f"stage-{number}"


def pretraining_facts(data: dict[str, str], plans: Sequence[Plan], results: Sequence[StageResult]) -> PretrainingFacts:
    """What the manifest keeps of the stages.

    :param data: digest of each split.
    """
    stages = []
    for plan, result in zip(plans, results, strict=True):
        losses = [entry["eval_loss"] for entry in result.curve if "eval_loss" in entry]
        stages.append(
            GrowthStage(
                steps=plan.stage.steps,
                layers=plan.shape.layers,
                width=plan.shape.width,
                length=plan.length,
                pooling=plan.stage.pooling,
                parameters=result.parameters,
                flops=result.flops,
                first_loss=losses[0],
                last_loss=losses[-1],
            )
        )
    return PretrainingFacts(
        data=data,
        stages=tuple(stages),
        stage_seconds=tuple(result.seconds for result in results),
        processor_seconds=tuple(result.processor_seconds for result in results),
    )


def joined_curve(results: Sequence[StageResult]) -> list[dict[str, Any]]:
    """The curves of all stages as one: steps and seconds count on, and each entry has the FLOPs spent by then."""
    joined: list[dict[str, Any]] = []
    steps, spent = 0, {"step_seconds": 0.0, "processor_seconds": 0.0, "seconds": 0.0, "joules": 0.0, "flops": 0.0}
    for number, result in enumerate(results, 1):
        last = max(entry["step"] for entry in result.curve)
        for entry in result.curve:
            own = entry | {"flops": result.flops * entry["step"] / last}
            moved = {name: round(spent[name] + own[name], 3) for name in spent.keys() & own.keys()}
            joined.append(own | moved | {"step": steps + entry["step"], "stage": number})
        steps, spent = steps + last, spent | {name: joined[-1][name] for name in spent.keys() & joined[-1].keys()}
    return joined


def _grown(
    settings: dict[str, Any], model: Any, moments: Moments | None, old: Shape, new: Shape, config: PretrainConfig
) -> tuple[Any, Moments | None]:
    encoder = encoder_of(model.config.to_dict(), "the encoder")
    growth = Growth(encoder, old, new, config.noise, config.seed)
    large = masked_lm_model(settings, new)
    large.load_state_dict(grow(model.state_dict(), growth, depth=config.depth, width=config.width), strict=True)
    if moments is not None:
        moments = grown_moments(moments, growth, depth=config.depth, width=config.width)
    return large, moments
