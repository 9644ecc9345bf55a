"""Providers measured side by side: the fastest of those that give the same answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from providers import Change, elsewhere
from replank.runtime.model import Model
from replank.runtime.predictors import Logits
from replank.runtime.provider_measurement import Measurement, measure_providers
from replank.tasks.kinds import KINDS
from replank.text.padding import Batch


def flipped(share: float) -> Change:
    """Turn the label of a share of all rows, the same in each batch."""

    def change(logits: Logits) -> Logits:
        rows = round(share * len(logits))
        return np.concatenate([-logits[:rows], logits[rows:]])

    return change


@pytest.mark.usefixtures("clock")
def test_the_fastest_is_chosen(model: Model) -> None:
    found = measure_providers({"cpu": elsewhere(model, "cpu", seconds=0.004), "openvino": elsewhere(model, "openvino")})
    assert found.shapes == ((1, 16), (1, 32), (8, 16), (8, 32))
    assert found.milliseconds == {"cpu": (4.0,) * 4, "openvino": (1.0,) * 4}
    assert (found.choice, found.left_out) == ("openvino", {})


def test_a_geometric_mean_weighs_short_texts_like_long_ones() -> None:
    """Twice as fast on short texts is worth more than a tenth on long ones, whatever the milliseconds."""
    found = Measurement(((1, 16), (8, 512)), {"cpu": (1.0, 1000.0), "openvino": (2.0, 900.0)}, {})
    assert found.means == pytest.approx({"cpu": np.sqrt(1000), "openvino": np.sqrt(1800)})
    assert found.choice == "cpu"


@pytest.mark.parametrize(("share", "text"), [(1 / 32, "3.12% of all"), (1.0, "100.00% of all")])
@pytest.mark.usefixtures("clock")
def test_other_labels_are_left_out_however_fast(model: Model, share: float, text: str) -> None:
    found = measure_providers(
        {"cpu": elsewhere(model, "cpu", seconds=0.002), "openvino": elsewhere(model, "openvino", flipped(share))}
    )
    assert found.left_out == {"openvino": f"its answers differ from those of cpu by {text}"}
    assert (found.choice, list(found.milliseconds)) == ("cpu", ["cpu"])


@pytest.mark.usefixtures("clock")
def test_small_differences_that_change_no_label_are_none(model: Model) -> None:
    found = measure_providers(
        {"cpu": elsewhere(model, "cpu"), "openvino": elsewhere(model, "openvino", lambda logits: logits * 1.01)}
    )
    assert found.left_out == {}


@pytest.mark.usefixtures("clock")
def test_answers_that_are_no_numbers_are_left_out(model: Model) -> None:
    found = measure_providers(
        {"cpu": elsewhere(model, "cpu"), "openvino": elsewhere(model, "openvino", lambda logits: logits * np.nan)}
    )
    assert found.left_out == {"openvino": "the model's logits are not finite numbers (NaN or infinity)"}


@pytest.mark.parametrize(("factor", "out"), [(1.0005, False), (1.01, True)])
@pytest.mark.usefixtures("clock")
def test_a_regression_may_be_off_by_a_thousandth_of_its_range(model: Model, factor: float, out: bool) -> None:
    number = replace(model, task=replace(model.task, kind=KINDS["regression"], labels=()))

    def first(logits: Logits) -> Logits:
        return logits[:, :1] - 0.0

    reference = elsewhere(number, "cpu", first)
    # Around the middle of the range, so that a factor is a share of it.
    middle = float(np.mean([reference.predictor(Batch(np.full((1, 4), 7), np.ones((1, 4), np.int64)))]))
    other = elsewhere(reference, "openvino", lambda logits: (logits - middle) * np.float32(factor) + middle)
    assert ("openvino" in measure_providers({"cpu": reference, "openvino": other}).left_out) is out
