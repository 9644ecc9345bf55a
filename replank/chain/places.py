"""Where the models of a chain run: on the CPU, but for one whose provider the scheme `auto` chose."""

from __future__ import annotations

from replank.models.int8_facts import Int8Facts
from replank.models.source import Source
from replank.runtime.provider_choice import kept_device
from replank.runtime.provider_measurement import REFERENCE
from replank.runtime.providers import Device
from replank.system.environment import available_cores


def place_of(source: Source) -> Device:
    """The device that a model was quantized for, as long as the choice holds on this machine; else the CPU."""
    facts = source.manifest.made_by.facts if source.manifest else None
    if not (isinstance(facts, Int8Facts) and facts.choice):
        return REFERENCE
    return kept_device(source, available_cores()) or REFERENCE
