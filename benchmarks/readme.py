"""Writes the measured parts of README.md, docs and log.md from benchmarks/results, so that no number is typed by hand.

python benchmarks/readme.py            rewrite them
python benchmarks/readme.py --check    exit 1 if they are not what the results say
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from block_text import ROOT, read_result
from compression_table import (
    defaults_table,
)
from gpu_block import gpu_block
from headline_block import headline_block
from quality_blocks import (
    chain_block,
    choices_block,
    compression_block,
    embeddings_block,
    growing_block,
    int8_quality_block,
    integer_quality_block,
    paper_block,
    references_block,
    trials_block,
)
from relations_block import relations_block
from robustness_block import robustness_block
from speed_blocks import (
    attention_block,
    busy_server_block,
    cost_block,
    int8_batching_block,
    int8_graph_block,
    integer_block,
    search_block,
    servers_block,
    soak_block,
    speed_block,
)


def fill(text: str, blocks: dict[str, Callable[[str], str]]) -> str:
    """A text with every block between ``<!-- name -->`` and ``<!-- /name -->`` made anew."""
    for name, render in blocks.items():
        opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
        if not (text.count(opening) == text.count(closing) == 1):
            raise ValueError(f"there must be one block named {name}")
        before, rest = text.split(opening)
        text = f"{before}{opening}\n{render(name)}\n{closing}{rest.split(closing)[1]}"
    return text


FILES: dict[str, dict[str, Callable[[str], str]]] = {
    "README.md": {"headline": headline_block},
    "docs/concepts/module_replacing.md": {"replacing_cost": cost_block},
    "docs/howto/budget.md": {"search": search_block},
    "docs/results/index.md": {"quickstart": chain_block},
    "docs/results/quality.md": {
        "compression": compression_block,
        "embeddings": embeddings_block,
        "int8_quality_minilm": int8_quality_block,
        "int8_quality_e5": int8_quality_block,
        "int8_quality_deberta": int8_quality_block,
    },
    "docs/results/knowledge_graphs.md": {"relations": relations_block},
    "docs/results/robustness.md": {"robustness_mr": robustness_block, "robustness_ag": robustness_block},
    "docs/results/serving.md": {
        "servers_int8_3": servers_block,
        "servers_int8_6": servers_block,
        "servers_fp32_6": servers_block,
        "busy_server": busy_server_block,
        "soak": soak_block,
        "soak_busy": soak_block,
    },
    "docs/results/speed.md": {
        "bert_base_speed": speed_block,
        "modernbert_base_speed": speed_block,
        "deberta_base_speed": speed_block,
        "gpu": gpu_block,
    },
    "benchmarks/log.md": {
        "compression_defaults": lambda name: defaults_table(read_result(name)["runs"]),
        "trials_copies": trials_block,
        "trials": trials_block,
        "compression_choices": choices_block,
        "compression_paper": paper_block,
        "growing": growing_block,
        "references": references_block,
        "attention": attention_block,
        "int8_graph": int8_graph_block,
        "int8_batching": int8_batching_block,
        "integer_quality": integer_quality_block,
        "integer": integer_block,
        "integer_avx2": integer_block,
    },
}


def main() -> None:
    """Rewrite the files, or check them."""
    for file, blocks in FILES.items():
        path = ROOT / file
        before = path.read_text(encoding="utf-8")
        after = fill(before, blocks)
        if "--check" not in sys.argv:
            path.write_text(after, encoding="utf-8")
        elif before != after:
            sys.exit(f"{file} is not what the results say")


if __name__ == "__main__":
    main()
