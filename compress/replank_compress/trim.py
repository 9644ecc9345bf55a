"""The stage `trim`: an encoder whose vocabulary holds what some texts need, and no more."""

from __future__ import annotations

import copy
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from replank.data.text_lines import read_texts
from replank.models.artifact import Artifact, new_artifact, require_free, seal
from replank.models.facts import TrimFacts
from replank.models.manifest import Manifest
from replank.models.provenance import MadeBy, Stopwatch
from replank.models.sentence_transformers import copy_modules
from replank.models.source import Source, open_source, require_kind
from replank.runtime.torch_model import load_torch_model
from replank.system.errors import FieldError, QualityGateError, UsageError
from replank.system.json_files import read_json
from replank.system.quiet import quiet_transformers
from replank.system.settings import setting
from replank.tasks.kinds import KINDS
from replank.text.tokenization import TextEncoder
from replank.text.tokenizer_files import save_tokenizer
from replank.text.tokenizer_reading import TOKENIZER
from replank.text.tokenizer_settings import CONFIG
from replank.text.trimming import Vocabulary, most_frequent
from replank_compress.layers import encoder_of_model

_TOLERANCE = 1e-6
# Types of less than fp32, by safetensors' names.
_NARROW = {"F16": torch.float16, "BF16": torch.bfloat16}
# Of the texts that need no dropped token, those whose answers are compared.
_COMPARED_TEXTS = 32


@dataclass(frozen=True)
class TrimConfig:
    """What a vocabulary is to hold.

    :param texts: a file with a text, or a pair with a tab between, a line; as large a sample as there is.
    :param coverage: the part of all tokens of these texts that stay tokens, more than 0 and at most 1; the rest, the
        rarest, are cut into smaller ones.
    """

    texts: str | Path
    coverage: float = setting(1.0, "Part of the texts' tokens that stay tokens; the rarest are cut into smaller ones.")

    def __post_init__(self) -> None:
        if not 0 < self.coverage <= 1:
            raise FieldError("coverage", self.coverage, "more than 0 and at most 1")


def trim(source: Source, out: Path, config: TrimConfig, *, force: bool = False) -> Artifact:
    """Trim an encoder's vocabulary, and compare its answers with those before.

    Special and added tokens stay, and single characters or bytes, so that any text can still be read.

    :param source: a torch model, with or without a head.
    :raises UsageError: nothing would go.
    :raises QualityGateError: a text that needs no token that went gets other tokens or another answer.
    """
    stopwatch = Stopwatch()
    require_kind(source, "torch", "trim")
    require_free(out, force=force, source=source.folder)
    file = Path(config.texts)
    texts = read_texts(file)
    with new_artifact(out, force=force) as folder:
        # As the tokenizer's files are understood, whatever they are; it is then written anew.
        (folder / "config.json").write_bytes((source.folder / "config.json").read_bytes())
        copy_modules(source.folder, folder)
        save_tokenizer(source.folder, folder)
        before = _tokens(source.text_encoder(source.task), texts)
        vocabulary = Vocabulary(read_json(folder / TOKENIZER))
        kept = _kept(source, vocabulary, before, config.coverage)
        if len(kept) == len(vocabulary.tokens):
            raise UsageError(
                f"{config.texts} needs every token of {source.name}, or none that could go", hint=_hint(source, kept)
            )
        new_ids = {old: new for new, old in enumerate(kept)}
        kind = source.task.kind if source.head else KINDS["feature-extraction"]
        model = load_torch_model(source, kind).eval()
        with quiet_transformers():
            # In fp32, what came from 16 bits would be a larger file than before.
            trimmed_model(model, kept).to(_stored_type(source)).save_pretrained(folder)
        _write_tokenizer(folder, vocabulary.without_others(kept), new_ids)
        written = open_source(folder)
        trimmed = load_torch_model(written, kind).eval()
        after = _tokens(written.text_encoder(source.task), texts)
        untouched = [index for index, ids in enumerate(before) if new_ids.keys() >= set(ids)]
        _require_equal(model, trimmed, [(before[index], after[index]) for index in untouched], new_ids)
        unknown = _unknown(vocabulary)
        facts = TrimFacts(
            texts=hashlib.sha256(file.read_bytes()).hexdigest(),
            tokens=(len(vocabulary.tokens), len(kept)),
            rows=len(texts),
            changed_rows=len(texts) - len(untouched),
            unknown=(_rate(before, unknown), _rate(after, None if unknown is None else new_ids[unknown])),
            tokens_per_text=(_mean_length(before), _mean_length(after)),
            bytes=(source.weights.bytes, written.weights.bytes),
        )
        seal(
            folder,
            Manifest(
                kind="torch",
                precision="fp32",
                task=source.task,
                made_by=MadeBy.now("trim", config, facts, stopwatch),
                parent=source.as_parent(),
                quality=None,
                verification=None,
            ),
        )
    return Artifact.open(out)


def _stored_type(source: Source) -> torch.dtype:
    """The type of floating-point weights that a source's files have throughout; fp32 of files with several."""
    stored = {tensor.dtype for tensor in source.weights.tensors().values() if tensor.dtype.lstrip("B").startswith("F")}
    return _NARROW.get(stored.pop(), torch.float32) if len(stored) == 1 else torch.float32


