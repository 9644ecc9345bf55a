"""A small DeBERTa with a tokenizer of its own and random weights, to be trained where no published one is at hand.

    python benchmarks/small_deberta.py DATA/sst2_glue/train.tsv OUT
    replank finetune OUT deberta --dataset sst2 --data DATA/sst2_glue --epochs 1 --batch-size 64 \
        --learning-rate 5e-4
    python benchmarks/int8_quality.py --data DATA --encoder deberta sst2_sent=deberta

6 layers, 256 wide, with DeBERTa v3's kind of attention and its tokenizer's class: pieces by a unigram model, and no
segment types.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification, DebertaV2Tokenizer

from replank.data.tables import read_table

_UNKNOWN = "[UNK]"
_SPECIAL = ("[PAD]", "[CLS]", "[SEP]", _UNKNOWN, "[MASK]")
_VOCABULARY = 8000


@click.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--column", default="sentence", show_default=True, help="Of the texts that pieces are learned from.")
def main(table: Path, out: Path, column: str) -> None:
    """Write the folder of an encoder that has learned nothing yet."""
    pieces = unigram_pieces([str(text) for text in read_table(table).column(column)])
    torch.manual_seed(0)
    config = DebertaV2Config(  # type: ignore[call-arg]
        vocab_size=len(pieces),
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=512,
        type_vocab_size=0,
        relative_attention=True,
        position_buckets=64,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        position_biased_input=False,
        pad_token_id=0,
    )
    DebertaV2ForSequenceClassification(config).save_pretrained(out)
    inputs = ["input_ids", "attention_mask"]
    made = DebertaV2Tokenizer(vocab=pieces, unk_id=_SPECIAL.index(_UNKNOWN), model_input_names=inputs)
    made.save_pretrained(out)


def unigram_pieces(texts: list[str]) -> list[tuple[str, float]]:
    """The pieces of a unigram model in which a space is a letter of its own, each with its log-probability."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=_VOCABULARY, special_tokens=list(_SPECIAL), unk_token=_UNKNOWN, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return [(piece, score) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]]


if __name__ == "__main__":
    main()
