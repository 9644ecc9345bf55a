"""The device ``auto``: what was measured is remembered, for this machine, and measured again elsewhere."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands import Replank, error_lines
from providers import elsewhere
from replank.models.artifact import Artifact
from replank.models.provider_table import ProviderTable
from replank.models.source import Source, open_source
from replank.runtime import provider_choice
from replank.runtime.load import load_model
from replank.runtime.model import Model
from replank.runtime.provider_choice import choose_device
from replank.runtime.providers import PROVIDERS, Device
from replank.system.environment import Processor
from replank.system.errors import FieldError, ProviderError


@pytest.fixture
def artifact(onnx_artifact: Path, tmp_path: Path) -> Path:
    """A copy that may be written."""
    return shutil.copytree(onnx_artifact, tmp_path / "model")


class Loader:
    """Loads a model on the CPU, and as if on OpenVINO: there each batch takes a while less, or longer."""

    def __init__(self, source: Source, *, faster: Device) -> None:
        self.loaded: list[Device] = []
        self._source, self._faster = source, faster

    def __call__(self, device: Device) -> Model:
        if device not in ("cpu", "openvino"):
            raise ProviderError(f"`device='{device}'`: not here")
        self.loaded.append(device)
        model = load_model(self._source, threads=1)
        return elsewhere(model, device, seconds=0.001 if device == self._faster else 0.003)


def choose(folder: Path, faster: Device = "openvino", threads: int = 1) -> tuple[Device, list[Device]]:
    """The chosen device, and all that were loaded for it."""
    source = open_source(folder)
    loader = Loader(source, faster=faster)
    return choose_device(source, threads, loader).device, loader.loaded


def kept(folder: Path) -> ProviderTable:
    table = Artifact.open(folder).manifest.providers
    assert table is not None
    return table


@pytest.mark.usefixtures("clock")
def test_a_choice_is_kept_and_used_without_measuring(artifact: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert choose(artifact) == ("openvino", ["cpu", "openvino"])
        assert caplog.messages[-1].startswith("auto device: openvino (geometric mean: openvino ")
        table = kept(artifact)
        assert (table.choice, set(table.milliseconds)) == ("openvino", {"cpu", "openvino"})
        assert (table.shapes, table.left_out) == (((1, 16), (1, 32), (8, 16), (8, 32)), {})
        # The other would be faster by now: nobody measures.
        assert choose(artifact, faster="cpu") == ("openvino", ["openvino"])
        assert caplog.messages[-1] == "auto device: openvino, as measured before"
    assert kept(artifact) == table


@pytest.mark.parametrize(
    ("name", "value"),
    [("machine", Processor("another", "x86_64", 2, ())), ("versions", {"onnxruntime": "0"}), ("threads", 64)],
)
@pytest.mark.usefixtures("clock")
def test_another_machine_version_or_width_measures_again(artifact: Path, name: str, value: Any) -> None:
    choose(artifact)
    provider_choice._rewrite(Artifact.open(artifact), replace(kept(artifact), **{name: value}))
    assert choose(artifact, faster="cpu") == ("cpu", ["cpu", "openvino"])
    assert kept(artifact).choice == "cpu"


@pytest.mark.usefixtures("clock")
def test_a_kept_provider_that_is_gone_is_said_and_measured_again(
    artifact: Path, caplog: pytest.LogCaptureFixture
) -> None:
    choose(artifact)
    provider_choice._rewrite(Artifact.open(artifact), replace(kept(artifact), choice="cuda"))
    caplog.clear()
    assert choose(artifact)[0] == "openvino"
    assert caplog.messages[0] == "auto device: cuda ran this model before and does not now: `device='cuda'`: not here"


@pytest.mark.usefixtures("clock")
def test_what_was_measured_is_no_part_of_the_identity(artifact: Path) -> None:
    before = Artifact.open(artifact)
    assert "providers" not in before.manifest.to_json()
    choose(artifact)
    after = Artifact.open(artifact)
    assert after.manifest.providers is not None
    assert after.manifest.digest == before.manifest.digest
    assert replace(after.manifest, providers=None) == before.manifest
    assert after.as_parent() == before.as_parent()
    assert sorted(path.name for path in artifact.iterdir()) == sorted([*before.manifest.files, "replank.json"])


@pytest.mark.usefixtures("clock")
def test_another_artifact_in_the_same_place_is_not_written_to(artifact: Path, int8_artifact: Path) -> None:
    choose(artifact)
    source, table = open_source(artifact), kept(artifact)
    shutil.rmtree(artifact)
    shutil.copytree(int8_artifact, artifact)
    manifest = (artifact / "replank.json").read_bytes()
    provider_choice._keep(source, table)
    assert (artifact / "replank.json").read_bytes() == manifest


@pytest.mark.usefixtures("clock")
def test_a_folder_that_cannot_be_written_is_no_error(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The tests may run as root, whom no permission stops: the system's own answer is given instead."""
    opened = Path.open

    def refuse(path: Path, mode: str = "r", *arguments: Any, **settings: Any) -> Any:
        if mode != "r" and path.suffix == ".partial":
            raise OSError(30, "Read-only file system", str(path))
        return opened(path, mode, *arguments, **settings)

    before = (artifact / "replank.json").read_bytes()
    monkeypatch.setattr(Path, "open", refuse)
    with caplog.at_level(logging.INFO):
        assert choose(artifact)[0] == "openvino"
    assert "the choice could not be kept" in caplog.messages[-1]
    assert "Read-only file system" in caplog.messages[-1]
    assert (artifact / "replank.json").read_bytes() == before


