"""The command `verify`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from replank.cli.command import command
from replank.cli.options import console, data_options, device_options, json_option, option, print_json, print_table
from replank.data.config import DataConfig
from replank.robustness.table import attack_table
from replank.system.errors import UsageError
from replank.system.typed_json import json_values

if TYPE_CHECKING:
    from replank_export.verify.compare import WorstExample
    from replank_export.verify.comparison import Comparison

_LONGEST_TEXT, _MOST_LOGITS = 200, 8


@command("replank verify successor onnx --dataset sst2")
@click.argument("reference")
@click.argument("candidate")
@option("--max-drop", type=float, default=0.005, help="INT8 and bf16: loss of the headline metric allowed.")
@option("--attack", "is_attacked", is_flag=True, help="Attack both models too, with the same texts (replank attack).")
@option("--attack-rows", type=click.IntRange(1), default=200, help="Texts of that attack.")
@option("--masked-lm", help="The masked language model that proposes words for it: folder or hub name.")
@option("--max-robustness-drop", type=float, help="Loss of accuracy under attack allowed: 0.05 is five points.")
@data_options
@device_options
@json_option
def verify(
    reference: str,
    candidate: str,
    max_drop: float,
    is_attacked: bool,
    attack_rows: int,
    masked_lm: str | None,
    max_robustness_drop: float | None,
    data: DataConfig | None,
    device: Any,
    threads: int | None,
    as_json: bool,
) -> None:
    """Compare CANDIDATE's answers with REFERENCE's: right, left and both-sided padding, holes, extreme lengths.

    Exit code 3 outside the tolerance: 1e-4 on logits for fp32. INT8 and bf16 are judged by the task's metric, which
    takes its data: without any, the differences are shown, and nothing is verified (exit code 2). CANDIDATE runs on
    --device, REFERENCE on the CPU; under attack both run on --device.
    """
    from replank import api
    from replank.robustness.config import AttackConfig

    if max_robustness_drop is not None and not is_attacked:
        raise UsageError("`max_robustness_drop` judges an attack", hint="add `attack=True`")
    attack = AttackConfig(rows=attack_rows) if is_attacked else None
    found = api.verify(
        reference, candidate, data=data, attack=attack, masked_lm=masked_lm, device=device, threads=threads
    )
    report = {"reference": reference, "candidate": candidate} | json_values(found.verification.differences)
    if found.verification.worst:
        report["worst"] = asdict(found.verification.worst)
    if found.qualities:
        report["metrics"] = dict(zip(("reference", "candidate"), json_values(found.qualities), strict=True))
    if found.robustness:
        report["attack"] = json_values(found.robustness)
    if as_json:
        print_json(report)
    else:
        console().print(_difference_table(report))
        _show_worst(found.verification.worst)
        if found.robustness:
            console().print(attack_table(found.robustness))
    _show_judgement(found)
    found.require(max_drop, max_robustness_drop)


def _show_judgement(found: Comparison) -> None:
    if found.qualities and found.headline:
        before, after = (quality.metrics[found.headline] for quality in found.qualities)
        click.echo(f"{found.headline}: {before:.4f} reference, {after:.4f} candidate", err=True)


def _difference_table(report: dict[str, Any]) -> Table:
    bound = report["tolerance"]
    title = f"{report['candidate']} against {report['reference']}" + (f", tolerance {bound:g}" if bound else "")
    table = Table(title=title, title_justify="left")
    for heading in ("case", "rows", "max |difference|", "mean", "cosine", "SQNR dB", "same label"):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    for case in report["cases"]:
        agreement, ratio = case["label_agreement"], case["sqnr_db"]
        table.add_row(
            case["case"],
            str(case["rows"]),
            f"{case['max_abs']:.1e}",
            f"{case['mean_abs']:.1e}",
            f"{case['cosine']:.6f}",
            "equal" if ratio is None else f"{ratio:.1f}",
            "" if agreement is None else f"{agreement:.1%}",
        )
    return table


def _show_worst(worst: WorstExample | None) -> None:
    """The text whose answers are farthest apart: what to look at first."""
    if worst is None:
        return
    rows = [("farthest apart", " | ".join(worst.texts)[:_LONGEST_TEXT])]
    for name, logits in (("reference", worst.reference), ("candidate", worst.candidate)):
        shown = ", ".join(f"{value:.4f}" for value in logits[:_MOST_LOGITS])
        rows.append((name, shown + (", …" if len(logits) > _MOST_LOGITS else "")))
    print_table("", rows)
