"""Measured energy: the RAPL counters of whole processor packages, of Intel and AMD."""

from __future__ import annotations

from pathlib import Path

_POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """A meter that starts when it is made; a counter may overflow once between two readings.

    :param root: the kernel's folder of counters.
    """

    def __init__(self, root: Path = _POWERCAP) -> None:
        # intel-rapl:0 is a package; a second colon is a part of one.
        self._zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        self._joules = 0.0
        self._last = self._read()

    def joules(self) -> float | None:
        """Joules of all packages since the start, whatever ran on them; ``None`` if the counters cannot be read."""
        now = self._read()
        if self._last is None or now is None:
            return None
        for zone, before, after in zip(self._zones, self._last, now, strict=True):
            used = after - before
            if used < 0:
                used += int((zone / "max_energy_range_uj").read_text())
            self._joules += used / 1e6
        self._last = now
        return round(self._joules, 3)

    def _read(self) -> list[int] | None:
        """Microjoules of each package; often only root may read them."""
        try:
            return [int((zone / "energy_uj").read_text()) for zone in self._zones] or None
        except OSError:
            return None
