"""The growth schedule: stages as data, from a YAML file or from flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from replank.models.encoder import Encoder
from replank.system.errors import FieldError, UsageError
from replank.system.typed_json import dataclass_from_json
from replank_compress.growing.operators import Shape

Decay = Literal["linear", "constant"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of pretraining; what is ``None`` is the whole encoder's.

    Of every stage, an optimizer step has the same number of tokens and of targets, about.

    :param steps: optimizer steps.
    :param layers: Transformer layers.
    :param width: of the feed-forward layers.
    :param pooling: neighbouring tokens that become one from the second layer on; 1 pools nothing.
    :param length: tokens of a block, special ones included.
    :param learning_rate: the peak learning rate of AdamW.
    :param warmup: fraction of the stage's steps over which the learning rate rises linearly.
    :param decay: ``linear`` falls to 0 at the end of the stage; ``constant`` stays.
    """

    steps: int
    layers: int | None = None
    width: int | None = None
    pooling: int = 1
    length: int | None = None
    learning_rate: float = 1e-4
    warmup: float = 0.01
    decay: Decay = "linear"

    def __post_init__(self) -> None:
        for name in ("steps", "layers", "width", "pooling", "length"):
            value = getattr(self, name)
            if value is not None and not value >= 1:
                raise FieldError("stages", f"a stage of {name} {value}", "1 or more")
        if not 0 < self.learning_rate < float("inf"):
            raise FieldError("stages", f"a stage of learning_rate {self.learning_rate}", "more than 0")
        if not 0 <= self.warmup < 1:
            raise FieldError("stages", f"a stage of warmup {self.warmup}", "0 to less than 1")
        if self.decay not in get_args(Decay):
            raise FieldError("stages", f"a stage of decay {self.decay}", " or ".join(get_args(Decay)))


@dataclass(frozen=True)
class Plan:
    """A stage with what it left to the whole encoder.

    :param length: tokens of a block.
    :param rows: blocks of an optimizer step.
    """

    stage: Stage
    shape: Shape
    length: int
    rows: int


