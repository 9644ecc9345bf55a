"""The registries of methods and schedules."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file

from replank.data.config import DataConfig
from replank.models.provenance import config_json
from replank.models.source import open_source
from replank.system.settings import settings_of
from replank_compress.layers import assemble, layer_stack
from replank_compress.methods import METHODS
from replank_compress.methods.config import Start, SuccessorConfig
from replank_compress.methods.schedule import SCHEDULES, Schedule
from replank_compress.successor import compress
from replank_compress.training.config import FinetuneConfig, TrainingConfig
from replank_compress.training.method import Method

CONFIGS: list[type[TrainingConfig] | type[Schedule]] = [FinetuneConfig, *METHODS.values(), *SCHEDULES.values()]


def test_the_methods_by_name() -> None:
    assert list(METHODS) == ["theseus", "truncate", "kd", "pkd", "refbert"]
    assert list(SCHEDULES) == ["linear", "constant", "anti-curriculum"]
    assert all(METHODS[name].name == name and issubclass(METHODS[name], SuccessorConfig) for name in METHODS)
    assert all(SCHEDULES[name].name == name for name in SCHEDULES)


@dataclass(frozen=True)
class Uppermost(SuccessorConfig):
    """Fine-tuning of the uppermost layers: a method that nothing else knows of."""

    name: ClassVar[str] = "uppermost"

    def method(self, start: Start) -> Method:
        layers = list(layer_stack(start.origin))[-len(start.sizes) :]
        return Method(assemble(start.origin, layers))


def test_a_method_is_its_configuration_alone(predecessor: Path, data: DataConfig, tmp_path: Path) -> None:
    config = Uppermost(epochs=1.0, precision="fp32", layers=1, learning_rate=1e-30)
    artifact = compress(open_source(predecessor), tmp_path / "out", config, data)
    assert artifact.manifest.made_by.config["type"] == "Uppermost"
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (artifact.path, predecessor))
    weight = "bert.encoder.layer.{}.output.dense.weight"
    assert torch.equal(ours[weight.format(0)], theirs[weight.format(3)])
    assert weight.format(1) not in ours


@pytest.mark.parametrize("config", CONFIGS)
def test_every_field_is_a_setting_with_its_help(config: type[TrainingConfig] | type[Schedule]) -> None:
    assert [entry.name for entry in settings_of(config)] == [entry.name for entry in fields(config)]
    assert all(str(entry.metadata["help"]).endswith(".") for entry in settings_of(config))


def test_a_stored_configuration_is_its_type_and_its_fields() -> None:
    """Manifests of earlier releases hold the same names, without what came later."""
    training = ("epochs", "batch_size", "micro_batches", "learning_rate", "warmup", "weight_decay", "seed", "precision")
    later = ("patience", "class_weights", "checkpoint_activations", "augment", "training_arguments")
    shared = (*training, *later, "layers", "grouping", "init_from", "init_layers")
    taught = ("soft_weight", "temperature", "perturbed", "unlabelled", "answers")
    own = {
        "theseus": (*taught, "module_weight", "schedule", "second_phase"),
        "truncate": (),
        "kd": taught,
        "pkd": (*taught, "patient_weight", "patient_layers"),
        "refbert": (*taught, "retrieval", "references", "reference_tokens", "bank_precision"),
    }
    types = {"theseus": "TheseusConfig", "truncate": "TruncateConfig", "kd": "KdConfig", "pkd": "PkdConfig"}
    types |= {"refbert": "RefbertConfig"}
    for name, config in METHODS.items():
        stored = config_json(config())
        assert sorted(stored) == sorted(("type", *shared, *own[name]))
        assert stored["type"] == types[name]
    schedule = config_json(METHODS["theseus"]())["schedule"]
    assert schedule == {"type": "LinearSchedule", "base_rate": 0.3, "ramp": 0.5}
