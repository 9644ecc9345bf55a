"""The block of benchmarks/robustness.py: who is fooled how often, what is shown of it, and what K costs."""

from __future__ import annotations

from typing import Any

from block_text import RESULTS, machine_line, read_result
from replank.resampling.holm import holm

# Below it a difference is shown.
SIGNIFICANT = 0.05

NAMES = {
    "predecessor": "predecessor",
    "theseus": "replacing",
    "int8": "replacing, INT8",
    "truncate": "truncation",
    "kd": "KD",
    "augmented": "replacing, augmented",
}


def robustness_block(name: str) -> str:
    """Victims side by side, differences, transfer, and the number of candidates."""
    if not (RESULTS / f"{name}.json").exists():
        return "This table is being measured."
    result = read_result(name)
    parts = [_introduction(result)]
    for count, attack in reversed(result["attacks"].items()):
        parts += [f"K = {count} candidates for each word:", victims_table(attack), "\n".join(difference_lines(attack))]
    parts += ["How many of the texts made against one (rows) fool another (columns):", transfer_table(result)]
    parts += [
        "What K costs and brings, against the successor:",
        candidates_table(result),
        f"Asked one by one, the questions of an attack take INT8 {result['batching']['ratio']:.1f} times as long as in "
        "batches.",
        machine_line(result),
    ]
    return "\n\n".join(parts)


def _introduction(result: dict[str, Any]) -> str:
    masked_lm = result["masked_lm"]
    return (
        f"{result['rows']} texts, none of which was trained on; candidates by a masked LM with perplexity "
        f"{masked_lm['perplexity']:.1f} on them (a published BERT's is about 10)."
    )


def victims_table(attack: dict[str, Any]) -> str:
    """A row for each model under one attack."""
    lines = [
        "| model | layers | accuracy | after the attack | of right answers fooled | words changed | median queries |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, victim in attack["victims"].items():
        found = victim["measures"]
        shown = [
            f"{found['accuracy_before']['value']:.1%}",
            _share(found["accuracy_after"]),
            _share(found["success_rate"]),
            f"{found['changed']:.1%}",
            f"{found['median_queries']:g}",
        ]
        lines.append(f"| {NAMES[name]} | {victim['layers']} | {' | '.join(shown)} |")
    return "\n".join(lines)


def difference_lines(attack: dict[str, Any]) -> list[str]:
    """What is shown of each pair of models under one attack, or that nothing is."""
    corrected = corrected_p_values(attack)
    return [_difference_line(row, corrected[row["of"], row["than"]]) for row in attack["differences"]]


def corrected_p_values(attack: dict[str, Any]) -> dict[tuple[str, str], float]:
    """By pair of models, the p-value that holds for all pairs of an attack at once."""
    return holm({(row["of"], row["than"]): row["loss"]["p_value"] for row in attack["differences"]})


def _difference_line(row: dict[str, Any], corrected: float) -> str:
    loss = row["loss"]
    interval = f"{100 * loss['value']:+.1f} points ({100 * loss['low']:+.1f} to {100 * loss['high']:+.1f})"
    verdict = "no difference is shown"
    if corrected < SIGNIFICANT:
        verdict = f"{NAMES[row['than'] if loss['value'] > 0 else row['of']]} is the weaker one"
    p_values = f"p = {loss['p_value']:.2g}, for all pairs at once {corrected:.2g}"
    return (
        f"- Accuracy after the attack, {NAMES[row['of']]} less {NAMES[row['than']]}: {interval}, {p_values}: {verdict}."
    )


def transfer_table(result: dict[str, Any]) -> str:
    """For the texts made against each model, the part that fools each, of those that it answered right before."""
    names = list(result["transfer"])
    lines = ["| against | " + " | ".join(NAMES[name] for name in names) + " |", "|---" + "|--:" * len(names) + "|"]
    for name, parts in result["transfer"].items():
        shown = ["" if part is None else f"{part:.0%}" for part in parts]
        lines.append(f"| {NAMES[name]} | {' | '.join(shown)} |")
    return "\n".join(lines)


def candidates_table(result: dict[str, Any]) -> str:
    """Success and queries by the number of candidates."""
    lines = ["| K | of right answers fooled | words changed | median queries |", "|--:|--:|--:|--:|"]
    lines += [
        f"| {row['candidates']} | {_share(row['success_rate'])} | {row['changed']:.1%} | {row['median_queries']:g} |"
        for row in result["candidates"]
    ]
    return "\n".join(lines)


def _share(share: dict[str, float]) -> str:
    return f"{share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%})"
