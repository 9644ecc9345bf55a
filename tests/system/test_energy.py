"""The energy meter against counters of known values."""

from __future__ import annotations

from pathlib import Path

from replank.system.energy import EnergyMeter


def write_zone(root: Path, name: str, microjoules: int) -> None:
    (root / name).mkdir(exist_ok=True)
    (root / name / "energy_uj").write_text(f"{microjoules}\n")
    (root / name / "max_energy_range_uj").write_text("10000000\n")


def test_packages_are_added_and_an_overflow_is_followed(tmp_path: Path) -> None:
    write_zone(tmp_path, "intel-rapl:0", 1_000_000)
    write_zone(tmp_path, "intel-rapl:1", 9_000_000)
    write_zone(tmp_path, "intel-rapl:0:0", 0)
    meter = EnergyMeter(tmp_path)
    write_zone(tmp_path, "intel-rapl:0", 3_000_000)
    write_zone(tmp_path, "intel-rapl:1", 500_000)
    write_zone(tmp_path, "intel-rapl:0:0", 9_000_000)
    assert meter.joules() == 2.0 + 1.5
    write_zone(tmp_path, "intel-rapl:0", 4_000_000)
    assert meter.joules() == 3.0 + 1.5


def test_without_counters_nothing_is_said(tmp_path: Path) -> None:
    assert EnergyMeter(tmp_path).joules() is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert EnergyMeter(tmp_path).joules() is None
