"""Making models: fine-tuning a predecessor, and replacing its layers by fewer.

Importing it imports torch, with OpenMP threads that sleep while they wait. They spin otherwise, which on a machine with
other work on it makes training three to ten times slower (two cores, one of them busy: 0.3 steps a second against 3).
OpenMP reads the variable once, when torch is loaded; it is then removed, so that processes started from here, such as a
benchmark's, run as anybody's would.
"""

import os

_POLICY = "OMP_WAIT_POLICY"
_is_ours = _POLICY not in os.environ
os.environ.setdefault(_POLICY, "PASSIVE")

import torch as torch  # noqa: E402

if _is_ours:
    del os.environ[_POLICY]