def plans(stages: Sequence[Stage], full: Shape, length: int, batch_size: int) -> list[Plan]:
    """The stages of an encoder, each as it will be trained.

    :param full: the whole encoder's sizes.
    :param length: tokens of a whole block.
    :param batch_size: whole blocks of an optimizer step.
    :raises FieldError: a stage is smaller than the one before, or sizes do not divide; the last is not the whole
        encoder.
    """
    found: list[Plan] = []
    for number, stage in enumerate(stages, 1):
        own = Shape(stage.layers or full.layers, stage.width or full.width)
        cut = stage.length or length
        plan = Plan(stage, own, cut, batch_size * length // cut)
        _require_growth(number, found[-1] if found else None, plan, full, length)
        found.append(plan)
    if found[-1].shape != full or found[-1].length != length or found[-1].stage.pooling > 1:
        raise FieldError(
            "stages",
            f"a last stage of {_shown(found[-1])}",
            f"the whole encoder: layers {full.layers}, width {full.width}, length {length}, without pooling",
            hint="leave these out in the last stage",
        )
    return found


def require_copyable(encoder: Encoder, stages: Sequence[Plan]) -> None:
    """Refuse to add layers to an encoder whose layers are not alike.

    :raises FieldError: stages differ in depth, and a layer's parts and attention depend on its place.
    """
    if encoder.mixes_attention and len(depths := {plan.shape.layers for plan in stages}) > 1:
        raise FieldError(
            "stages",
            f"of {' and '.join(map(str, sorted(depths)))} layers",
            f"one depth, for a layer of {encoder.model_type} cannot stand in the place of another",
            hint="grow its width or its length",
        )


def require_room(stages: Sequence[Plan], begin: int) -> None:
    """Refuse blocks that have no place for a text.

    :param begin: special tokens that each block begins with.
    :raises FieldError: a stage is no longer than these.
    """
    for plan in stages:
        if plan.length <= begin:
            raise FieldError(
                "stages", f"a stage of length {plan.length}", f"more than {begin}, the special tokens of a block"
            )


def _require_growth(number: int, before: Plan | None, plan: Plan, full: Shape, length: int) -> None:
    sizes = {
        "layers": (plan.shape.layers, before and before.shape.layers, full.layers, False),
        "width": (plan.shape.width, before and before.shape.width, full.width, True),
        "length": (plan.length, before and before.length, length, True),
    }
    for name, (size, smaller, whole, must_divide) in sizes.items():
        if size > whole:
            raise FieldError("stages", f"stage {number} of {name} {size}", f"at most {whole}, the encoder's")
        if smaller and size < smaller:
            raise FieldError(
                "stages", f"stage {number} of {name} {size} after {smaller}", "stages that grow, or stay as they are"
            )
        for multiple, what in ((whole, "the encoder's"), (size, f"stage {number}'s")):
            divisor = size if multiple == whole else smaller
            if must_divide and divisor and multiple % divisor:
                raise FieldError("stages", f"a stage of {name} {divisor}", f"a divisor of {multiple}, {what}")
    if before and plan.stage.pooling > before.stage.pooling:
        raise FieldError(
            "stages",
            f"stage {number} of pooling {plan.stage.pooling} after {before.stage.pooling}",
            "stages that pool less, or as much as before",
        )


def _shown(plan: Plan) -> str:
    return ", ".join(
        f"{name} {value}"
        for name, value in (
            ("layers", plan.shape.layers),
            ("width", plan.shape.width),
            ("length", plan.length),
            ("pooling", plan.stage.pooling),
        )
    )


def read_schedule(path: Path) -> tuple[Stage, ...]:
    """The stages of a YAML file: a list of stages, under the key ``stages``.

    :raises UsageError: the file cannot be read, or is no such list.
    """
    import yaml

    expected = "expected a list under the key stages, such as:  stages: [{steps: 900, layers: 6}, {steps: 100}]"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read {path}: {error}", hint=expected) from None
    if not isinstance(values, dict) or set(values) != {"stages"} or not isinstance(values["stages"], list):
        raise UsageError(f"{path} is no growth schedule", hint=expected)
    if not values["stages"]:
        raise UsageError(f"{path} has no stage", hint=expected)
    return tuple(_stage(each, f"stage {number} of {path}") for number, each in enumerate(values["stages"], 1))


def parse_stage(text: str) -> Stage:
    """A stage as it is typed: ``steps=900,layers=6,pooling=2``.

    :raises UsageError: an unknown name, or a value that is not what it must be.
    """
    import yaml

    pairs = [part.partition("=") for part in text.split(",")]
    names = [name.strip() for name, _, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{text!r} says {', '.join(twice)} twice", hint="for example: steps=900,layers=6,pooling=2")
    try:
        return _stage({name.strip(): yaml.safe_load(value) for name, _, value in pairs}, repr(text))
    except yaml.YAMLError:
        raise UsageError(f"{text!r} is no stage", hint="for example: steps=900,layers=6,pooling=2") from None


def _stage(values: Any, where: str) -> Stage:
    names = [entry.name for entry in fields(Stage)]
    if not isinstance(values, Mapping) or not set(values) <= set(names):
        unknown = (
            ", ".join(str(name) for name in values if name not in names) if isinstance(values, Mapping) else values
        )
        raise UsageError(f"{where}: {unknown} is no part of a stage", hint=f"expected {', '.join(names)}")
    numbers = {"learning_rate", "warmup"}
    # YAML 1.1 takes 1e-4 for a text.
    read = {name: _number(value) if name in numbers else value for name, value in values.items()}
    try:
        return dataclass_from_json(Stage, read)
    except ValueError as error:
        raise UsageError(f"{where}: {error}", hint="for example: steps=900,layers=6,pooling=2") from None


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
