"""Where the models of a chain run: on the CPU, or where the scheme `auto` chose on this very machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from replank.chain.places import place_of
from replank.models.int8_facts import Int8Choice, Int8Facts
from replank.models.source import Source, open_source
from replank.runtime.provider_choice import provider_table
from replank.system.environment import available_cores

CHOICE = Int8Choice(device="openvino", shapes=((1, 16),), trials=(), absent={})


def quantized(folder: Path, choice: Int8Choice | None, threads: int) -> Source:
    """An INT8 model for which OpenVINO was found to be the fastest."""
    source = open_source(folder)
    assert source.artifact is not None
    made_by = source.artifact.manifest.made_by
    facts = replace(made_by.facts_of(Int8Facts), choice=choice)
    table = provider_table(CHOICE.shapes, {"cpu": (2.0,), "openvino": (1.0,)}, {}, "openvino", threads=threads)
    manifest = replace(source.artifact.manifest, made_by=replace(made_by, facts=facts), providers=table)
    return replace(source, artifact=replace(source.artifact, manifest=manifest))


@pytest.mark.parametrize(
    ("choice", "more_threads", "place"),
    [
        (CHOICE, 0, "openvino"),
        # Measured on a machine of other cores.
        (CHOICE, 1, "cpu"),
        # Not chosen in the chain, but by somebody's ``--device auto`` later.
        (None, 0, "cpu"),
    ],
)
def test_a_model_runs_where_it_was_chosen_for(
    int8_artifact: Path, choice: Int8Choice | None, more_threads: int, place: str
) -> None:
    assert place_of(quantized(int8_artifact, choice, available_cores() + more_threads)) == place


def test_models_that_nothing_was_chosen_for_run_on_the_cpu(successor: Path, onnx_artifact: Path) -> None:
    assert [place_of(open_source(folder)) for folder in (successor, onnx_artifact)] == ["cpu", "cpu"]
