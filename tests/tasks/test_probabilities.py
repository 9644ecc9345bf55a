"""Probabilities of logits are scipy's, without overflow, and in the precision that was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

from replank.system.errors import ModelError
from replank.tasks.probabilities import log_sum_exp, require_finite, sigmoid, softmax

ROWS = np.array([[0.5, -1.25, 3.0], [-900.0, 900.0, 0.0], [-800.0, -801.0, -802.0]])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 1e-6)])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (softmax, lambda rows: special.softmax(rows, axis=1)),
        (sigmoid, special.expit),
        (log_sum_exp, lambda rows: special.logsumexp(rows, axis=1)),
    ],
)
def test_they_are_scipys(
    dtype: type[np.floating[Any]], tolerance: float, ours: Callable[..., Any], theirs: Callable[..., Any]
) -> None:
    found = ours(ROWS.astype(dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, theirs(ROWS), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(wrong: float) -> None:
    require_finite(ROWS)
    with pytest.raises(ModelError, match="not finite"):
        require_finite(np.array([[0.0, wrong]]))
