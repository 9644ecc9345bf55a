"""The registries of methods and schedules."""

from __future__ import annotations

from dataclasses import fields

import pytest

from replank.models.provenance import config_json
from replank.system.settings import settings_of
from replank_compress.finetune import FinetuneConfig
from replank_compress.methods import METHODS
from replank_compress.methods.schedule import SCHEDULES, Schedule
from replank_compress.successor import SuccessorConfig
from replank_compress.training.config import TrainingConfig

CONFIGS: list[type[TrainingConfig] | type[Schedule]] = [FinetuneConfig, *METHODS.values(), *SCHEDULES.values()]


def test_the_methods_by_name() -> None:
    assert list(METHODS) == ["theseus", "truncate", "kd", "pkd"]
    assert list(SCHEDULES) == ["linear", "constant", "anti-curriculum"]
    assert all(METHODS[name].name == name and issubclass(METHODS[name], SuccessorConfig) for name in METHODS)
    assert all(SCHEDULES[name].name == name for name in SCHEDULES)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_field_is_a_setting_with_its_help(config: type[TrainingConfig] | type[Schedule]) -> None:
    assert [entry.name for entry in settings_of(config)] == [entry.name for entry in fields(config)]
    assert all(str(entry.metadata["help"]).endswith(".") for entry in settings_of(config))


def test_a_stored_configuration_is_its_type_and_its_fields() -> None:
    """Manifests of earlier releases hold the same names."""
    training = ("epochs", "batch_size", "micro_batches", "learning_rate", "warmup", "weight_decay", "seed", "precision")
    shared = (*training, "patience", "checkpoint_activations", "layers", "grouping", "init_from", "init_layers")
    own = {
        "theseus": ("schedule", "second_phase"),
        "truncate": (),
        "kd": ("temperature", "soft_weight"),
        "pkd": ("temperature", "soft_weight", "patient_weight", "patient_layers"),
    }
    types = {"theseus": "TheseusConfig", "truncate": "TruncateConfig", "kd": "KdConfig", "pkd": "PkdConfig"}
    for name, config in METHODS.items():
        stored = config_json(config())
        assert tuple(stored) == ("type", *shared, *own[name])
        assert stored["type"] == types[name]
    schedule = config_json(METHODS["theseus"]())["schedule"]
    assert schedule == {"type": "LinearSchedule", "base_rate": 0.3, "ramp": 0.5}
