"""The configuration of a chain from the few settings of `run`."""

from __future__ import annotations

from typing import get_args

import pytest

from replank.chain.plan import RunConfig, SchemeName
from replank.system.errors import FieldError
from replank_export.int8 import DynamicInt8
from replank_export.schemes import SCHEMES, AutoInt8, IntegerInt8


def test_the_scheme_of_a_chain_is_a_setting_and_brings_its_own_tolerance() -> None:
    assert RunConfig().plan().quantize == DynamicInt8(allow_slower=True)
    assert RunConfig(scheme="integer").plan().quantize == IntegerInt8()
    assert RunConfig(scheme="integer", max_drop=0.1).plan().quantize == IntegerInt8(max_drop=0.1)
    assert RunConfig(scheme="auto", max_drop=0.1).plan().quantize == AutoInt8(max_drop=0.1, allow_slower=True)
    with pytest.raises(FieldError, match="`scheme` is int4; expected one of dynamic, static, integer, auto"):
        RunConfig(scheme="int4")  # type: ignore[arg-type]


def test_every_scheme_can_end_a_chain() -> None:
    assert get_args(SchemeName) == tuple(SCHEMES)
