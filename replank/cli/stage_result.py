"""The artifact that a stage made, told to a person or a program."""

from __future__ import annotations

from replank.cli.choice_table import choice_table
from replank.cli.options import console, print_json, print_table
from replank.models.artifact import Artifact
from replank.models.facts import ExportFacts, StageFacts, TrimFacts
from replank.models.int8_facts import Int8Facts
from replank.models.training_facts import PretrainingFacts, TrainingFacts


def show(artifact: Artifact, as_json: bool) -> None:
    """Tell what a stage made: a few lines for a person, the manifest for a program."""
    manifest = artifact.manifest
    if as_json:
        print_json({"path": str(artifact.path), "digest": manifest.digest} | manifest.to_json())
        return
    rows = [
        ("folder", str(artifact.path)),
        ("model", f"{manifest.kind} {manifest.precision}, {artifact.weights.bytes / 1e6:.1f} MB"),
        ("digest", manifest.digest[:12]),
    ]
    if manifest.quality:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in manifest.quality.metrics.items())
        rows.append(("quality", f"{metrics} ({manifest.quality.split}, {manifest.quality.rows} rows)"))
        rows += [("", caution) for caution in manifest.quality.cautions]
    if manifest.verification:
        against = "fp32 source" if manifest.precision == "int8" else "torch"
        rows.append(("verified", f"max difference of a logit to {against} {manifest.verification.max_abs:.1e}"))
    if manifest.references:
        rows.append(("references", manifest.references.summary))
    match manifest.made_by.facts:
        case Int8Facts() as facts:
            rows += _int8_rows(facts)
        case PretrainingFacts() as facts:
            rows += _growth_rows(facts)
        case TrimFacts() as facts:
            rows += _trim_rows(facts)
        case ExportFacts(kept_in_fp32=kept) if kept:
            rows.append(("kept in fp32", ", ".join(kept)))
        case TrainingFacts(integer_metrics=found) if found:
            rows.append(("in integers", ", ".join(f"{name} {value:.4f}" for name, value in found.items())))
    rows.append(("seconds", f"{manifest.made_by.seconds:.0f}"))
    print_table(manifest.made_by.stage, rows)
    _show_choice(manifest.made_by.facts)


def _show_choice(facts: StageFacts) -> None:
    """What was tried, where several schemes were."""
    if isinstance(facts, Int8Facts) and facts.choice:
        console().print(choice_table(facts, facts.choice))


def _trim_rows(facts: TrimFacts) -> list[tuple[str, str]]:
    tokens, megabytes = (f"{before:,} → {after:,}" for before, after in (facts.tokens, _megabytes(facts.bytes)))
    before, after = facts.unknown
    return [
        ("tokens", tokens),
        ("MB", megabytes),
        ("cut otherwise", f"{facts.changed_rows:,} of {facts.rows:,} texts; the others give the same answers to 1e-6"),
        ("unknown", f"{100 * before:.2f} % of tokens before, {100 * after:.2f} % after"),
        ("tokens a text", " → ".join(f"{mean:.1f}" for mean in facts.tokens_per_text)),
    ]


def _megabytes(sizes: tuple[int, int]) -> tuple[float, float]:
    return round(sizes[0] / 1e6, 1), round(sizes[1] / 1e6, 1)


def _int8_rows(facts: Int8Facts) -> list[tuple[str, str]]:
    rows = [("scheme", facts.scheme + (f", on {facts.choice.device}: --device auto takes it" if facts.choice else ""))]
    rows += [("kept in float", ", ".join(entry.node for entry in facts.kept_in_float) or "no weight matrix")]
    if facts.integer:
        rows.append(("in integers", f"{facts.integer.compared} values of hidden states, all equal to the definition"))
    if speed := facts.speed:
        rows.append(("speed", f"{speed.ms:.2f} ms for {speed.length} tokens, {speed.ratio:.1f}x its source"))
    if sizes := facts.sizes:
        parts = [f"{name} {before / 1e6:.1f} → {after / 1e6:.1f}" for name, before, after in sizes.parts]
        rows.append(("MB", ", ".join(parts)))
    return rows


def _growth_rows(facts: PretrainingFacts) -> list[tuple[str, str]]:
    rows = []
    for number, (stage, seconds) in enumerate(zip(facts.stages, facts.stage_seconds, strict=True), 1):
        sizes = f"{stage.layers} layers, width {stage.width}, length {stage.length}, pooling {stage.pooling}"
        cost = f"{stage.steps} steps, {stage.flops / 1e12:.3g} TFLOPs, {seconds:.0f} s"
        losses = f"held-out loss {stage.first_loss:.3f} to {stage.last_loss:.3f}"
        rows.append((f"stage {number}", f"{sizes}: {cost}; {losses}"))
    if len(facts.stages) > 1:
        speedups = f"{facts.predicted_speedup:+.0%} by FLOPs, {facts.measured_speedup:+.0%} by the clock"
        rows.append(("speed-up", f"{speedups}, against as many steps of the whole encoder"))
    return rows
