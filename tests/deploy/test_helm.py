"""The Helm chart: rendered, each field one of Kubernetes', and fit for the image and the server."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from dockerfile import ROOT, values
from helm_chart import CHART, render
from replank.cli.config_options import config_of
from replank.cli.serve import serve
from replank.system.settings import settings_of
from replank_serve.http.config import ServeConfig
from replank_serve.http.metrics import Metrics

ALL: dict[str, Any] = {
    "image": "registry/my-model:1",
    "autoscaling__enabled": True,
    "serviceMonitor__enabled": True,
    "serviceMonitor__labels": {"release": "prometheus"},
    "apiKeySecret": "key-of-mine",
}
# The fields of Kubernetes' API (v1.33) and of the Prometheus Operator that the chart may use, with their types; what
# begins with ! is required there.
LABELS = {"*": str}
META = {"!name": str, "labels": LABELS, "annotations": LABELS}
SECRET = {"!name": str, "!key": str}
PROBE = {
    "!httpGet": {"!path": str, "!port": (str, int)},
    "periodSeconds": int,
    "failureThreshold": int,
    "timeoutSeconds": int,
}
CONTAINER = {
    "!name": str,
    "!image": str,
    "args": [str],
    "env": [{"!name": str, "valueFrom": {"secretKeyRef": SECRET}}],
    "ports": [{"name": str, "!containerPort": int, "protocol": str}],
    "startupProbe": PROBE,
    "readinessProbe": PROBE,
    "livenessProbe": PROBE,
    "resources": {"requests": LABELS, "limits": LABELS},
    "securityContext": {
        "readOnlyRootFilesystem": bool,
        "allowPrivilegeEscalation": bool,
        "capabilities": {"drop": [str]},
    },
}
POD = {
    "!containers": [CONTAINER],
    "terminationGracePeriodSeconds": int,
    "automountServiceAccountToken": bool,
    "enableServiceLinks": bool,
    "securityContext": {
        "runAsNonRoot": bool,
        "runAsUser": int,
        "runAsGroup": int,
        "seccompProfile": {"!type": str},
    },
}
HEAD = {"!apiVersion": str, "!kind": str, "!metadata": META}
SCHEMAS: dict[str, Any] = {
    "apps/v1 Deployment": HEAD
    | {
        "!spec": {
            "replicas": int,
            "!selector": {"matchLabels": LABELS},
            "!template": {"metadata": {"labels": LABELS}, "spec": POD},
        }
    },
    "v1 Service": HEAD
    | {
        "!spec": {
            "type": str,
            "selector": LABELS,
            "ports": [{"name": str, "!port": int, "targetPort": (str, int), "protocol": str}],
        }
    },
    "autoscaling/v2 HorizontalPodAutoscaler": HEAD
    | {
        "!spec": {
            "!scaleTargetRef": {"apiVersion": str, "!kind": str, "!name": str},
            "minReplicas": int,
            "!maxReplicas": int,
            "metrics": [
                {
                    "!type": str,
                    "pods": {"!metric": {"!name": str}, "!target": {"!type": str, "averageValue": str}},
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": int}},
        }
    },
    "monitoring.coreos.com/v1 ServiceMonitor": HEAD
    | {
        "!spec": {
            "!selector": {"matchLabels": LABELS},
            "!endpoints": [
                {"port": str, "path": str, "interval": str, "authorization": {"type": str, "credentials": SECRET}}
            ],
        }
    },
}


def problems(value: Any, schema: Any, path: str = "") -> list[str]:
    """What of a value is not as a schema has it."""
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{path} is no list"]
        return [found for part in value for found in problems(part, schema[0], f"{path}[]")]
    if not isinstance(schema, dict):
        is_number = isinstance(value, bool) and schema is int
        return [] if isinstance(value, schema) and not is_number else [f"{path} is {value!r}"]
    if not isinstance(value, dict):
        return [f"{path} is no object"]
    fields = {name.removeprefix("!"): inner for name, inner in schema.items()}
    found = [f"{path}.{name[1:]} is missing" for name in schema if name[0] == "!" and name[1:] not in value]
    for name, part in value.items():
        inner = fields.get(name, fields.get("*"))
        found += [f"{path}.{name} is unknown"] if inner is None else problems(part, inner, f"{path}.{name}")
    return found


@pytest.mark.parametrize("changes", [{"image": "a:1"}, ALL], ids=["defaults", "all"])
def test_every_field_is_one_of_kubernetes(changes: dict[str, Any]) -> None:
    rendered = render("mine", **changes)
    expected = {"Deployment", "Service"} | ({"HorizontalPodAutoscaler", "ServiceMonitor"} if changes == ALL else set())
    assert set(rendered) == expected
    for document in rendered.values():
        assert problems(document, SCHEMAS[f"{document['apiVersion']} {document['kind']}"]) == []


def test_the_check_finds_what_is_wrong() -> None:
    broken = render("mine", **ALL)["Deployment"]
    (container,) = broken["spec"]["template"]["spec"]["containers"]
    container["imagePolicy"] = "Always"
    container["ports"][0]["containerPort"] = "8080"
    del broken["spec"]["selector"]
    assert problems(broken, SCHEMAS["apps/v1 Deployment"]) == [
        ".spec.selector is missing",
        ".spec.template.spec.containers[].ports[].containerPort is '8080'",
        ".spec.template.spec.containers[].imagePolicy is unknown",
    ]


def test_the_objects_find_each_other() -> None:
    rendered = render("mine", **ALL)
    deployment, service = rendered["Deployment"], rendered["Service"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    monitor = rendered["ServiceMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    target = rendered["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    # The autoscaler's number would be overwritten by each upgrade.
    assert "replicas" not in deployment["spec"]
    assert render("mine", image="a:1")["Deployment"]["spec"]["replicas"] == 2


def test_it_fits_the_image_and_the_server() -> None:
    pod = render("mine", **ALL)["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert [str(container["ports"][0]["containerPort"])] == values("EXPOSE")
    assert [str(pod["securityContext"]["runAsUser"])] == values("USER")
    assert pod["securityContext"]["runAsNonRoot"] is container["securityContext"]["readOnlyRootFilesystem"] is True
    # Arguments follow the image's entry point, which they must not take the place of.
    assert "command" not in container
    with serve.make_context("serve", ["/model", *container["args"]]) as context:
        settings = {name: context.params[name] for name in {entry.name for entry in settings_of(ServeConfig)}}
    assert pod["terminationGracePeriodSeconds"] > config_of(ServeConfig, settings).drain_seconds
    routes = (ROOT / "serve/replank_serve/routes/probes.py").read_text(encoding="utf-8")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert f'@app.get("{container[probe]["httpGet"]["path"]}"' in routes
    (variable,) = container["env"]
    assert variable == {
        "name": "REPLANK_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "key-of-mine", "key": "key"}},
    }


def test_the_metric_that_it_scales_by_exists() -> None:
    (metric,) = render("mine", **ALL)["HorizontalPodAutoscaler"]["spec"]["metrics"]
    metrics = Metrics()
    # Without a model, and the names all the same.
    metrics.watch([])  # type: ignore[arg-type]
    assert f"# TYPE {metric['pods']['metric']['name']} gauge" in metrics.exposition("")[0].decode()
    rule = yaml.safe_load((CHART / "prometheus-adapter.yaml").read_text(encoding="utf-8"))["rules"]["custom"][0]
    assert rule["seriesQuery"].startswith(metric["pods"]["metric"]["name"] + "{")


def test_an_image_is_needed() -> None:
    with pytest.raises(ValueError, match="image is the image of the Dockerfile"):
        render("mine")


@pytest.mark.skipif(shutil.which("helm") is None, reason="helm is not installed")
@pytest.mark.parametrize("changes", [{"image": "a:1"}, ALL], ids=["defaults", "all"])
def test_helm_renders_the_same(changes: dict[str, Any]) -> None:
    pairs = [f"{path.replace('__', '.')}={json.dumps(value)}" for path, value in changes.items()]
    flags = [part for pair in pairs for part in ("--set-json", pair)]
    done = subprocess.run(["helm", "template", "mine", str(CHART), *flags], capture_output=True, text=True, check=True)
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    assert {document["kind"]: document for document in documents} == render("mine", **changes)
