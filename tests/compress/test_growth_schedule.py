"""The growth schedule: from YAML and flags, and what makes no sense."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from replank.models.encoders import ENCODERS
from replank.system.errors import FieldError, ReplankError, UsageError
from replank_compress.growing.config import PretrainConfig
from replank_compress.growing.operators import Shape
from replank_compress.growing.schedule import Stage, parse_stage, plans, read_schedule, require_copyable

FULL = Shape(4, 64)


def test_a_file_and_flags_say_the_same(tmp_path: Path) -> None:
    file = tmp_path / "growth.yaml"
    file.write_text(
        "stages:\n"
        "  - {steps: 300, layers: 2, width: 16, pooling: 2, learning_rate: 1e-4, decay: constant}\n"
        "  - steps: 100\n    warmup: 0\n",
        encoding="utf-8",
    )
    flags = ("steps=300,layers=2,width=16,pooling=2,learning_rate=1e-4,decay=constant", "steps=100, warmup=0")
    assert read_schedule(file) == tuple(map(parse_stage, flags))
    assert read_schedule(file)[0] == Stage(steps=300, layers=2, width=16, pooling=2, decay="constant")


def test_every_step_has_the_same_tokens() -> None:
    stages = (Stage(steps=1, length=8), Stage(steps=1, length=16, layers=4), Stage(steps=1))
    found = plans(stages, FULL, 32, 6)
    assert [(plan.length, plan.rows) for plan in found] == [(8, 24), (16, 12), (32, 6)]
    assert {plan.length * plan.rows for plan in found} == {6 * 32}
    assert [plan.shape for plan in found] == [FULL] * 3


REFUSED = [
    ("layers=2;layers=1;", "stage 2 of layers 1 after 2; expected stages that grow"),
    ("width=32;width=16;", "stage 2 of width 16 after 32; expected stages that grow"),
    ("length=16;length=8;", "stage 2 of length 8 after 16; expected stages that grow"),
    ("pooling=2;pooling=3;", "stage 2 of pooling 3 after 2; expected stages that pool less"),
    ("layers=5;", "stage 1 of layers 5; expected at most 4, the encoder's"),
    ("width=24;", "a stage of width 24; expected a divisor of 64, the encoder's"),
    ("length=12;", "a stage of length 12; expected a divisor of 32, the encoder's"),
    ("layers=2", "a last stage of layers 2, width 64, length 32, pooling 1; expected the whole encoder"),
    ("pooling=2", "a last stage of layers 4, width 64, length 32, pooling 2; expected the whole encoder"),
]


@pytest.mark.parametrize(("stages", "message"), REFUSED)
def test_a_schedule_that_makes_no_sense_is_refused(stages: str, message: str) -> None:
    found = [parse_stage(",".join(filter(None, ("steps=1", each)))) for each in stages.split(";")]
    with pytest.raises(FieldError, match=re.escape(f"`stages` is {message}")):
        plans(found, FULL, 32, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps=0", "a stage of steps 0; expected 1 or more"),
        ("steps=9,layers=0", "a stage of layers 0; expected 1 or more"),
        ("steps=9,learning_rate=-1", "a stage of learning_rate -1.0; expected more than 0"),
        ("steps=9,warmup=1", "a stage of warmup 1.0; expected 0 to less than 1"),
        ("steps=9,decay=cosine", "decay is 'cosine'; expected one of linear, constant"),
        ("steps=many", "steps is 'many'; expected an integer"),
        ("layers=3", "steps is missing"),
        ("steps=9,depth=3", "depth is no part of a stage"),
        ("steps=[", "is no stage"),
        ("steps=9,layers=2, steps=8", "says steps twice"),
    ],
)
def test_a_stage_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_stage(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("stages: []", "has no stage"),
        ("- steps: 3", "is no growth schedule"),
        ("stages: [3]", "stage 1 of .*: 3 is no part of a stage"),
        ("stages: {", "cannot read"),
        ("stages: !!python/object/apply:os.system [true]", "cannot read"),
    ],
)
def test_a_file_that_is_no_schedule_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "growth.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_schedule(file)
    with pytest.raises(UsageError, match="cannot read"):
        read_schedule(tmp_path / "nothing.yaml")


def test_layers_that_are_not_alike_are_not_copied() -> None:
    deeper, wider = ((small, Stage(steps=1)) for small in (Stage(steps=1, layers=2), Stage(steps=1, width=16)))
    require_copyable(ENCODERS["bert"], plans(deeper, FULL, 32, 4))
    require_copyable(ENCODERS["modernbert"], plans(wider, FULL, 32, 4))
    with pytest.raises(FieldError, match="of 2 and 4 layers; expected one depth, for a layer of modernbert"):
        require_copyable(ENCODERS["modernbert"], plans(deeper, FULL, 32, 4))


def test_settings_are_checked() -> None:
    for name, value in {"noise": -1.0, "moments": "kept", "depth": "melt", "evaluate_every": 0, "stages": ()}.items():
        with pytest.raises(ReplankError, match=f"`{name}` is"):
            PretrainConfig(**{name: value})  # type: ignore[arg-type]
