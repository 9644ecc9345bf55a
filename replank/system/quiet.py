"""Contexts that silence other libraries' progress bars and logs; replank checks itself what they warn of.

Where DEBUG messages are shown, nothing is silenced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from replank.system.logs import log_level


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Within the block transformers logs errors only and draws no progress bars."""
    if log_level() <= logging.DEBUG:
        yield
        return
    from transformers.utils import logging as untyped

    transformers_logging: Any = untyped

    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Within the block only errors are logged, whoever logs them."""
    if log_level() <= logging.DEBUG:
        yield
        return
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
