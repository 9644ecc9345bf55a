"""The Python interface: one function for each command. A stage is imported when its function is called.

The examples take models from folders named encoder, predecessor, successor, onnx and int8, and ``data`` from

    data = replank.Data(dataset="sst2")
"""

from __future__ import annotations

from replank.api.answers import load as load
from replank.api.answers import loadtest as loadtest
from replank.api.answers import predict_file as predict_file
from replank.api.answers import relate as relate
from replank.api.answers import serve as serve
from replank.api.checks import benchmark as benchmark
from replank.api.checks import compare as compare
from replank.api.checks import doctor as doctor
from replank.api.checks import evaluate as evaluate
from replank.api.checks import report as report
from replank.api.checks import verify as verify
from replank.api.publishing import push_to_hub as push_to_hub
from replank.api.publishing import triton as triton
from replank.api.robustness import attack as attack
from replank.api.sources import open_model as open_model
from replank.api.stages import compress as compress
from replank.api.stages import export as export
from replank.api.stages import finetune as finetune
from replank.api.stages import mine as mine
from replank.api.stages import pretrain as pretrain
from replank.api.stages import quantize as quantize
from replank.api.stages import quickstart as quickstart
from replank.api.stages import run as run
from replank.api.stages import run_file as run_file
from replank.api.stages import search as search
from replank.api.stages import trim as trim