@pytest.mark.usefixtures("clock")
def test_a_plain_folder_is_measured_each_time(artifact: Path, caplog: pytest.LogCaptureFixture) -> None:
    (artifact / "replank.json").unlink()
    with caplog.at_level(logging.INFO):
        assert choose(artifact) == ("openvino", ["cpu", "openvino"])
    assert caplog.messages[-1].endswith("is not an artifact of replank, so the choice is not kept")
    assert not (artifact / "replank.json").exists()


def test_a_reference_that_does_not_run_is_an_error(artifact: Path) -> None:
    def nowhere(device: Device) -> Model:
        raise ProviderError(f"`device='{device}'`: broken")

    with pytest.raises(ProviderError, match="`device='cpu'`: broken"):
        choose_device(open_source(artifact), 1, nowhere)


# From the command line


def test_auto_answers_like_the_cpu_and_says_what_it_took(artifact: Path, replank: Replank) -> None:
    expected = replank("predict", artifact, "a good film", "--json").out
    first = replank("predict", artifact, "a good film", "--json", "--device", "auto", "--threads", "1")
    again = replank("predict", artifact, "a good film", "--json", "--device", "auto", "--threads", "1")
    assert (first.code, again.code) == (0, 0)
    assert json.loads(first.out)["label"] == json.loads(again.out)["label"] == json.loads(expected)["label"]
    choice = kept(artifact).choice
    assert choice in PROVIDERS
    assert {"cpu", choice} <= set(kept(artifact).milliseconds) <= set(PROVIDERS)
    assert str(artifact) not in (artifact / "replank.json").read_text(encoding="utf-8")


def test_a_torch_model_has_nothing_to_choose(successor: Path) -> None:
    import torch

    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert load_model(open_source(successor), device="auto").device == expected


def test_a_benchmark_runs_wherever_it_can(int8_artifact: Path) -> None:
    from replank.benchmarking.run import BenchmarkConfig, benchmark

    config = BenchmarkConfig(
        (str(int8_artifact),),
        devices=("auto",),
        batch_sizes=(1,),
        lengths=(8,),
        rounds=1,
        min_seconds=0.0,
        max_seconds=0.0,
        threads=1,
    )
    done: list[int] = []
    result = benchmark(config, lambda amount=1, note="": done.append(amount))
    names = [model.name for model in result.models]
    assert names[0] == "int8 on cpu"
    assert set(names) | set(result.left_out) == {f"int8 on {device}" for device in PROVIDERS}
    assert result.left_out["int8 on cuda"] == "int8 is INT8, which CUDAExecutionProvider cannot run"
    assert sum(done) == config.units == len(PROVIDERS)


@pytest.mark.parametrize("devices", [("auto", "cpu"), ("cpu", "cpu"), ()])
def test_auto_stands_alone_and_each_device_once(devices: tuple[Any, ...], replank: Replank) -> None:
    from replank.benchmarking.run import BenchmarkConfig

    with pytest.raises(FieldError, match=r"`devices` is .*; expected devices, each once, or auto alone"):
        BenchmarkConfig(("a",), devices=devices)
    if devices:
        flags = [part for device in devices for part in ("--device", device)]
        assert "each once, or auto alone" in error_lines(replank("benchmark", "a", *flags))[0]
