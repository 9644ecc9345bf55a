"""The Grafana dashboard: each query is of metrics and labels that the server really has."""

from __future__ import annotations

import json
import re

from prometheus_client.parser import text_string_to_metric_families

from dockerfile import ROOT
from replank_serve.engine.inference import BatchRecord
from replank_serve.http.metrics import Metrics

DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
# Labels that Prometheus adds to what it collects.
ADDED = {"job", "instance"}
_METRIC = re.compile(r"\b(?:replank|process)_\w+")


def labels_by_name() -> dict[str, set[str]]:
    """The names of all samples of a server, with their labels; of models without one, no labels are known."""
    metrics = Metrics()
    # Without a model, and the names all the same.
    metrics.watch([])  # type: ignore[arg-type]
    metrics.end("/predict", "POST", 200, metrics.begin())
    metrics.on_batch("model")(BatchRecord(seconds=0.1, items=1, tokens=2, padded_tokens=4))
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.exposition("")[0].decode()):
        suffixes = ("_bucket", "_sum", "_count") if family.type == "histogram" else ("",)
        total = "_total" if family.type == "counter" else ""
        for suffix in suffixes:
            found.setdefault(f"{family.name}{total}{suffix}", set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_query_is_of_metrics_that_exist() -> None:
    known = labels_by_name()
    assert len(QUERIES) > 12
    used = {name for query in QUERIES for name in _METRIC.findall(query)}
    assert used <= set(known), used - set(known)
    variables = [entry["query"]["query"] for entry in DASHBOARD["templating"]["list"] if entry["type"] == "query"]
    for query in variables:
        name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
        assert not known[name] or label in known[name]


def test_every_query_is_by_labels_that_exist() -> None:
    known = labels_by_name()
    for query in QUERIES:
        for name, selector in re.findall(r"((?:replank|process)_\w+)\{([^}]*)\}", query):
            labels = set(re.findall(r"(\w+)=~", selector)) - ADDED
            assert not known[name] or labels <= known[name], query
        for name, by in re.findall(r"sum by \(([^)]*)\) \((?:rate\()?((?:replank|process)_\w+)", query):
            labels = set(name.split(", ")) - ADDED
            assert not known[by] or labels <= known[by], query
        assert query.count("(") == query.count(")")


def test_quantiles_are_of_buckets() -> None:
    for query in QUERIES:
        if "histogram_quantile" in query:
            assert re.search(r"sum by \(le[^)]*\) \(rate\(\w+_bucket\{", query), query


def test_panels_lie_side_by_side() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in DASHBOARD["panels"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
