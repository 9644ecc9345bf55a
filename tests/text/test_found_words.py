"""Words of raw text: where they end, whatever the tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel, Metaspace
from tokenizers.processors import TemplateProcessing

from replank.text.tokenization import TextEncoder, Words
from replank.text.word_breaks import find_words
from replank.text.words import first_tokens, join_words, spans_of


@pytest.mark.parametrize(
    "text",
    [
        # Words with | between them where no space is: punctuation around a word, and brackets.
        "ada writes to (|london|)|.",
        "grace lives in paris|, rome|.",
        "“|Rome|”|…|!|? ‹|a|› [|b|] «|c|»|;",
        "paris|,|rome paris|/|rome paris|&|rome paris|–|rome rome|;|oslo london|.|It",
        "wait ... no -- yes",
        # Marks inside words.
        "U.S. U.S.|, e.g. a.m.|; N.J.|) Ph.D|.",
        "J. Smith plan B|. j|. smith",
        "don't O'Brien rock'n'roll o’clock n't",
        "john|'s john|’s we|'ve I|'m 's 're James|' |'|tis",
        "l'|Italie L’|Oréal dell'|Umbria qu'|il lorsqu'|elle aujourd'hui quelqu'un y'all",
        "3.5 10,000.50 12:30 1/2 1996-08-22 |$|5 50|% |-|5 5|.",
        "e-mail Jean-Paul London-based -|a snake_case _|a|_",
        "AT&T R&D H&M john@x.org x.org |@|ada |#|tag C|+|+ a|=|b",
        "http://x.org/a?b=c&d=e#f (|https://x.org/|)|. ftp://a.b|, see|:|http://x.org|!",
        # Scripts.
        "我|在|北|京|看|书|。 2024|年|Apple|公|司",
        "東|京|タワー|へ|行|く ジョン|・|スミス カ゚キ",
        "서울에서 Google은",
        "กรุงเทพ|, ฉันอยู่ในกรุงเทพ မြန်မာ|။ བོད|་ཡིག".replace("|་", "|་|"),
        "كتبت آدا إلى (|لندن|)|، وباريس|؟ مُحَمَّد",
        'צה"ל ארה״ב |"|לונדון|"|.',
        "दिल्ली|। हिन्दी क्‍ष",
        "Ёлка|, Μαρία|· Նոյ|։ ኢትዮጵያ|፡|አዲስ col·lega",
        # Parts of one visible character.
        "cafe\u0301s|, ना a\u0308|!",
        "london|😀|😀 👍🏽 👨‍👩‍👧 🇫🇷 1️⃣ ❤️|a",
        "soft\u00adhyphen",
    ],
)
def test_words_end_where_corpora_end_them(text: str) -> None:
    expected = text.replace("|", " ").split()
    raw = text.replace("|", "")
    assert [raw[start:end] for start, end in find_words(raw)] == expected


PIECES = "( ) ' . , ! - london john u s S don t 😀"


def word_piece(max_length: int = 512, truncation_side: str = "right") -> TextEncoder:
    """BERT's sort: punctuation and ideographs apart, accents dropped."""
    pieces = [*PIECES.split(), "[UNK]", "[CLS]", "[SEP]", "writes", "cafes", "##s", "ฉน", "##อย", "##ใน", "##กรงเทพ"]
    tokenizer = Tokenizer(WordPiece({piece: index for index, piece in enumerate(pieces)}))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return text_encoder(tokenizer, "[CLS]", "[SEP]", max_length, truncation_side)


def sentence_piece() -> TextEncoder:
    """XLM-RoBERTa's sort: a token may begin with the space before it, and hold several marks."""
    spaced = (f"▁{piece}" for piece in ("", "john", "london", "ฉัน"))
    pieces = ["<unk>", "<s>", "</s>", *PIECES.split(), *spaced, ").", "北京", "อยู่", "ใน", "กรุงเทพ"]
    tokenizer = Tokenizer(Unigram([(piece, -len(pieces) / (1 + len(piece))) for piece in pieces], unk_id=0))
    tokenizer.pre_tokenizer = Metaspace()
    return text_encoder(tokenizer, "<s>", "</s>")


