"""The model card: ``README.md`` of an artifact, generated from its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replank.models.int8_facts import Int8Facts
from replank.models.manifest import Manifest, Parent
from replank.models.provenance import variant_name
from replank.models.quality import Quality, Robustness
from replank.models.source_card import SourceCard
from replank.models.training_facts import PretrainingFacts, TrainingFacts
from replank.models.widgets import widget_examples
from replank.tasks.glue import GLUE, GLUE_DATASET

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

_TRAINED = (TrainingFacts, PretrainingFacts)
# The hub's names of metrics, where they differ from ours.
_HUB_METRICS = {
    "matthews": "matthews_correlation",
    "macro_f1": "f1",
    "micro_f1": "f1",
    "micro_precision": "precision",
    "micro_recall": "recall",
    "subset_accuracy": "accuracy",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}


def model_card(manifest: Manifest) -> str:
    """Markdown with the task, the lineage, the quality and how to load the model."""
    task = manifest.task
    labels = f"; labels: {', '.join(f'`{label}`' for label in task.labels)}." if task.labels else "."
    parts = [
        f"---\n{_metadata(manifest).to_yaml()}\n---",
        f"# {_title(manifest)}",
        "Made by [replank](https://pypi.org/project/replank/). `replank.json` holds the full manifest.",
        "## Task",
        f"{task.kind} of {' and '.join(f'`{column}`' for column in task.columns) or 'texts'}, "
        f"at most {task.max_length} tokens{labels}",
        *([_thresholds(limits)] if (limits := task.thresholds_by_label) else []),
        "## Lineage",
        *(f"{number}. {step}" for number, step in enumerate(lineage(manifest), 1)),
        "## Quality",
        _quality(manifest.quality),
        *(["## Robustness", _robustness(manifest.robustness)] if manifest.robustness else []),
        *([_batches(facts)] if isinstance(facts := manifest.made_by.facts, Int8Facts) else []),
        *(["![Training](training.svg)"] if isinstance(manifest.made_by.facts, _TRAINED) else []),
        "## How to load it",
        _usage(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def lineage(manifest: Manifest) -> list[str]:
    """One line a step, the oldest first: where the chain began, then each stage with its settings."""
    parent = manifest.parent
    if parent is None:
        before = []
    elif parent.manifest is None:
        before = [f"`{parent.name}`, a plain model folder ({parent.digest[:12]})"]
    else:
        before = lineage(parent.manifest)
    stage, config = manifest.made_by.stage, manifest.made_by.config
    variant = variant_name(config.get("type", ""))
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
                items = (f"({_settings(item)})" if isinstance(item, dict) else str(item) for item in value)
                words.append(f"{name} {' '.join(items)}")
            case float():
                words.append(f"{name} {value:g}")
            case _:
                words.append(f"{name} {value}")
    return ", ".join(words)


def _title(manifest: Manifest) -> str:
    return f"{manifest.task.name}: {manifest.kind} {manifest.precision}"


def _metadata(manifest: Manifest) -> ModelCardData:
    """Metadata that the hub reads; a cross-encoder of pairs and a classifier have the same pipeline there.

    License and language are those of the model that the chain began with, where its own card says them.
    """
    from huggingface_hub import EvalResult, ModelCardData

    task, quality = manifest.task, manifest.quality
    metrics = quality.metrics if quality else {}
    pipeline, library = task.kind.pipeline, "transformers" if manifest.kind == "torch" else "onnx"
    if _is_sentence_transformer(manifest):
        pipeline, library = "sentence-similarity", "sentence-transformers"
    glue = GLUE.get(task.name)
    results = [
        EvalResult(
            task_type=pipeline,
            dataset_type=GLUE_DATASET if glue else task.name,
            dataset_name=f"GLUE {task.name}" if glue else task.name,
            dataset_config=task.name if glue else None,
            dataset_split=glue.hub_splits.get(quality.split, quality.split) if glue else quality.split,
            metric_type=_HUB_METRICS.get(name, name),
            metric_value=round(value, 4),
            metric_name=name,
        )
        for name, value in metrics.items()
        if quality
    ]
    root = _root(manifest)
    origin, base_model = (root.card if root else None) or SourceCard(), _base_model(root)
    datasets = {*origin.datasets, *([GLUE_DATASET] if glue else [])}
    return ModelCardData(
        pipeline_tag=pipeline,
        library_name=library,
        tags=["replank", manifest.precision],
        license=origin.license,
        license_name=origin.license_name,
        license_link=origin.license_link,
        language=list(origin.language) or None,
        datasets=sorted(datasets) or None,
        base_model=base_model,
        base_model_relation=_relation(manifest) if base_model else None,
        widget=widget_examples(task),
        metrics=sorted({_HUB_METRICS.get(name, name) for name in metrics}) or None,
        model_name=_title(manifest) if results else None,
        eval_results=results or None,
    )


def _thresholds(limits: dict[str, float]) -> str:
    """The probability from which each label holds; one where all have the same."""
    distinct = set(limits.values())
    if len(distinct) == 1:
        return f"Any number of labels may hold, each from a probability of {distinct.pop():g} on."
    each = ", ".join(f"`{label}` {limit:g}" for label, limit in limits.items())
    return f"Any number of labels may hold, each from a probability on: {each}."


def _is_sentence_transformer(manifest: Manifest) -> bool:
    """Whether the folder holds what sentence-transformers makes vectors by."""
    return manifest.kind == "torch" and manifest.task.vectors is not None


def _root(manifest: Manifest) -> Parent | None:
    """The model that the chain began with."""
    parent = manifest.parent
    while parent and parent.manifest:
        parent = parent.manifest.parent
    return parent


def _base_model(root: Parent | None) -> str | None:
    """Its name on the hub, without a revision; a name without an owner may as well be a folder's."""
    return root.name.partition("@")[0] if root and "/" in root.name else None


