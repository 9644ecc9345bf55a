"""The scheme `auto`: the fastest pair of scheme and provider that keeps the quality, and a table of all pairs."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from commands import Replank, error_lines
from replank.data.config import DataConfig
from replank.models.artifact import Artifact
from replank.models.int8_facts import Int8Facts, Int8Trial
from replank.models.source import open_source
from replank.runtime.load import load_model
from replank.runtime.providers import PROVIDERS
from replank.system.errors import DataError, FieldError, ModelError, QualityGateError
from replank_export.automatic import config
from replank_export.automatic.choice import fastest
from replank_export.automatic.config import AutoInt8
from replank_export.automatic.quality import QualityGate
from replank_export.int8 import SCHEMES, DynamicInt8, StaticInt8
from replank_export.quantize_auto import quantize_auto, require_good

# Tiny graphs are not faster in INT8, and this machine may be busy: which pair wins is not what is tested here.
CONFIG = AutoInt8(max_drop=0.1, calibration_rows=32, allow_slower=True)


def test_the_source_may_be_faster_on_another_provider(onnx_artifact: Path) -> None:
    elsewhere = Int8Trial(scheme="fp32", device="openvino", ratio=2.0)
    pairs = [trial("fp32", 1.0), elsewhere, trial("dynamic", 1.5)]
    with pytest.raises(QualityGateError, match=r"dynamic on cpu, has 0.75 times the speed of its source"):
        require_good(pairs, open_source(onnx_artifact), AutoInt8())
    wrong = replace(elsewhere, why="its answers differ")
    assert require_good([pairs[0], wrong, pairs[2]], open_source(onnx_artifact), AutoInt8()) == pairs[2]


def test_a_pair_that_is_no_faster_does_not_win_by_its_metric(onnx_artifact: Path) -> None:
    pairs = [trial("dynamic", 1.03, 0.90), trial("static", 0.99, 0.91)]
    assert require_good(pairs, open_source(onnx_artifact), AutoInt8()) == pairs[0]


@pytest.fixture(scope="module")
def chosen(onnx_artifact: Path, data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("auto") / "int8"
    return quantize_auto(open_source(onnx_artifact), out, CONFIG, data).path


def facts_of(folder: Path) -> Int8Facts:
    return Artifact.open(folder).manifest.made_by.facts_of(Int8Facts)


def trial(scheme: str, ratio: float | None, metric: float | None = None, why: str | None = None) -> Int8Trial:
    return Int8Trial(scheme=scheme, device="cpu", ratio=ratio, metric=metric, why=why)


# The decision


def test_the_fastest_that_is_not_left_out_wins() -> None:
    trials = [trial("dynamic", 2.0), trial("static", 3.0), trial("tables", 9.0, why="loses 3 points")]
    assert fastest(trials) == trials[1]


def test_of_equally_fast_ones_the_better_wins_and_then_the_first() -> None:
    """Else the noise of a measurement would choose, each time another."""
    assert fastest([trial("dynamic", 2.0, 0.91), trial("static", 2.05, 0.90)]).scheme == "dynamic"  # type: ignore[union-attr]
    assert fastest([trial("dynamic", 2.05, 0.90), trial("static", 2.0, 0.91)]).scheme == "static"  # type: ignore[union-attr]
    assert fastest([trial("dynamic", 2.0, 0.9), trial("static", 2.05, 0.9)]).scheme == "dynamic"  # type: ignore[union-attr]
    assert fastest([trial("dynamic", 2.0, 0.95), trial("static", 2.5, 0.90)]).scheme == "static"  # type: ignore[union-attr]


def test_where_all_are_left_out_none_wins() -> None:
    assert fastest([trial("dynamic", 2.0, why="loses 3 points"), trial("static", None, why="too few texts")]) is None


def test_its_settings_reach_the_schemes_that_have_them() -> None:
    assert AutoInt8(max_drop=0.02, calibration_rows=64).schemes() == {
        "dynamic": DynamicInt8(max_drop=0.02, allow_slower=True),
        "static": StaticInt8(max_drop=0.02, calibration_rows=64, allow_slower=True),
    }


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(FieldError, match="`max_drop` is 2; expected a fraction"):
        AutoInt8(max_drop=2)
    with pytest.raises(FieldError, match="`calibration_rows` is 3; expected 16 or more"):
        AutoInt8(calibration_rows=3)


# The stage


def test_all_pairs_are_in_the_manifest_with_speed_and_quality(chosen: Path) -> None:
    manifest = Artifact.open(chosen).manifest
    choice = facts_of(chosen).choice
    assert choice is not None
    assert manifest.made_by.config == {"type": "AutoInt8", **vars(CONFIG)}
    assert [batch for batch, _ in choice.shapes] == [1, 8] * (len(choice.shapes) // 2)
    assert (choice.metric, choice.split) == ("accuracy", "dev")
    here = [device for device in PROVIDERS if device not in choice.absent]
    assert "cpu" in here
    assert {(entry.scheme, entry.device) for entry in choice.trials} == {
        (scheme, device) for scheme in ("fp32", *SCHEMES) for device in here
    }
    baseline = choice.trials[0]
    assert (baseline.name, baseline.ratio) == ("fp32 on cpu", 1.0)
    for entry in choice.trials:
        if entry.why is None:
            assert entry.milliseconds is not None
            assert len(entry.milliseconds) == len(choice.shapes)
            assert entry.metric is not None or (entry.scheme, entry.device) in {("fp32", other) for other in here[1:]}
            assert entry.ratio is not None
            assert math.isfinite(entry.ratio)


def test_what_was_chosen_is_the_artifact_and_a_provider_that_auto_takes(chosen: Path) -> None:
    manifest, facts = Artifact.open(chosen).manifest, facts_of(chosen)
    assert facts.choice is not None
    best = fastest([entry for entry in facts.choice.trials if entry.scheme in SCHEMES])
    assert best is not None
    assert (facts.scheme, facts.choice.device) == (best.scheme, best.device)
    assert manifest.providers is not None
    assert manifest.providers.choice == best.device
    assert manifest.providers.milliseconds[best.device] == best.milliseconds
    before = (chosen / "replank.json").read_bytes()
    assert load_model(open_source(chosen), device="auto").device == best.device
    # It was not measured again.
    assert (chosen / "replank.json").read_bytes() == before


def test_the_table_is_no_part_of_the_identity(chosen: Path) -> None:
    manifest, facts = Artifact.open(chosen).manifest, facts_of(chosen)
    assert facts.choice is not None
    slower = replace(facts.choice, trials=(), disturbance="busy")
    other = replace(manifest, made_by=replace(manifest.made_by, facts=replace(facts, choice=slower)))
    assert other.digest == manifest.digest


def test_without_data_what_is_calibrated_is_left_out(onnx_artifact: Path, tmp_path: Path, replank: Replank) -> None:
    done = replank("quantize", onnx_artifact, tmp_path / "int8", "--scheme", "auto", "--allow-slower")
    assert done.code == 0, done.err
    facts = facts_of(tmp_path / "int8")
    assert facts.choice is not None
    reasons = {entry.scheme: entry.why for entry in facts.choice.trials if entry.device == "cpu"}
    assert "is calibrated on texts of the task, and no data is given" in str(reasons["static"])
    assert (facts.scheme, facts.choice.device, facts.choice.metric) == ("dynamic", "cpu", None)
    assert "dynamic, on cpu: --device auto takes it" in done.out
    assert "static on cpu is left out: the scheme static is calibrated" in done.out
    assert "chosen" in done.out
    assert all(f"{device} is left out: " in done.out for device in facts.choice.absent)
    told = replank("inspect", tmp_path / "int8").out
    assert "chosen" in told
    assert "auto device  cpu, as measured on" in told
    shown = json.loads(replank("inspect", tmp_path / "int8", "--json").out)
    assert shown["manifest"]["made_by"]["choice"]["device"] == "cpu"


# Refusals


def test_where_no_scheme_works_the_error_says_why_and_nothing_is_lost(
    onnx_artifact: Path, int8_artifact: Path, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "SCHEMES", {"static": StaticInt8})
    out = shutil.copytree(int8_artifact, tmp_path / "int8")
    before = Artifact.open(out).manifest
    with pytest.raises(QualityGateError) as refusal:
        quantize_auto(open_source(onnx_artifact), out, AutoInt8(calibration_rows=500), data, force=True)
    assert refusal.value.message == (
        f"no scheme of INT8 can be used for {onnx_artifact}: static: the train split has 192 rows; the scheme static "
        "is calibrated on 500"
    )
    assert "allow more with `max_drop`" in str(refusal.value.hint)
    assert Artifact.open(out).manifest == before
    assert [path.name for path in tmp_path.iterdir()] == ["int8"]


def test_a_pair_that_loses_too_much_is_left_out_with_what_it_loses(onnx_artifact: Path, data: DataConfig) -> None:
    """The gate of the pair: here the graph is the source's own, and the source's metric one that it cannot reach."""
    source = load_model(open_source(onnx_artifact))
    gate = QualityGate({"dynamic": onnx_artifact}, source, data.load(), source_metric=2.0, max_drop=0.1)
    judged = gate.judged(trial("dynamic", 2.0))
    assert judged.metric is not None
    assert judged.why == f"loses {100 * (2 - judged.metric):.2f} points; `max_drop` allows 10"
    assert replace(gate, source_metric=judged.metric).judged(trial("dynamic", 2.0)).why is None
    unread = trial("static", None, why="too few texts")
    assert gate.judged(unread) == unread


def test_a_pair_that_is_not_faster_is_refused_unless_asked_for(
    onnx_artifact: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, slow = open_source(onnx_artifact), trial("dynamic", 0.8)
    with pytest.raises(QualityGateError, match=r"dynamic on cpu, has 0.80 times the speed of its source") as refusal:
        require_good([slow], source, AutoInt8())
    assert "`allow_slower=True`" in str(refusal.value.hint)
    assert require_good([slow], source, AutoInt8(allow_slower=True)) == slow
    assert "serve the fp32 model on this machine" in caplog.text
    with pytest.raises(QualityGateError, match="no pair of scheme and provider keeps the quality") as refusal:
        require_good([trial("dynamic", 2.0, why="x")], source, AutoInt8())
    assert refusal.value.message.endswith(": dynamic on cpu: x")


def test_what_no_scheme_is_to_blame_for_is_refused_as_it_is(
    onnx_artifact: Path, int8_artifact: Path, successor: Path, tmp_path: Path, replank: Replank
) -> None:
    with pytest.raises(ModelError, match="is quantized already"):
        quantize_auto(open_source(int8_artifact), tmp_path / "out", AutoInt8())
    with pytest.raises(DataError, match="there is no folder"):
        quantize_auto(open_source(onnx_artifact), tmp_path / "out", AutoInt8(), DataConfig(data=tmp_path / "nothing"))
    done = replank("quantize", successor, tmp_path / "out", "--scheme", "auto")
    assert done.code == 1
    assert "quantize needs one of kind onnx" in error_lines(done)[0]
    assert not (tmp_path / "out").exists()


def test_help_names_the_scheme_and_shows_an_example(replank: Replank) -> None:
    told = " ".join(replank("quantize", "--help").out.split())
    assert "auto: Whichever scheme and execution provider are the fastest pair here" in told
    assert "replank quantize onnx int8 --dataset sst2 --scheme auto" in told
