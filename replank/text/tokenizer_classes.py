"""The tokenizer classes of transformers 5: what each makes of a folder's files, one row each.

Most classes take little more than the vocabulary from ``tokenizer.json``; what they do to a text follows from
``tokenizer_config.json`` and from their own defaults.
https://github.com/huggingface/transformers, ``models/*/tokenization_*.py``
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors

from replank.text.tokenizer_settings import Settings, text_of


@dataclass(frozen=True)
class Given:
    """What a class finds in a folder.

    :param settings: see :func:`read_settings`, with the class's own special tokens where they name none.
    :param content: of ``tokenizer.json``.
    :param tokenizer: made of ``tokenizer.json`` alone.
    """

    settings: Settings
    content: Mapping[str, Any]
    tokenizer: Tokenizer

    def token(self, name: str) -> tuple[str, int]:
        """The text and the id of a special token.

        :raises ValueError: there is none.
        """
        text = text_of(self.settings.get(name))
        index = None if text is None else self.tokenizer.token_to_id(text)
        if text is None or index is None:
            raise ValueError(f"there is no {name}")
        return text, index

    def setting(self, name: str, default: Any) -> Any:
        """A setting, or its default in the class."""
        return self.settings.get(name, default)


@dataclass(frozen=True)
class Parts:
    """A tokenizer without its vocabulary.

    :param model: as in ``tokenizer.json``; ``None`` for what is false, empty or absent there.
    """

    model: Mapping[str, Any]
    normalizer: Any
    pre_tokenizer: Any
    post_processor: Any


@dataclass(frozen=True)
class TokenizerClass:
    """A tokenizer class of transformers.

    :param parts: what it makes; ``None`` if it takes ``tokenizer.json`` as it is. Raises TypeError or ValueError for
        settings that it cannot use.
    :param tokens: its special tokens by default.
    :param nameless_tokens: others that it has by default.
    :param token_type_ids: whether it gives them by default.
    """

    parts: Callable[[Given], Parts] | None
    tokens: Mapping[str, str]
    nameless_tokens: tuple[str, ...] = ()
    token_type_ids: bool = False


def class_name(settings: Settings, config: Mapping[str, Any]) -> str:
    """The class that transformers takes for a folder, without the ending ``Fast``; empty if the files do not tell.

    :param config: the model's ``config.json``.
    """
    registered = _OF_MODEL_TYPE.get(str(config.get("model_type")), "")
    named = settings.get("tokenizer_class") or config.get("tokenizer_class") or registered
    return registered if registered == _AS_WRITTEN else str(named).removesuffix("Fast")


def _bert(given: Given) -> Parts:
    cls, sep = given.token("cls_token"), given.token("sep_token")
    return Parts(
        _word_piece(given), _bert_normalizer(given), pre_tokenizers.BertPreTokenizer(), _bert_template(cls, sep)
    )


def _mpnet(given: Given) -> Parts:
    cls, sep = given.token("cls_token"), given.token("sep_token")
    post_processor = processors.RobertaProcessing(sep, cls, trim_offsets=True, add_prefix_space=False)
    return Parts(_word_piece(given), _bert_normalizer(given), pre_tokenizers.BertPreTokenizer(), post_processor)


def _roberta(given: Given) -> Parts:
    cls, sep = given.token("cls_token"), given.token("sep_token")
    space, trim = given.setting("add_prefix_space", False), given.setting("trim_offsets", True)
    post_processor = processors.RobertaProcessing(sep, cls, trim_offsets=trim, add_prefix_space=space)
    return Parts(_BYTE_PAIRS, None, pre_tokenizers.ByteLevel(add_prefix_space=space), post_processor)


def _deberta(given: Given) -> Parts:
    cls, sep = given.token("cls_token"), given.token("sep_token")
    pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=given.setting("add_prefix_space", False))
    return Parts(_BYTE_PAIRS, None, pre_tokenizer, _roberta_template(cls, sep))


def _xlm_roberta(given: Given) -> Parts:
    return _sentence_pieces(given, unk_id=3)


def _camembert(given: Given) -> Parts:
    unk, _ = given.token("unk_token")
    places = (index for index, (text, _) in enumerate(given.content["model"]["vocab"]) if text == unk)
    return _sentence_pieces(given, unk_id=next(places, 0))


def _deberta_v2(given: Given) -> Parts:
    cls, sep, (unk, _) = given.token("cls_token"), given.token("sep_token"), given.token("unk_token")
    vocabulary = given.content["model"]["vocab"]
    unk_id = vocabulary.index([unk, 0.0]) if [unk, 0.0] in vocabulary else given.setting("unk_id", 1)
    lowercase = [normalizers.Lowercase()] if given.setting("do_lower_case", False) else []
    spaces = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
    normalizer = [*lowercase, spaces, normalizers.NFC(), normalizers.Strip(left=False, right=True)]
    punctuation = [pre_tokenizers.Punctuation("isolated")] if given.setting("split_by_punct", False) else []
    scheme = "always" if given.setting("add_prefix_space", True) else "first"
    pre_tokenizer = [*punctuation, pre_tokenizers.Metaspace(_SPACE, scheme)]
    return Parts(
        _unigram(unk_id),
        normalizers.Sequence(normalizer),
        pre_tokenizers.Sequence(pre_tokenizer),
        _bert_template(cls, sep),
    )


def _sentence_pieces(given: Given, *, unk_id: int) -> Parts:
    bos, eos = given.token("bos_token"), given.token("eos_token")
    scheme = "always" if given.setting("add_prefix_space", True) else "never"
    pre_tokenizer = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(_SPACE, scheme)]
    normalizer = _precompiled(given.content.get("normalizer") or {})
    return Parts(_unigram(unk_id), normalizer, pre_tokenizers.Sequence(pre_tokenizer), _roberta_template(bos, eos))


def _precompiled(written: Mapping[str, Any]) -> Any:
    """SentencePiece's table of characters, the only part of a normalizer that is kept."""
    for part in written.get("normalizers", [written]):
        if part.get("type") == "Precompiled":
            return normalizers.Precompiled(base64.b64decode(part["precompiled_charsmap"]))
    return None