def trimmed_model(model: Any, kept: Sequence[int]) -> Any:
    """A model whose tables of tokens have these rows alone, in their order.

    :param model: a ``PreTrainedModel``; left as it is.
    """
    config, rows = copy.deepcopy(model.config), torch.tensor(kept)
    new_ids = {old: new for new, old in enumerate(kept)}
    for key, value in config.to_dict().items():
        if key.endswith("_token_id"):
            one = new_ids.get(value) if type(value) is int else value
            setattr(config, key, [new_ids[i] for i in value if i in new_ids] if isinstance(value, list) else one)
    config.vocab_size = len(kept)
    small = type(model)(config)
    encoder, size = encoder_of_model(model), model.get_input_embeddings().weight.shape[0]
    over_tokens = {f"{encoder.words}.weight"} | _over_tokens(model)
    state = {
        name: tensor[rows] if tensor.shape[:1] == (size,) and name.endswith(tuple(over_tokens)) else tensor
        for name, tensor in model.state_dict().items()
    }
    small.load_state_dict(state, strict=True)
    return small.eval()


def _over_tokens(model: Any) -> set[str]:
    """Names of a masked language model's weights with a row for each token."""
    outputs = model.get_output_embeddings()
    if outputs is None:
        return set()
    prefixes = {name.rpartition(".")[0] for name, module in model.named_modules() if module is outputs}
    # BERT keeps the bias beside the matrix too.
    around = {prefix.rpartition(".")[0] for prefix in prefixes}
    return {
        name
        for name in model.state_dict()
        if any(name.startswith(prefix) for prefix in prefixes | around) and name.endswith(("decoder.weight", "bias"))
    } | {f"{name}.weight" for name, module in model.named_modules() if module is outputs}


def _kept(source: Source, vocabulary: Vocabulary, rows: Sequence[Sequence[int]], coverage: float) -> list[int]:
    kept = vocabulary.required() | most_frequent(Counter(index for row in rows for index in row), coverage)
    kept |= {
        value
        for key, value in source.config.items()
        if key.endswith("_token_id") and type(value) is int and value in vocabulary.tokens
    }
    if source.encoder.first_position is None:
        # Positions are counted from the padding's id, which therefore has to stay the same.
        kept |= {index for index in vocabulary.tokens if index <= (source.config.get("pad_token_id") or 0)}
    return sorted(vocabulary.with_parts(kept & vocabulary.tokens.keys()))


def _hint(source: Source, kept: Sequence[int]) -> str:
    """What would help where no token goes."""
    padding = source.config.get("pad_token_id") or 0
    if source.encoder.first_position is None and padding >= len(kept) // 2:
        return f"pad_token_id is {padding}, from which positions are counted: no token below it can go"
    return "a lower `coverage`"


def _write_tokenizer(folder: Path, content: Mapping[str, Any], new_ids: Mapping[int, int]) -> None:
    (folder / TOKENIZER).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    settings = read_json(folder / CONFIG)
    if decoder := settings.get("added_tokens_decoder"):
        settings["added_tokens_decoder"] = {
            str(new_ids[int(index)]): entry for index, entry in decoder.items() if int(index) in new_ids
        }
    (folder / CONFIG).write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _tokens(text_encoder: TextEncoder, texts: Sequence[tuple[str, ...]]) -> list[list[int]]:
    first, *second = zip(*texts, strict=True)
    return [list(row.ids) for row in text_encoder.tokenize(first, second[0] if second else None)]


def _require_equal(
    model: Any, trimmed: Any, pairs: Sequence[tuple[list[int], list[int]]], new_ids: Mapping[int, int]
) -> None:
    """Refuse a vocabulary that cuts texts of kept tokens otherwise, or a model that answers them otherwise."""
    for old, new in pairs:
        if [new_ids[index] for index in old] != new:
            raise QualityGateError("a text of kept tokens is cut otherwise without the others")
    worst = 0.0
    with torch.inference_mode():
        for old, new in pairs[:_COMPARED_TEXTS]:
            ours, theirs = (each(torch.tensor([ids]))[0] for each, ids in ((model, old), (trimmed, new)))
            if ours.shape[-1] == model.config.vocab_size:
                ours = ours[..., list(new_ids)]
            worst = max(worst, float((ours - theirs).abs().max() / ours.abs().max().clamp_min(1)))
    if not worst <= _TOLERANCE:
        raise QualityGateError(f"answers to texts of kept tokens differ by {worst:.1e}; the tolerance is {_TOLERANCE}")


def _unknown(vocabulary: Vocabulary) -> int | None:
    model = vocabulary.content["model"]
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    return next((index for index, token in vocabulary.tokens.items() if token == model.get("unk_token")), None)


def _rate(rows: Sequence[Sequence[int]], unknown: int | None) -> float:
    return float(np.mean([index == unknown for row in rows for index in row]))


def _mean_length(rows: Sequence[Sequence[int]]) -> float:
    return float(np.mean([len(row) for row in rows]))
