"""The stage `pretrain`: from a configuration and texts to an encoder, by masked language modelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from replank.data.config import DataConfig
from replank.data.examples import Dataset
from replank.models.artifact import Artifact, new_artifact, require_free, seal
from replank.models.encoders import encoder_of
from replank.models.manifest import Manifest
from replank.models.provenance import MadeBy, Stopwatch, config_json
from replank.models.source import open_source
from replank.resampling.answers_file import evaluate_into
from replank.runtime.load import load_model
from replank.system.environment import versions
from replank.system.extras import require
from replank.system.json_files import read_json
from replank.system.locks import exclusive
from replank.system.processes import is_first_process
from replank.system.progress import progress
from replank.system.quiet import quiet_transformers
from replank.text.tokenizer_files import save_tokenizer
from replank_compress.growing.blocks import TokenStream
from replank_compress.growing.config import PretrainConfig
from replank_compress.growing.encoder_files import block_encoder, encoder_files, whole_text_encoder
from replank_compress.growing.pooling import require_poolable
from replank_compress.growing.run import (
    joined_curve,
    masked_lm_model,
    pretraining_facts,
    shape_of,
    stage_folder,
    train_stages,
)
from replank_compress.growing.schedule import plans, require_copyable, require_room
from replank_compress.growing.stage import Corpus
from replank_compress.growing.texts import load_texts
from replank_compress.saving import work_folder, write_curve
from replank_compress.training.checkpoints import clear
from replank_compress.training.processes import wait_for_all


def pretrain(
    encoder: str | Path, out: Path, config: PretrainConfig, data_config: DataConfig, *, force: bool = False
) -> Artifact:
    """Pretrain an encoder from random weights, growing it by the stages of its schedule.

    :param encoder: a configuration's file, a folder with one, or a hub model; its weights are not used.
    :param data_config: texts, see :func:`load_texts`.
    :raises ReplankError: the encoder cannot be made; ``out`` is then as it was.
    """
    stopwatch = Stopwatch()
    require("matplotlib")  # now, not after hours of training
    require_free(out, force=force)
    data = load_texts(data_config)
    work = work_folder(out)
    with encoder_files(encoder, config.tokenizer) as folder, exclusive(work):
        require_free(out, force=force)  # once more: another run may have ended by now
        settings = read_json(folder / "config.json")
        whole = masked_lm_model(settings)
        length = min(data.task.max_length, encoder_of(settings, str(encoder)).position_limit(whole.config.to_dict()))
        stages = plans(config.stages, shape_of(whole), length, config.batch_size)
        require_copyable(encoder_of(settings, str(encoder)), stages)
        if any(plan.stage.pooling > 1 for plan in stages):
            require_poolable(whole)
        fingerprint = {
            "stage": "pretrain",
            "encoder": whole.config.to_dict(),
            "config": config_json(config),
            "data": data.digests,
            "length": length,
            "versions": {name: version for name, version in versions().items() if not name.startswith("onnx")},
        }
        corpus = _corpus(data, folder, length)
        require_room(stages, len(corpus.train.begin))
        try:
            model, results = train_stages(settings, stages, corpus, config, work=work, fingerprint=fingerprint)
        finally:
            _remove_if_empty(work)
        if is_first_process():
            facts = pretraining_facts(data.digests, stages, results)
            made_by = MadeBy.now("pretrain", config, facts, stopwatch)
            _write(model, folder, data, made_by, joined_curve(results), out, force=force)
            _clear(work, len(stages))
        wait_for_all()
    return Artifact.open(out)


def _corpus(data: Dataset, folder: Path, length: int) -> Corpus:
    whole = whole_text_encoder(folder)
    train, dev = (TokenStream.of(data.split(split).first, whole) for split in ("train", "dev"))
    return Corpus(train, dev, block_encoder(folder, length), data.task.kind)


def _write(
    model: Any, tokenizer: Path, data: Dataset, made_by: MadeBy, curve: list[dict[str, Any]], out: Path, *, force: bool
) -> None:
    held_out = data.held_out
    with new_artifact(out, force=force) as folder:
        with quiet_transformers():
            model.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)
        loaded = load_model(open_source(folder), task=data.task, device="auto")
        with progress(f"evaluate on {held_out}", len(data.split(held_out))) as advance:
            quality = evaluate_into(folder, loaded, data, held_out, progress=advance)
        write_curve(folder, "pretrain", data.task, curve)
        seal(
            folder,
            Manifest(
                kind="torch",
                precision="fp32",
                task=data.task,
                made_by=made_by,
                parent=None,
                quality=quality,
                verification=None,
            ),
        )


def _clear(work: Path, stages: int) -> None:
    """Delete the checkpoints of all stages, and the folder if nothing else is in it."""
    for number in range(1, stages + 1):
        clear(stage_folder(work, number))
    _remove_if_empty(work)


def _remove_if_empty(work: Path) -> None:
    if is_first_process() and work.is_dir() and not work.is_symlink() and not any(work.iterdir()):
        work.rmdir()
