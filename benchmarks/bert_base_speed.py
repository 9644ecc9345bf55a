"""Speedup of the whole chain on the shape of BERT-base, as ratios within one interleaved run.

The predecessor has 12 layers in torch (eager, fp32), the others 6: in torch, in ONNX fp32, in INT8. Weights are random,
with a seed, as the speed depends on the shape only; quality is measured elsewhere.

    python benchmarks/bert_base_speed.py

The result, with every sample and the machine, is written to benchmarks/results/bert_base_speed.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import BertConfig, BertForSequenceClassification

from replank.benchmarking.run import BenchmarkConfig, benchmark
from replank.benchmarking.table import render
from replank.data.demo import demo_encoder
from replank.models.source import open_source
from replank.system.progress import progress
from replank.text.tokenizer_files import save_tokenizer
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8
from replank_export.quantize import quantize

RESULT = Path(__file__).parent / "results" / "bert_base_speed.json"


def make_bert_base(folder: Path, layers: int, **changes: Any) -> None:
    """A model folder with BERT-base's shape and bert-base-uncased's vocabulary, which MiniLM shares.

    :param changes: of the shape, for a smaller model.
    """
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(num_hidden_layers=layers, **changes))
    with torch.no_grad():
        for parameter in model.parameters():
            # All different, as in a trained model: equal tensors would be stored once, which changes the graph.
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    save_tokenizer(demo_encoder(), folder)


def main() -> None:
    """Make the four models, measure them, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds (default 10)")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the JSON goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_bert_base(folder / "torch-12", 12)
        make_bert_base(folder / "torch-6", 6)
        export(open_source(folder / "torch-6"), folder / "onnx-6", ExportConfig())
        quantize(open_source(folder / "onnx-6"), folder / "int8-6", DynamicInt8())
        models = tuple(str(folder / name) for name in ("torch-12", "torch-6", "onnx-6", "int8-6"))
        config = BenchmarkConfig(
            models=models,
            batch_sizes=(1, 8),
            lengths=(16, 128),
            rounds=arguments.rounds,
            min_seconds=4.0,
            max_seconds=0.0,
        )
        with progress("benchmark", config.units) as advance:
            result = benchmark(config, advance)
    arguments.out.write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
    Console().print(render(result))
    sys.stdout.write(f"written to {arguments.out}\n")


if __name__ == "__main__":
    main()
