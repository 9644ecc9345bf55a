"""The clocks by which a model is timed."""

from __future__ import annotations

from typing import Literal

# wall goes on while a thread waits for a core; processor counts what all threads of this process compute, spinning too.
Clock = Literal["wall", "processor"]
