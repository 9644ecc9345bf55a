"""Speedup of the whole chain on the shape of a base-sized encoder, as ratios within one interleaved run.

The predecessor has all layers, in torch, in each of its modes: eager and compiled, in fp32 and bf16, and PyTorch's own
INT8 (torchao's PT2E, dynamic, compiled). The others have half: in torch (eager, fp32), in ONNX fp32, in INT8. Weights
are random, with a seed, as the speed depends on the shape only; quality is measured elsewhere.

    pip install -c constraints.txt torchao
    python benchmarks/base_speed.py
    python benchmarks/base_speed.py --encoder modernbert --modes fp32 bf16 --batch-sizes 1 8 --lengths 128

Compiled modes need a C++ compiler, and INT8 torchao; what is not there is named, and the others are measured. The
result, with every sample and the machine, is written to benchmarks/results/ENCODER_base_speed.json. Most of the time
goes into compiling, once for each mode and shape; torch keeps that in its cache for the next run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    ModernBertConfig,
    PreTrainedConfig,
)

from replank.benchmarking.config import BenchmarkConfig, Variant
from replank.benchmarking.run import benchmark
from replank.benchmarking.table import render
from replank.data.demo import demo_encoder
from replank.models.source import open_source
from replank.runtime.torch_modes import DEFAULT_MODE, TorchMode
from replank.system.progress import progress
from replank.text.tokenizer_files import save_tokenizer
from replank_export.convert import ExportConfig, export
from replank_export.int8 import DynamicInt8
from replank_export.quantize import quantize

RESULTS = Path(__file__).parent / "results"
MODES: tuple[TorchMode, ...] = ("fp32", "bf16", "compiled", "compiled-bf16", "compiled-int8")
_DEBERTA_V3_BASE: dict[str, Any] = {
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "type_vocab_size": 0,
    "relative_attention": True,
    "position_buckets": 256,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "position_biased_input": False,
}
_SPECIAL: dict[str, Any] = {
    "pad_token_id": 0,
    "cls_token_id": 101,
    "sep_token_id": 102,
    "bos_token_id": 101,
    "eos_token_id": 102,
}
# What makes each base-sized shape, and its layers. All have the vocabulary of bert-base-uncased, which MiniLM shares.
ENCODERS: Mapping[str, tuple[Callable[..., PreTrainedConfig], int]] = {
    "bert": (BertConfig, 12),
    "modernbert": (partial(ModernBertConfig, vocab_size=30522, **_SPECIAL), 22),
    "deberta": (partial(DebertaV2Config, vocab_size=30522, **_DEBERTA_V3_BASE), 12),
}


def make_base(folder: Path, layers: int, encoder: str = "bert", **changes: Any) -> None:
    """A model folder with a base-sized shape.

    :param encoder: a key of :data:`ENCODERS`.
    :param changes: of the shape, for a smaller model.
    """
    torch.manual_seed(0)
    make_config, _ = ENCODERS[encoder]
    model = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
        make_config(num_hidden_layers=layers, **changes)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            # All different, as in a trained model: equal tensors would be stored once, which changes the graph.
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    save_tokenizer(demo_encoder(), folder)
    if not getattr(model.config, "type_vocab_size", 0):
        settings = folder / "tokenizer_config.json"
        names = {"model_input_names": ["input_ids", "attention_mask"]}
        settings.write_text(json.dumps(json.loads(settings.read_text(encoding="utf-8")) | names), encoding="utf-8")


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
    parser.add_argument("--encoder", choices=list(ENCODERS), default="bert", help="the shape (default bert)")
    parser.add_argument("--layers", type=int, help="of the predecessor; the others have half (default the shape's)")
    parser.add_argument("--modes", choices=MODES, nargs="+", default=list(MODES), help="of torch (default all)")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8], help="(default 1 8)")
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 128], help="tokens of a text (default 16 128)")
    parser.add_argument("--out", type=Path, help="where the JSON goes")
    arguments = parser.parse_args()
    encoder = arguments.encoder
    out = arguments.out or RESULTS / f"{encoder}_base_speed.json"
    whole = arguments.layers or ENCODERS[encoder][1]
    half = whole // 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_base(folder / f"torch-{whole}", whole, encoder)
        make_base(folder / f"torch-{half}", half, encoder)
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
            torch_modes=tuple(arguments.modes),
        )
        with progress("benchmark", config.units) as advance:
            result = benchmark(config, advance)
    out.write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
    Console().print(render(result))
    sys.stdout.write(f"written to {out}\n")


if __name__ == "__main__":
    main()
