"""Words of a text that can be replaced, with all else as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from replank.text.word_breaks import find_words


@dataclass(frozen=True)
class Words:
    """A text and the places of its words. A replacement makes another one, so that a trial never changes it.

    :param spans: begin and end of each word in the text, in order.
    """

    text: str
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: str) -> Words:
        """The words of raw text with a letter or a digit: punctuation is none."""
        return cls(text, tuple(span for span in find_words(text) if _is_spoken(text[slice(*span)])))

    @classmethod
    def at_spaces(cls, text: str) -> Words:
        """What single spaces divide, in lower case, as the released code has it."""
        lowered, spans, start = text.lower(), [], 0
        for word in lowered.split(" "):
            if word:
                spans.append((start, start + len(word)))
            start += len(word) + 1
        return cls(lowered, tuple(spans))

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> str:
        return self.text[slice(*self.spans[index])]

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))

    def text_with(self, index: int, word: str) -> str:
        """The text with another word in one place."""
        start, end = self.spans[index]
        return f"{self.text[:start]}{word}{self.text[end:]}"

    def with_word(self, index: int, word: str) -> Words:
        """Another word in one place; the number of words is the same, whatever it holds."""
        start, end = self.spans[index]
        shift = len(word) - (end - start)
        behind = tuple((begin + shift, stop + shift) for begin, stop in self.spans[index + 1 :])
        return replace(
            self,
            text=self.text_with(index, word),
            spans=(*self.spans[:index], (start, start + len(word)), *behind),
        )


def in_case_of(word: str, candidate: str) -> str:
    """A candidate as the word is written: of a masked LM that knows small letters alone, ``Good`` for ``Bad``."""
    if not candidate.islower() or word.islower():
        return candidate
    if len(word) > 1 and word.isupper():
        return candidate.upper()
    return candidate[:1].upper() + candidate[1:] if word[:1].isupper() else candidate


def _is_spoken(word: str) -> bool:
    return any(character.isalnum() for character in word)
