"""Training: fine-tuning a predecessor, and compressing it into a successor of fewer layers.

Importing the package imports torch, with OpenMP threads that sleep while they wait. By default they spin, which makes
training three to ten times slower on a machine with other work (two cores, one of them busy: 0.3 steps a second against
3). OpenMP reads the variable once, when torch is loaded; it is then removed, so that child processes, such as those of
a benchmark, run with the default.
"""

import os

_POLICY = "OMP_WAIT_POLICY"
_is_ours = _POLICY not in os.environ
os.environ.setdefault(_POLICY, "PASSIVE")

import torch as torch  # noqa: E402

if _is_ours:
    del os.environ[_POLICY]
