"""Speedup of the whole chain on the shape of BERT-base, as ratios within one interleaved run.

The predecessor has 12 layers in torch, in each of its modes: eager and compiled, in fp32 and bf16, and PyTorch's own
INT8 (torchao's PT2E, dynamic, compiled). The others have 6: in torch (eager, fp32), in ONNX fp32, in INT8. Weights are
random, with a seed, as the speed depends on the shape only; quality is measured elsewhere.

    pip install -c constraints.txt torchao
    python benchmarks/bert_base_speed.py

Compiled modes need a C++ compiler, and INT8 torchao; what is not there is named, and the others are measured. The
result, with every sample and the machine, is written to benchmarks/results/bert_base_speed.json. Most of the time goes
into compiling, once for each mode and shape; torch keeps that in its cache for the next run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import BertConfig, BertForSequenceClassification

from replank.benchmarking.config import BenchmarkConfig, Variant
from replank.benchmarking.run import benchmark
from replank.benchmarking.table import render
from replank.data.demo import demo_encoder
from replank.models.source import open_source
from replank.runtime.torch_modes import DEFAULT_MODE
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


@dataclass(frozen=True)
class SpeedConfig(BenchmarkConfig):
    """The first model in all modes of torch, the others in the default one."""

    @property
    def variants(self) -> list[Variant]:
        """Those of the first model, then one of each other."""
        return [found for found in super().variants if found.model == self.models[0] or found.mode == DEFAULT_MODE]


def main() -> None:
    """Make the models, measure them, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds (default 10)")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each model and shape (default 3)")
    parser.add_argument("--layers", type=int, default=12, help="of the predecessor; the others have half (default 12)")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8], help="(default 1 8)")
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 128], help="tokens of a text (default 16 128)")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the JSON goes")
    arguments = parser.parse_args()
    whole, half = arguments.layers, arguments.layers // 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_bert_base(folder / f"torch-{whole}", whole)
        make_bert_base(folder / f"torch-{half}", half)
        export(open_source(folder / f"torch-{half}"), folder / f"onnx-{half}", ExportConfig())
        quantize(open_source(folder / f"onnx-{half}"), folder / f"int8-{half}", DynamicInt8())
        names = (f"torch-{whole}", f"torch-{half}", f"onnx-{half}", f"int8-{half}")
        config = SpeedConfig(
            models=tuple(str(folder / name) for name in names),
            batch_sizes=tuple(arguments.batch_sizes),
            lengths=tuple(arguments.lengths),
            rounds=arguments.rounds,
            min_seconds=arguments.seconds,
            max_seconds=0.0,
            torch_modes=("fp32", "bf16", "compiled", "compiled-bf16", "compiled-int8"),
        )
        with progress("benchmark", config.units) as advance:
            result = benchmark(config, advance)
    arguments.out.write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
    Console().print(render(result))
    sys.stdout.write(f"written to {arguments.out}\n")


if __name__ == "__main__":
    main()