def bytes_only() -> TextEncoder:
    """RoBERTa's sort without any merge: a token for each byte, and so several for one character."""
    alphabet = {byte: index for index, byte in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Tokenizer(BPE(alphabet | {"<s>": 256, "</s>": 257}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    return text_encoder(tokenizer, "<s>", "</s>")


def text_encoder(
    tokenizer: Tokenizer, begin: str, end: str, max_length: int = 512, truncation_side: str = "right"
) -> TextEncoder:
    ids = [(token, tokenizer.token_to_id(token)) for token in (begin, end)]
    tokenizer.post_processor = TemplateProcessing(single=f"{begin} $A {end}", special_tokens=ids)
    return TextEncoder(
        tokenizer, pad_id=0, max_length=max_length, token_type_ids=False, truncation_side=truncation_side
    )


ENCODERS = {"WordPiece": word_piece(), "SentencePiece": sentence_piece(), "bytes": bytes_only()}
every_tokenizer = pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)


def found(encoder: TextEncoder, text: str) -> list[str]:
    (tokens,) = encoder.tokenize([text], words="found")
    return [text[start:end] for start, end in tokens.spans]


@every_tokenizer
def test_every_tokenizer_tells_words_from_punctuation(encoder: TextEncoder) -> None:
    words = found(encoder, "  london,\tjohn's\r\ncafe\u0301s\u00a0(U.S.) don't!")
    assert words == ["london", ",", "john", "'s", "cafe\u0301s", "(", "U.S.", ")", "don't", "!"]


def test_words_are_read_as_the_model_has_learnt_them() -> None:
    """With a space before each, wherever the text has none."""
    encoder = ENCODERS["SentencePiece"]
    text = "(london)\u200f.我在北京"
    (raw,), (given,) = (
        encoder.tokenize([text], words="found"),
        encoder.tokenize(["( london ) . 我 在 北 京"], words="given"),
    )
    assert (raw.ids, raw.starts) == (given.ids, given.starts)
    assert [text[start:end] for start, end in raw.spans] == ["(", "london", ")", ".", *"我在北京"]


def test_where_no_spaces_are_a_token_is_a_word() -> None:
    text = "(ฉันอยู่ในกรุงเทพ)"
    assert found(ENCODERS["WordPiece"], text) == ["(", "ฉัน", "อยู่", "ใน", "กรุงเทพ", ")"]
    assert found(ENCODERS["SentencePiece"], text) == ["(", "ฉัน", "อยู่", "ใน", "กรุงเทพ", ")"]
    (tokens,) = ENCODERS["WordPiece"].tokenize([text], words="found")
    assert tokens.starts == (1, 2, 3, 4, 5, 6)
    # A token for each byte: each character is one word with its marks.
    assert found(ENCODERS["bytes"], "อยู่") == ["อ", "ยู่"]


def test_what_the_tokenizer_drops_is_a_word_without_token() -> None:
    (tokens,) = ENCODERS["WordPiece"].tokenize(["london \x00 \ud800 john\ud800 \u200b"], words="found")
    assert tokens.spans == ((0, 6), (7, 8), (9, 10), (11, 15), (15, 16))
    assert tokens.starts == (1, -1, -1, 2, -1)


@pytest.mark.parametrize("text", ["", " ", "\n\t\u3000\u00a0", "\u200b\ufeff\u200f"])
@every_tokenizer
def test_space_is_no_word(encoder: TextEncoder, text: str) -> None:
    assert encoder.tokenize([text], words="found")[0].spans == ()


def test_truncated_words_are_told_apart_too() -> None:
    (tokens,) = word_piece(max_length=5).tokenize(["(london) writes, john!"], words="found")
    assert len(tokens) == 5
    assert tokens.spans == ((0, 1), (1, 7), (7, 8), (9, 15), (15, 16), (17, 21), (21, 22))
    assert tokens.starts == (1, 2, 3, -1, -1, -1, -1)


@pytest.mark.parametrize("mode", ["found", "given"])
def test_words_are_truncated_on_either_side(mode: Words) -> None:
    """A word whose first token was cut off has no label, though its second be there."""
    text = "london johns ( johns u"
    (right,) = word_piece(5).tokenize([text], words=mode)
    (left,) = word_piece(7, "left").tokenize([text], words=mode)
    assert right.starts == (1, 2, -1, -1, -1)
    assert left.starts == (-1, -1, 2, 3, 5)


def test_truncated_tokens_tell_words_apart_on_either_side() -> None:
    text = "ฉันอยู่ในกรุงเทพ john"
    for side, starts in (("left", (-1, -1, 1, 2, 3)), ("right", (1, 2, 3, -1, -1))):
        (tokens,) = word_piece(5, side).tokenize([text], words="found")
        assert [text[start:end] for start, end in tokens.spans] == ["ฉัน", "อยู่", "ใน", "กรุงเทพ", "john"]
        assert tokens.starts == starts


ODD = "ab.,'-& \n\u0301\u200d\ud800我カ😀🇫é_/:@1\"ק\u200b\x00"
WHOLE = "london U.S. don't 's n't 3.5 e-mail AT&T john@x.org http://x.org/a O'Brien 10,000 1/2 i.e. , ... ( “ 😀"
WHOLE += " ÿ e\u0301 我 кот لندن ジョン"


@every_tokenizer
@given(st.lists(st.sampled_from(WHOLE.split()), min_size=1, max_size=12))
def test_words_that_are_left_whole_are_read_as_in_training(encoder: TextEncoder, words: Sequence[str]) -> None:
    text = join_words(words)
    (as_raw,), (as_given,) = (encoder.tokenize([text], words=mode) for mode in ("found", "given"))
    assert as_raw.ids == as_given.ids
    assert as_raw.starts == as_given.starts
    assert as_raw.spans == spans_of(text)
    assert [text[start:end] for start, end in as_raw.spans] == list(words)


@every_tokenizer
@given(
    st.text(st.sampled_from("ab.,'-& \n\u0301\u200d\ud800我カ😀🇫é_/:@1\"ק\u200b\x00") | st.characters(), max_size=30)
)
@example("a\u0301\u0301'\u0301s")
@example("\u0301.'s")
def test_words_lie_one_after_the_other_in_any_text(encoder: TextEncoder, text: str) -> None:
    (tokens,) = encoder.tokenize([text], words="found")
    ends = [0, *(place for span in tokens.spans for place in span)]
    assert ends == sorted(ends)
    assert ends[-1] <= len(text)
    assert all(text[start:end].split() == [text[start:end]] for start, end in tokens.spans)
    positions = [start for start in tokens.starts if start >= 0]
    assert positions == sorted(set(positions))
    assert set(positions) <= set(range(1, len(tokens) - 1))
    # Each character has its word.
    covered = sum(end - start for start, end in tokens.spans)
    hidden = sum(text.count(mark) for mark in "\u200b\u200e\u200f\u061c\ufeff\u2066\u2067\u2068\u2069")
    hidden += sum(text.count(chr(mark)) for mark in range(0x202A, 0x202F))
    assert covered == sum(not character.isspace() for character in text) - hidden


def test_given_words_have_their_places() -> None:
    assert spans_of(join_words(["New York", "", "is"])) == ((0, 8), (9, 9), (10, 12))
    assert first_tokens("a b", [(0, 0), (0, 1), (1, 3)]) == (1, 2)