def _relation(manifest: Manifest) -> str | None:
    """The hub's word for what was done with the base model; it has none for a change of format."""
    if manifest.precision == "int8":
        return "quantized"
    step: Manifest | None = manifest
    while step:
        if isinstance(step.made_by.facts, _TRAINED):
            return "finetune"
        step = step.parent.manifest if step.parent else None
    return None


_USAGE_WITH_REFERENCES = (
    "With replank: `replank predict FOLDER` and `replank serve FOLDER`. The model's first layer also attends to the "
    "most similar other text of its training split, a reference (RefBERT-style, a reconstruction). "
    "`references.safetensors` holds keys and values of these texts, and which tokens or which vector each has. "
    "transformers alone loads the model without references, which gives other answers."
)


def _quality(quality: Quality | None) -> str:
    if quality is None:
        return "Not measured."
    metrics = "\n".join(f"| {name} | {value:.4f} |" for name, value in quality.metrics.items())
    if other := quality.mismatched:
        metrics += "".join(f"\n| {name}, mismatched | {value:.4f} |" for name, value in other.metrics.items())
    table = f"On the {quality.split} split, {quality.rows} rows:\n\n| metric | value |\n|---|---|\n{metrics}"
    return "\n\n".join([table, *(f"{caution[0].upper()}{caution[1:]}." for caution in quality.cautions)])


def _robustness(found: Robustness) -> str:
    low, high = found.interval
    rate = "" if found.success_rate is None else f"; {found.success_rate:.1%} of the texts answered right fooled it"
    changed = "" if found.changed is None else f", with {found.changed:.1%} of their words changed"
    return (
        f"Under BERT-Attack on {found.rows} texts of the {found.split} split, its accuracy falls from "
        f"{found.accuracy:.1%} to {found.accuracy_after:.1%} (95 % interval {low:.1%} to {high:.1%}){rate}{changed}. "
        f"Words were proposed by `{found.masked_lm}` (perplexity {found.perplexity:.1f}), {found.candidates} for each."
    )


def _batches(facts: Int8Facts) -> str:
    if facts.is_batch_invariant:
        return "An answer does not depend on the texts that share its batch."
    return "An answer depends a little on the texts that share its batch: they share the scales of activations."


def _usage(manifest: Manifest) -> str:
    kind = manifest.task.kind
    if _is_sentence_transformer(manifest):
        code = 'from sentence_transformers import SentenceTransformer\nmodel = SentenceTransformer("FOLDER")'
    else:
        package, name = "optimum.onnxruntime", f"ORTModelFor{kind.head}"
        if manifest.kind == "torch":
            package, name = "transformers", kind.auto_class
        code = f'from {package} import {name}\nmodel = {name}.from_pretrained("FOLDER")'
    if manifest.references:
        return _USAGE_WITH_REFERENCES
    return f"```python\n{code}\n```\n\nor, with replank: `replank predict FOLDER` and `replank serve FOLDER`."
