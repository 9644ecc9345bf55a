"""The words of raw text, as corpora cut them: ``paris,`` is two words and ``U.S.`` is one.

The rules are those of CoNLL-2003 and the Penn Treebank where the default word boundaries of Unicode (UAX #29) leave a
choice: punctuation and symbols are words of their own, except marks inside a word. They need no tokenizer.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# White space, and what is no part of a word: zero-width spaces and marks of direction.
_STRETCH = re.compile("[^\\s\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
# An address is one word, without the punctuation after it. No scheme is long, and no search may be.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{0,9}://\S*[\w/]", re.IGNORECASE)

_HAN = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Thai, Lao, Tibetan, Myanmar, Khmer, Tai, Hiragana, Bopomofo and Yi have no spaces between words either.
_UNSPACED = (
    "\u0e00-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u3041-\u309f\u3100-\u312f\u31a0-\u31bf\ua000-\ua4cf"
    "\ua9e0-\ua9ff\uaa60-\uaadf"
)
_KATAKANA = "\u30a0-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_SCRIPT = re.compile(f"(?P<han>[{_HAN}])|(?P<unspaced>[{_UNSPACED}])|(?P<katakana>[{_KATAKANA}])")
_HEBREW = re.compile("[\u05d0-\u05ea]")
# Letters and digits of one script, or any other character: words begin nowhere else.
_PIECE = re.compile(
    rf"(?:(?=\w)[{_UNSPACED}])+|(?:(?=\w)[{_KATAKANA}])+|[^\W_{_HAN}{_UNSPACED}{_KATAKANA}]+|.", re.DOTALL
)

_ZERO_WIDTH_JOINER = "\u200d"
# Soft hyphen, joiners, the tones of skin, and tags of flags; combining marks are told by their category.
_EXTENDS = re.compile("[\u00ad\u200c\u200d\u2060\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_FLAG_LETTER = re.compile("[\U0001f1e6-\U0001f1ff]")

_HYPHENS, _APOSTROPHES, _PERIODS = "-\u2010\u2011", "'\u2019\uff07", ".\u2024\uff0e"
# Catalan's dot, the hyphenation point, and the Hebrew marks of abbreviations.
_LETTER_MARKS = "\u00b7\u2027\u05f3\u05f4"
_NUMBER_MARKS = ",:/\u066b\u066c\u2044\uff0c\uff1a"
_ENGLISH_CLITICS = frozenset(("s", "d", "m", "re", "ve", "ll"))
_CLITIC = re.compile(r"[^\W\d_]{1,2}(?!\w)")
# French, Italian and Catalan elisions, as Lucene's filters have them.
_ELIDED = re.compile("[cdjlmnstv]|(?:jus|lors|puis|quoi)?qu|(?:d?a|co|de|ne|pe|su)[lg]l|gl|quell|un", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]{2}")
_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_NEXT_WORD = re.compile(r"\s+(\w)")


def find_words(text: str) -> list[tuple[int, int]]:
    """The begin and end of each word of a raw text, in order.

    Chinese characters are words, as BERT reads them and as taggers learn them; a run of another script without spaces
    between words is one, as only tokens can divide it.
    """
    words: list[tuple[int, int]] = []
    for stretch in _STRETCH.finditer(text):
        start, end = stretch.span()
        address = _ADDRESS.search(text, start, end)
        inside = range(address.start() + 1, address.end()) if address else range(0)
        for piece in _PIECE.finditer(text, start + 1, end):
            at = piece.start()
            if at not in inside and _breaks_before(text, at, start):
                words.append((start, at))
                start = at
        words.append((start, end))
    return words


def is_unspaced(character: str) -> bool:
    """Whether a character is of a script without spaces between words, such as Thai; Chinese ones are words alone."""
    return _script(character) == "unspaced"


@lru_cache(4096)
def extends(character: str) -> bool:
    """Whether a character is part of the one before it, as accents are."""
    return unicodedata.category(character)[0] == "M" or bool(_EXTENDS.match(character))


def _breaks_before(text: str, at: int, start: int) -> bool:
    """Whether a word ends and another begins at a character.

    Letters and digits belong together, and so do the parts of one visible character and the same punctuation repeated.
    What :func:`_joins` tells is inside a word.

    :param at: the character; between it and ``start`` there is no white space.
    :param start: the first character of the word that may end.
    """
    after = text[at]
    if extends(after) or text[at - 1] == _ZERO_WIDTH_JOINER:
        return False
    last = _base(text, at - 1, start)
    before = text[last]
    if _is_word(before) and _is_word(after):
        return _script(before) != _script(after) or _script(after) == "han"
    if _is_word(before):
        joined = _joins(text, at, start) and not _is_clitic(text, at)
        return not joined and not _is_abbreviation(text, at, start)
    if _is_word(after):
        joined = _joins(text, last, start) and not _is_elided(text, last, start)
        return not joined and not _is_clitic(text, last)
    if _FLAG_LETTER.match(before) and _FLAG_LETTER.match(after):
        return False
    return before != after or unicodedata.category(after)[0] != "P"


@lru_cache(4096)
def _script(character: str) -> str | None:
    """The script of a character, of those that tell words apart."""
    match = _SCRIPT.match(character)
    return match.lastgroup if match else None


def _base(text: str, at: int, start: int) -> int:
    """The character that those up to a place extend."""
    while at > start and extends(text[at]):
        at -= 1
    return at


@lru_cache(4096)
def _is_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


def _joins(text: str, mark: int, start: int) -> bool:
    """Whether a mark stands inside a word.

    ``e-mail``, ``snake_case``, ``john@x.org``, ``3.5``, ``10,000``, ``12:30``, ``1/2``, ``don't``, ``O'Brien``,
    ``AT&T``; but ``paris,rome``, ``paris/rome``, ``paris&rome``, and sentences without a space: ``london.It``.
    """
    if mark == start or mark + 1 == len(text):
        return False
    before = _base(text, mark - 1, start)
    left, right, sign = text[before], text[mark + 1], text[mark]
    if not (_is_word(left) and _is_word(right)) or _script(left) or _script(right):
        return False
    if sign in _HYPHENS or sign in "_@":
        return True
    if sign in _PERIODS:
        return not (right.isupper() and left.islower() and before > start and text[before - 1].islower())
    if sign == "&":
        return before == start or not text[mark + 2 : mark + 3].isalpha()
    if sign in _NUMBER_MARKS:
        return left.isdecimal() and right.isdecimal()
    if sign in _APOSTROPHES or sign in _LETTER_MARKS:
        return left.isalpha() and right.isalpha()
    return sign == '"' and bool(_HEBREW.match(left) and _HEBREW.match(right))


def _is_abbreviation(text: str, period: int, start: int) -> bool:
    """Whether a period ends an abbreviation of single letters, or an initial with a name after it."""
    if text[period] != ".":
        return False
    if period == start + 1 and text[start].isupper():
        name = _NEXT_WORD.match(text, period + 1)
        return name is not None and name[1].isupper()
    return _ABBREVIATION.fullmatch(text, start, period) is not None


def _is_clitic(text: str, apostrophe: int) -> bool:
    """Whether an apostrophe begins an English ending, which is a word: ``john`` ``'s``."""
    if text[apostrophe] not in _APOSTROPHES:
        return False
    ending = _CLITIC.match(text, apostrophe + 1)
    return ending is not None and ending[0].lower() in _ENGLISH_CLITICS


def _is_elided(text: str, apostrophe: int, start: int) -> bool:
    """Whether an apostrophe ends a Romance article or the like, which is a word: ``l'`` ``Italie``; not ``n't``."""
    is_elided = text[apostrophe] in _APOSTROPHES and _ELIDED.fullmatch(text, start, apostrophe)
    return bool(is_elided and _LETTERS.match(text, apostrophe + 1))
