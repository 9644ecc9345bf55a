"""replank: halve the layers of an encoder, export it to ONNX, quantize it, prove it right, serve it.

``__all__`` is the public interface: a function for each command, the settings that they take, and what they return.
Each is imported when it is first used: ``import replank`` costs milliseconds and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replank.api import attack as attack
    from replank.api import benchmark as benchmark
    from replank.api import compare as compare
    from replank.api import compress as compress
    from replank.api import doctor as doctor
    from replank.api import evaluate as evaluate
    from replank.api import export as export
    from replank.api import finetune as finetune
    from replank.api import load as load
    from replank.api import loadtest as loadtest
    from replank.api import mine as mine
    from replank.api import open_model as open_model
    from replank.api import predict_file as predict_file
    from replank.api import pretrain as pretrain
    from replank.api import push_to_hub as push_to_hub
    from replank.api import quantize as quantize
    from replank.api import quickstart as quickstart
    from replank.api import relate as relate
    from replank.api import report as report
    from replank.api import run as run
    from replank.api import run_file as run_file
    from replank.api import search as search
    from replank.api import serve as serve
    from replank.api import trim as trim
    from replank.api import triton as triton
    from replank.api import verify as verify
    from replank.batch.job import BatchConfig as BatchConfig
    from replank.benchmarking.config import BenchmarkConfig as BenchmarkConfig
    from replank.benchmarking.result import Benchmark as Benchmark
    from replank.chain.budget import Budget as Budget
    from replank.chain.plan import RunConfig as Run
    from replank.chain.search_plan import SearchConfig as Search
    from replank.data.config import DataConfig as Data
    from replank.graphs.config import MiningConfig as Mining
    from replank.graphs.knowledge import KnowledgeGraph as KnowledgeGraph
    from replank.models.artifact import Artifact as Artifact
    from replank.robustness.config import AttackConfig as Attack
    from replank.robustness.result import AttackResult as AttackResult
    from replank.runtime.model import Model as Model
    from replank.system.errors import ReplankError as ReplankError
    from replank.tasks.answers import Prediction as Prediction
    from replank.tasks.answers import Ranked as Ranked
    from replank.tasks.answers import TaggedText as TaggedText
    from replank_compress.growing.config import PretrainConfig as Pretrain
    from replank_compress.growing.schedule import Stage as Stage
    from replank_compress.integer.config import IntegerFinetuneConfig as IntegerFinetune
    from replank_compress.methods.kd import KdConfig as Kd
    from replank_compress.methods.pkd import PkdConfig as Pkd
    from replank_compress.methods.theseus import TheseusConfig as Theseus
    from replank_compress.methods.truncate import TruncateConfig as Truncate
    from replank_compress.training.config import FinetuneConfig as Finetune
    from replank_compress.trim import TrimConfig as Trim
    from replank_export.automatic.config import AutoInt8 as AutoInt8
    from replank_export.convert import ExportConfig as Export
    from replank_export.int8 import DynamicInt8 as DynamicInt8
    from replank_export.int8 import StaticInt8 as StaticInt8
    from replank_export.integer.config import IntegerInt8 as IntegerInt8
    from replank_export.triton import TritonConfig as Triton
    from replank_export.verify.comparison import Comparison as Comparison
    from replank_serve.http.config import ServeConfig as Serve
    from replank_serve.loadtest.config import LoadtestConfig as Loadtest

# The module and the name there of each public name. Type checkers read the imports above; a test holds both equal.
_PLACES = {
    "attack": ("replank.api", "attack"),
    "benchmark": ("replank.api", "benchmark"),
    "compare": ("replank.api", "compare"),
    "compress": ("replank.api", "compress"),
    "doctor": ("replank.api", "doctor"),
    "evaluate": ("replank.api", "evaluate"),
    "export": ("replank.api", "export"),
    "finetune": ("replank.api", "finetune"),
    "load": ("replank.api", "load"),
    "loadtest": ("replank.api", "loadtest"),
    "mine": ("replank.api", "mine"),
    "open_model": ("replank.api", "open_model"),
    "predict_file": ("replank.api", "predict_file"),
    "pretrain": ("replank.api", "pretrain"),
    "push_to_hub": ("replank.api", "push_to_hub"),
    "quantize": ("replank.api", "quantize"),
    "quickstart": ("replank.api", "quickstart"),
    "relate": ("replank.api", "relate"),
    "report": ("replank.api", "report"),
    "run": ("replank.api", "run"),
    "run_file": ("replank.api", "run_file"),
    "search": ("replank.api", "search"),
    "serve": ("replank.api", "serve"),
    "trim": ("replank.api", "trim"),
    "triton": ("replank.api", "triton"),
    "verify": ("replank.api", "verify"),
    "Comparison": ("replank_export.verify.comparison", "Comparison"),
    "Attack": ("replank.robustness.config", "AttackConfig"),
    "AttackResult": ("replank.robustness.result", "AttackResult"),
    "Artifact": ("replank.models.artifact", "Artifact"),
    "AutoInt8": ("replank_export.automatic.config", "AutoInt8"),
    "BatchConfig": ("replank.batch.job", "BatchConfig"),
    "Benchmark": ("replank.benchmarking.result", "Benchmark"),
    "BenchmarkConfig": ("replank.benchmarking.config", "BenchmarkConfig"),
    "Budget": ("replank.chain.budget", "Budget"),
    "Data": ("replank.data.config", "DataConfig"),
    "DynamicInt8": ("replank_export.int8", "DynamicInt8"),
    "Export": ("replank_export.convert", "ExportConfig"),
    "Finetune": ("replank_compress.training.config", "FinetuneConfig"),
    "IntegerFinetune": ("replank_compress.integer.config", "IntegerFinetuneConfig"),
    "IntegerInt8": ("replank_export.integer.config", "IntegerInt8"),
    "Kd": ("replank_compress.methods.kd", "KdConfig"),
    "KnowledgeGraph": ("replank.graphs.knowledge", "KnowledgeGraph"),
    "Loadtest": ("replank_serve.loadtest.config", "LoadtestConfig"),
    "Mining": ("replank.graphs.config", "MiningConfig"),
    "Model": ("replank.runtime.model", "Model"),
    "Pkd": ("replank_compress.methods.pkd", "PkdConfig"),
    "Pretrain": ("replank_compress.growing.config", "PretrainConfig"),
    "Run": ("replank.chain.plan", "RunConfig"),
    "Prediction": ("replank.tasks.answers", "Prediction"),
    "ReplankError": ("replank.system.errors", "ReplankError"),
    "Search": ("replank.chain.search_plan", "SearchConfig"),
    "Serve": ("replank_serve.http.config", "ServeConfig"),
    "Stage": ("replank_compress.growing.schedule", "Stage"),
    "StaticInt8": ("replank_export.int8", "StaticInt8"),
    "Ranked": ("replank.tasks.answers", "Ranked"),
    "TaggedText": ("replank.tasks.answers", "TaggedText"),
    "Theseus": ("replank_compress.methods.theseus", "TheseusConfig"),
    "Trim": ("replank_compress.trim", "TrimConfig"),
    "Triton": ("replank_export.triton", "TritonConfig"),
    "Truncate": ("replank_compress.methods.truncate", "TruncateConfig"),
}
__all__ = [
    "Artifact",
    "Attack",
    "AttackResult",
    "AutoInt8",
    "BatchConfig",
    "Benchmark",
    "BenchmarkConfig",
    "Budget",
    "Comparison",
    "Data",
    "DynamicInt8",
    "Export",
    "Finetune",
    "IntegerFinetune",
    "IntegerInt8",
    "Kd",
    "KnowledgeGraph",
    "Loadtest",
    "Mining",
    "Model",
    "Pkd",
    "Prediction",
    "Pretrain",
    "Ranked",
    "ReplankError",
    "Run",
    "Search",
    "Serve",
    "Stage",
    "StaticInt8",
    "TaggedText",
    "Theseus",
    "Trim",
    "Triton",
    "Truncate",
    "__version__",
    "attack",
    "benchmark",
    "compare",
    "compress",
    "doctor",
    "evaluate",
    "export",
    "finetune",
    "load",
    "loadtest",
    "mine",
    "open_model",
    "predict_file",
    "pretrain",
    "push_to_hub",
    "quantize",
    "quickstart",
    "relate",
    "report",
    "run",
    "run_file",
    "search",
    "serve",
    "trim",
    "triton",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("replank")
    if name not in _PLACES:
        raise AttributeError(f"module 'replank' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