def _word_piece(given: Given) -> dict[str, Any]:
    unk, _ = given.token("unk_token")
    return {"type": "WordPiece", "unk_token": unk, "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}


def _unigram(unk_id: int) -> dict[str, Any]:
    return {"type": "Unigram", "unk_id": unk_id, "byte_fallback": None}


def _bert_normalizer(given: Given) -> Any:
    return normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=given.setting("tokenize_chinese_chars", True),
        strip_accents=given.setting("strip_accents", None),
        lowercase=given.setting("do_lower_case", True),
    )


def _bert_template(cls: tuple[str, int], sep: tuple[str, int]) -> Any:
    single = f"{cls[0]} $A {sep[0]}"
    return processors.TemplateProcessing(single, f"{single} $B:1 {sep[0]}:1", [cls, sep])


def _roberta_template(first: tuple[str, int], last: tuple[str, int]) -> Any:
    single = f"{first[0]} $A {last[0]}"
    return processors.TemplateProcessing(single, f"{single} {last[0]} $B {last[0]}", [first, last])


_SPACE = "▁"
_BYTE_PAIRS = {"type": "BPE"} | dict.fromkeys(
    (
        "dropout",
        "unk_token",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "fuse_unk",
        "byte_fallback",
        "ignore_merges",
    )
)
_AS_WRITTEN = "TokenizersBackend"
_BERT_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
_DEBERTA_TOKENS = _BERT_TOKENS | {"bos_token": "[CLS]", "eos_token": "[SEP]"}
_ROBERTA_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
CLASSES = {
    "BertTokenizer": TokenizerClass(_bert, _BERT_TOKENS, token_type_ids=True),
    "ElectraTokenizer": TokenizerClass(_bert, _BERT_TOKENS, token_type_ids=True),
    "DistilBertTokenizer": TokenizerClass(_bert, _BERT_TOKENS),
    "MPNetTokenizer": TokenizerClass(_mpnet, _ROBERTA_TOKENS | {"unk_token": "[UNK]"}),
    "RobertaTokenizer": TokenizerClass(_roberta, _ROBERTA_TOKENS),
    "XLMRobertaTokenizer": TokenizerClass(_xlm_roberta, _ROBERTA_TOKENS),
    "CamembertTokenizer": TokenizerClass(
        _camembert, _ROBERTA_TOKENS, nameless_tokens=("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED")
    ),
    "DebertaTokenizer": TokenizerClass(_deberta, _DEBERTA_TOKENS, token_type_ids=True),
    "DebertaV2Tokenizer": TokenizerClass(_deberta_v2, _DEBERTA_TOKENS, token_type_ids=True),
    # The same class by three names: that of today, that of transformers 4 (with the ending Fast), and its base.
    _AS_WRITTEN: TokenizerClass(None, {}),
    "PreTrainedTokenizer": TokenizerClass(None, {}),
}
# The classes that transformers takes for the architectures of replank if the files name none.
_OF_MODEL_TYPE = {
    "bert": "BertTokenizer",
    "electra": "BertTokenizer",
    "distilbert": "BertTokenizer",
    "ernie": "BertTokenizer",
    "megatron-bert": "BertTokenizer",
    "mpnet": "MPNetTokenizer",
    "roberta": "RobertaTokenizer",
    "roberta-prelayernorm": "RobertaTokenizer",
    "data2vec-text": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "xlm-roberta-xl": _AS_WRITTEN,
    "camembert": "CamembertTokenizer",
    "deberta": "DebertaTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
}
