"""The model card: what the hub reads of it, by the hub's own library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from manifests import make_manifest
from replank.models.artifact import Artifact
from replank.models.card import model_card
from replank.models.manifest import Manifest, Parent
from replank.models.quality import Quality
from replank.models.source import open_source
from replank.tasks.kinds import KINDS, kind_named
from replank.tasks.task import Task

QUALITY = Quality(split="test", rows=50, data="33" * 32, metrics={"matthews": 0.51239, "accuracy": 0.8})
ODD = 'a: "b" #c\n---\n- d'


def manifest(kind: str = "torch", **changes: Any) -> Manifest:
    task = Task(
        changes.pop("name", "cola"), KINDS["classification"], ("no", "yes"), ("sentence",), "label", ("matthews",)
    )
    return make_manifest(**{"kind": kind, "task": task, "parent": None, "quality": QUALITY} | changes)


def front_matter(values: Manifest) -> Any:
    return ModelCard(model_card(values)).data


def test_what_the_hub_reads() -> None:
    data = front_matter(manifest())
    assert data.pipeline_tag == "text-classification"
    assert data.library_name == "transformers"
    assert data.tags == ["replank", "fp32"]
    assert data.metrics == ["accuracy", "matthews_correlation"]
    results = [
        (r.dataset_name, r.dataset_split, r.metric_type, r.metric_name, r.metric_value) for r in data.eval_results
    ]
    assert results == [
        ("GLUE cola", "test", "matthews_correlation", "matthews", 0.5124),
        ("GLUE cola", "test", "accuracy", "accuracy", 0.8),
    ]
    assert {(r.dataset_type, r.dataset_config) for r in data.eval_results} == {("nyu-mll/glue", "cola")}
    assert data.datasets == ["nyu-mll/glue"]
    assert front_matter(manifest("onnx")).library_name == "onnx"


def test_it_says_how_much_the_metrics_say() -> None:
    text = model_card(manifest(quality=replace(QUALITY, chosen_on_it=True, majority_share=0.75)))
    assert "| accuracy | 0.8000 |\n\nTest also chose the model: expect less on new data.\n" in text
    assert "\nAlways answering the most frequent label has accuracy 0.7500.\n" in text
    assert "expect less" not in model_card(manifest(quality=replace(QUALITY, chosen_on_it=False)))


def test_what_was_not_measured_is_not_claimed() -> None:
    data = front_matter(manifest(quality=None))
    assert data.eval_results is None
    assert "metrics" not in data.to_dict()


def test_data_of_ones_own_is_called_as_it_is_called() -> None:
    data = front_matter(manifest(name="mine"))
    assert {(r.dataset_type, r.dataset_name, r.dataset_config) for r in data.eval_results} == {("mine", "mine", None)}
    assert "datasets" not in data.to_dict()


CARD = """---
license: other
license_name: theirs
license_link: https://example.com/license
language: [en, de]
datasets: wikipedia
model-index: broken
---
# Theirs
"""


def test_license_and_language_are_those_of_the_source(encoder_copy: Path) -> None:
    """Through the whole chain, and written and read as a part of the manifest."""
    (encoder_copy / "README.md").write_text(CARD, encoding="utf-8")
    root = replace(open_source(encoder_copy).as_parent(), name="ada/encoder@main")
    child = manifest(parent=Parent("predecessor", "1" * 64, manifest(parent=root)))
    data = front_matter(Manifest.from_json(child.to_json()))
    assert (data.license, data.license_name, data.license_link) == ("other", "theirs", "https://example.com/license")
    assert data.language == ["en", "de"]
    assert data.datasets == ["nyu-mll/glue", "wikipedia"]
    assert (data.base_model, data.get("base_model_relation")) == ("ada/encoder", "finetune")
    assert front_matter(replace(child, precision="int8")).get("base_model_relation") == "quantized"
    # What a card says changes no model.
    assert replace(child, parent=replace(root, card=None)).digest == replace(child, parent=root).digest


@pytest.mark.parametrize(
    "card", ["# no front matter", "---\nlicense: [\n---\n", "---\nlicense: 3\n---\n", "---\n- a\n---\n"]
)
def test_a_source_whose_card_says_nothing(encoder_copy: Path, card: str) -> None:
    (encoder_copy / "README.md").write_text(card, encoding="utf-8")
    assert open_source(encoder_copy).as_parent().card is None


def test_the_widget_has_examples_of_the_task() -> None:
    pair = replace(manifest().task, columns=("one", "two"))
    assert all(set(example) == {"text"} for example in front_matter(manifest()).widget)
    assert all(set(example) == {"text", "text_pair"} for example in front_matter(manifest(task=pair)).widget)
    masked = replace(manifest().task, kind=kind_named("fill-mask"))
    assert "widget" not in front_matter(manifest(task=masked)).to_dict()


@pytest.mark.parametrize(
    ("name", "base"),
    [("google-bert/bert-base-uncased", "google-bert/bert-base-uncased"), ("my-encoder", None)],
)
def test_the_base_model_is_named_where_the_hub_has_it(name: str, base: str | None) -> None:
    root = Parent(name, "0" * 64, None)
    child = Parent("predecessor", "1" * 64, manifest(parent=root))
    assert front_matter(manifest(parent=root)).base_model == base
    assert front_matter(manifest(parent=child)).base_model == base


def test_no_name_breaks_the_front_matter() -> None:
    data = front_matter(manifest(name=ODD))
    assert {result.dataset_name for result in data.eval_results} == {ODD}
    assert data.pipeline_tag == "text-classification"


def test_an_artifacts_own_card_is_one(predecessor: Path) -> None:
    data: Any = ModelCard.load(predecessor / "README.md").data
    made = Artifact.open(predecessor).manifest
    assert made.quality is not None
    found = {result.metric_name: result.metric_value for result in data.eval_results}
    assert found == {name: round(value, 4) for name, value in made.quality.metrics.items()}
