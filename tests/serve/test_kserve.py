"""The manifest for KServe: KServe's published types know every field, and it fits the image and the server."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dockerfile import values
from replank.cli.config_options import config_of
from replank.cli.serve import serve
from replank.runtime.model import Model
from replank.system.settings import settings_of
from replank_serve.app import build_app
from replank_serve.http.config import ServeConfig

MANIFEST = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "kserve.yaml").read_text(encoding="utf-8"))
PREDICTOR = MANIFEST["spec"]["predictor"]
(CONTAINER,) = PREDICTOR["containers"]
# Values of Kubernetes that are written as texts, numbers, or free maps.
_PLAIN = re.compile(r"str|int|bool|object|ResourceQuantity|[Dd]ict[(\[]str, .+")


def test_it_is_what_kserve_asks_for_at_least() -> None:
    """By config/crd/full/serving.kserve.io_inferenceservices.yaml of kserve/kserve."""
    assert (MANIFEST["apiVersion"], MANIFEST["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", MANIFEST["metadata"]["name"])
    # KServe looks for the container of that name.
    assert CONTAINER["name"] == "kserve-container"


def test_it_fits_the_image() -> None:
    (port,) = CONTAINER["ports"]
    assert [str(port["containerPort"])] == values("EXPOSE")
    assert [str(CONTAINER["securityContext"]["runAsUser"])] == values("USER")
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"] is True
    # Arguments follow the image's entry point, which they must not take the place of.
    assert "command" not in CONTAINER
    with serve.make_context("serve", ["/model", *CONTAINER["args"]]) as context:
        settings = {name: context.params[name] for name in {entry.name for entry in settings_of(ServeConfig)}}
    assert PREDICTOR["terminationGracePeriodSeconds"] > config_of(ServeConfig, settings).drain_seconds


def test_the_probes_are_routes_of_the_server(model: Model) -> None:
    routes = build_app(model, ServeConfig()).openapi()["paths"]
    probes = {name: CONTAINER[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert set(probes.values()) == {"/v2/health/ready", "/v2/health/live"}
    assert all("get" in routes[path] for path in probes.values())
    assert probes["livenessProbe"] == "/v2/health/live"
    assert PREDICTOR["timeout"] >= ServeConfig().timeout_seconds


def unknown_fields(value: Any, kind: str, path: str) -> list[str]:
    """Fields of a value that the published type does not have."""
    if inner := re.fullmatch(r"[Ll]ist\[(.+)\]", kind):
        return [field for part in value for field in unknown_fields(part, inner[1], f"{path}[]")]
    if _PLAIN.fullmatch(kind):
        return []
    model = next(
        getattr(module, kind)
        for module in map(importlib.import_module, ("kserve.models", "kubernetes.client.models"))
        if hasattr(module, kind)
    )
    found = []
    for key, part in value.items():
        attribute = next((name for name, written in model.attribute_map.items() if written == key), None)
        if attribute is None:
            found.append(f"{path}.{key}")
        else:
            found += unknown_fields(part, model.openapi_types[attribute], f"{path}.{key}")
    return found


@pytest.mark.skipif(
    importlib.util.find_spec("kserve") is None, reason="kserve, which holds the types, is not installed"
)
@pytest.mark.filterwarnings("ignore")  # of kserve, at import
def test_kserves_types_know_every_field() -> None:
    assert unknown_fields(MANIFEST, "V1beta1InferenceService", "") == []
    broken = {"spec": {"predictor": {"minReplica": 1, "containers": [{"nam": "a"}]}}}
    assert unknown_fields(broken, "V1beta1InferenceService", "") == [
        ".spec.predictor.minReplica",
        ".spec.predictor.containers[].nam",
    ]
