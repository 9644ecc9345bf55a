"""The model card: ``README.md`` of an artifact, generated from its manifest."""

from __future__ import annotations

import json
from typing import Any

from replank.models.provenance import variant_name
from replank.tasks.kinds import kind_named

# The hub's names of metrics, where they differ from ours.
_HUB_METRICS = {"matthews": "matthews_correlation", "macro_f1": "f1", "pearson": "pearsonr", "spearman": "spearmanr"}


def model_card(manifest: dict[str, Any]) -> str:
    """Markdown with the task, the lineage, the quality and how to load the model.

    :param manifest: the manifest as JSON values.
    """
    task = manifest["task"]
    parts = [
        _front_matter(manifest),
        f"# {task['name']}: {manifest['kind']} {manifest['precision']}",
        "Made by [replank](https://pypi.org/project/replank/). `replank.json` holds the full manifest.",
        "## Task",
        f"{task['kind']} of {' and '.join(f'`{column}`' for column in task['columns']) or 'texts'}, "
        f"at most {task['max_length']} tokens"
        + (f"; labels: {', '.join(f'`{label}`' for label in task['labels'])}." if task["labels"] else "."),
        "## Lineage",
        *(f"{number}. {step}" for number, step in enumerate(lineage(manifest), 1)),
        "## Quality",
        _quality(manifest["quality"]),
        *(["![Training](training.svg)"] if "best_dev" in manifest["made_by"] else []),
        "## How to load it",
        _usage(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def lineage(manifest: dict[str, Any]) -> list[str]:
    """One line a step, the oldest first: where the chain began, then each stage with its settings."""
    parent = manifest["parent"]
    if parent is None:
        before = []
    elif parent["manifest"] is None:
        before = [f"`{parent['name']}`, a plain model folder ({parent['digest'][:12]})"]
    else:
        before = lineage(parent["manifest"])
    made_by = manifest["made_by"]
    config = made_by["config"]
    stage, variant = made_by["stage"], variant_name(config.get("type", ""))
    title = stage if variant in ("", stage) else f"{stage} ({variant})"
    return [*before, f"{title}: {_settings(config) or 'defaults'}"]


def _settings(config: dict[str, Any]) -> str:
    """The settings of a stage in words, without those that are off or were left to others."""
    words = []
    for key, value in config.items():
        name = key.replace("_", " ")
        match value:
            case _ if key == "type":
                continue
            case None | False | []:
                continue
            case True:
                words.append(name)
            case dict():
                # The first manifests did not say the type of a setting within a setting.
                head, inner = f"{name} {variant_name(value.get('type', ''))}".strip(), _settings(value)
                words.append(f"{head} ({inner})" if inner else head)
            case list():
                words.append(f"{name} {' '.join(map(str, value))}")
            case float():
                words.append(f"{name} {value:g}")
            case _:
                words.append(f"{name} {value}")
    return ", ".join(words)


def _front_matter(manifest: dict[str, Any]) -> str:
    """What the hub reads; a cross-encoder of pairs and a classifier have the same pipeline there.

    YAML whose values are JSON, which is YAML too, so that no name of a task or a column can break it. The license is
    left out: it is that of the encoder and the data, which no manifest knows.
    """
    pipeline = kind_named(manifest["task"]["kind"]).pipeline
    fields: dict[str, Any] = {
        "pipeline_tag": pipeline,
        "library_name": "transformers" if manifest["kind"] == "torch" else "onnx",
        "tags": ["replank", manifest["precision"]],
    }
    if base := _base_model(manifest):
        fields["base_model"] = base
    if quality := manifest["quality"]:
        task = manifest["task"]["name"]
        metrics = [
            {"type": _HUB_METRICS.get(name, name), "value": round(value, 4), "name": name}
            for name, value in quality["metrics"].items()
        ]
        dataset = {"name": task, "type": task, "split": quality["split"]}
        result = {"task": {"type": pipeline}, "dataset": dataset, "metrics": metrics}
        fields["metrics"] = sorted({metric["type"] for metric in metrics})
        fields["model-index"] = [{"name": f"{task}, {manifest['kind']} {manifest['precision']}", "results": [result]}]
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _base_model(manifest: dict[str, Any]) -> str | None:
    """The hub model that the chain began with; a name without an owner may as well be a folder's."""
    parent = manifest["parent"]
    while parent and parent["manifest"]:
        parent = parent["manifest"]["parent"]
    return parent["name"] if parent and "/" in parent["name"] else None


def _quality(quality: dict[str, Any] | None) -> str:
    if quality is None:
        return "Not measured."
    metrics = "\n".join(f"| {name} | {value:.4f} |" for name, value in quality["metrics"].items())
    if other := quality.get("mismatched"):
        metrics += "".join(f"\n| {name}, mismatched | {value:.4f} |" for name, value in other["metrics"].items())
    return f"On the {quality['split']} split, {quality['rows']} rows:\n\n| metric | value |\n|---|---|\n{metrics}"


def _usage(manifest: dict[str, Any]) -> str:
    kind = kind_named(manifest["task"]["kind"])
    if manifest["kind"] == "torch":
        package, name = "transformers", kind.auto_class
    else:
        package, name = "optimum.onnxruntime", f"ORTModelFor{kind.head}"
    code = f'from {package} import {name}\nmodel = {name}.from_pretrained("FOLDER")'
    return f"```python\n{code}\n```\n\nor, with replank: `replank predict FOLDER` and `replank serve FOLDER`."
