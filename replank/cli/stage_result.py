"""What a stage made, for a person or a program."""

from __future__ import annotations

from replank.cli.options import print_json, print_table
from replank.models.artifact import Artifact


def show(artifact: Artifact, as_json: bool) -> None:
    """Tell what a stage made: a few lines for a person, the manifest for a program."""
    manifest = artifact.manifest
    if as_json:
        print_json({"path": str(artifact.path), "digest": manifest.digest} | manifest.to_json())
        return
    rows = [
        ("folder", str(artifact.path)),
        ("model", f"{manifest.kind} {manifest.precision}, {artifact.model_file.stat().st_size / 1e6:.1f} MB"),
        ("digest", manifest.digest[:12]),
    ]
    if manifest.quality:
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in manifest.quality["metrics"].items())
        rows.append(("quality", f"{metrics} ({manifest.quality['split']}, {manifest.quality['rows']} rows)"))
    if manifest.verification:
        against = "fp32 source" if manifest.precision == "int8" else "torch"
        rows.append(("verified", f"max difference of a logit to {against} {manifest.verification['max_abs']:.1e}"))
    if "kept_in_float" in manifest.made_by:
        kept = manifest.made_by["kept_in_float"]
        names = ", ".join(entry["node"] for entry in kept) or "no weight matrix"
        rows.append(("kept in float", names))
    if speed := manifest.made_by.get("speed"):
        ratio = speed["source_ms"] / speed["ms"]
        rows.append(("speed", f"{speed['ms']:.2f} ms for {speed['length']} tokens, {ratio:.1f}x its source"))
    if sizes := manifest.made_by.get("sizes"):
        parts = [
            f"{name} {sizes['source'][name] / 1e6:.1f} → {sizes['int8'][name] / 1e6:.1f}" for name in sizes["int8"]
        ]
        rows.append(("MB", ", ".join(parts)))
    if kept := manifest.made_by.get("kept_in_fp32"):
        rows.append(("kept in fp32", ", ".join(kept)))
    rows.append(("seconds", f"{manifest.made_by['seconds']:.0f}"))
    print_table(manifest.made_by["stage"], rows)
