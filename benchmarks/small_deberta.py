"""A small DeBERTa with a tokenizer of its own and random weights, to be trained where no published one is at hand.

    python benchmarks/small_deberta.py DATA/sst2_glue/train.tsv OUT
    replank finetune OUT deberta --dataset sst2 --data DATA/sst2_glue --epochs 2 --learning-rate 5e-4
    python benchmarks/int8_quality.py --data DATA --encoder deberta sst2_sent=deberta

6 layers, 256 wide, with DeBERTa v3's kind of attention and of tokenizer: pieces by a unigram model, no segment types.
"""

from __future__ import annotations

from pathlib import Path

import click
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification, PreTrainedTokenizerFast

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
    tokenizer = unigram([str(text) for text in read_table(table).column(column)])
    torch.manual_seed(0)
    config = DebertaV2Config(  # type: ignore[call-arg]
        vocab_size=tokenizer.get_vocab_size(),
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
    names = dict(zip(("pad_token", "cls_token", "sep_token", "unk_token", "mask_token"), _SPECIAL, strict=True))
    inputs = ["input_ids", "attention_mask"]
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **names)  # type: ignore[no-untyped-call]
    made.save_pretrained(out)


def unigram(texts: list[str]) -> Tokenizer:
    """A tokenizer as DeBERTa v3's: pieces of text in which a space is a letter of its own."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=_VOCABULARY, special_tokens=list(_SPECIAL), unk_token=_UNKNOWN, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer


if __name__ == "__main__":
    main()
