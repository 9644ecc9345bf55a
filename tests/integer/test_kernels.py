"""The integer kernels against the functions that they stand for, within the bounds that the paper gives."""

from __future__ import annotations

import math

import numpy as np
import pytest

from replank.integer.dyadic import Dyadic
from replank.integer.exponential import INPUT_SCALE, OUTPUT_SCALE, exponential
from replank.integer.gelu import FINEST_SCALE, Gelu
from replank.integer.layer_norm import OUTPUT_BITS, normalize
from replank.integer.requantizer import Requantizer
from replank.integer.softmax import Softmax
from replank.integer.square_root import square_root

GENERATOR = np.random.default_rng(0)


def test_dyadic_products_are_rounded_exactly() -> None:
    values = GENERATOR.integers(-(2**31) + 1, 2**31, 2000)
    for ratio in [*GENERATOR.uniform(-2, 2, 20), *GENERATOR.uniform(-1e-6, 1e-6, 20), 1 - 2.0**-40, 0.0, 1.0, 123.4]:
        dyadic = Dyadic.of(ratio)
        multiplier, shift = int(dyadic.multiplier), dyadic.shift
        exact = [(2 * int(value) * multiplier + (1 << shift)) // (2 << shift) for value in values]
        assert dyadic(values).tolist() == exact
        assert abs(multiplier / 2**shift - ratio) <= abs(ratio) * 2**-31
    assert int(Dyadic.of(1 - 2.0**-40).multiplier) == 2**31  # rounded up to a bit more
    assert Dyadic(np.array(1), 1)(np.array([-3, -1, 1, 3])).tolist() == [-1, 0, 1, 2]  # halves go up


def test_a_requantizer_adds_its_bias_at_the_new_scale_and_clips() -> None:
    values = GENERATOR.integers(-(2**20), 2**20, (50, 3))
    ratios, biases = np.array([3e-5, -2e-4, 0.0]), np.array([1.25, -7.5, 100.0])
    found = Requantizer.of(ratios, input_bound=2**20, end=127, bias=biases)(values)
    assert np.abs(found - np.clip(values * ratios + biases, -127, 127)).max() <= 0.5 + 1e-6
    assert (found[:, 2] == 100).all()


def test_gelu_is_within_the_papers_error() -> None:
    for scale in (FINEST_SCALE, 1.3e-4, 2.5e-4, 1e-3):
        end = min(32767, int(4 / scale))
        values = np.arange(-end, end + 1)
        gelu = Gelu.of(scale)
        real = values * scale
        exact = real / 2 * (1 + np.vectorize(math.erf)(real / math.sqrt(2)))
        error = gelu(values) * gelu.output_scale - exact
        assert np.abs(error).max() <= 0.0182
        assert math.sqrt((error**2).mean()) <= 0.0083
        # The widest input stays within 32 bits.
        assert np.abs(gelu(np.array([-32767, 32767]))).max() <= gelu.bound < 2**31


def test_the_exponential_is_within_the_papers_error() -> None:
    negated = np.arange(int(20 / INPUT_SCALE))
    found = exponential(negated)
    # The polynomial's own error is 1.913e-3; constants in whole steps add to it.
    assert np.abs(found * OUTPUT_SCALE - np.exp(-negated * INPUT_SCALE)).max() <= 1.92e-3
    assert 0 <= found.min() <= found.max() < 2**27


def test_the_square_root_is_exact() -> None:
    roots = GENERATOR.integers(1, 2**31, 20000)
    values = np.concatenate(
        [
            np.arange(100_000),
            GENERATOR.integers(0, 2**62, 20000),
            (2 ** GENERATOR.uniform(0, 62, 20000)).astype(np.int64),
            roots**2,
            roots**2 - 1,
            np.minimum(roots**2 + 2 * roots, 2**62 - 1),
            [1549996899, 2**62 - 1],
        ]
    )
    assert square_root(values).tolist() == [math.isqrt(int(value)) for value in values]


@pytest.mark.parametrize("scale", [1e-6, 3e-4, 0.02, 5.0])
def test_softmax_gives_masked_keys_nothing_and_others_their_share(scale: float) -> None:
    bound = 127 * 127 * 32
    scores = GENERATOR.integers(-bound, bound + 1, (2, 3, 5, 40))
    mask = (GENERATOR.random((2, 1, 1, 40)) < 0.6).astype(np.int64)
    found = Softmax.of(scale, bound)(scores, mask)
    assert (found[np.broadcast_to(mask, scores.shape) == 0] == 0).all()
    real = np.where(mask != 0, scores * scale, -np.inf)
    terms = np.exp(real - real.max(axis=-1, keepdims=True))
    assert np.abs(found / 256 - terms / terms.sum(axis=-1, keepdims=True)).max() <= 0.006


def test_softmax_at_its_corners() -> None:
    softmax, ones = Softmax.of(0.01, 2**20), np.ones((1, 8), dtype=np.int64)
    alone = np.full((1, 8), -(2**20))
    alone[0, 3] = 2**20
    assert softmax(alone, ones).tolist() == [[0, 0, 0, 255, 0, 0, 0, 0]]  # 1 is 255, and does not wrap
    assert softmax(np.zeros_like(alone), ones).tolist() == [[32] * 8]
    assert softmax(alone, np.zeros_like(ones)).tolist() == [[0] * 8]  # every key is masked


def test_norms_are_close_to_the_real_ones() -> None:
    values = np.rint(GENERATOR.normal(20, 1000, (40, 384))).astype(np.int64)
    values[0, 5] = 2**21 - 1
    centred = values - values.mean(axis=-1, keepdims=True)
    # A mean is off by half a step at most, 2.6e-5 of a root of 1000 * sqrt(384), and a root by a whole one.
    exact = centred / np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    assert np.abs(normalize(values, 0) / 2**OUTPUT_BITS - exact).max() <= 4e-5


def test_norms_of_constant_rows_and_of_the_widest_values() -> None:
    assert not normalize(np.full((2, 16), 777), 0).any()
    widest = np.full((1, 1024), -(2**21) + 1)
    widest[:, ::2] *= -1
    assert (np.abs(normalize(widest, 0)) <= 2**OUTPUT_BITS).all()
    lone = np.zeros((1, 1024), dtype=np.int64)
    lone[0, 7] = 2**21 - 1
    assert normalize(lone, 0)[0, 7] == pytest.approx(2**OUTPUT_BITS, rel=1e-3)
