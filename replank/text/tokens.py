"""One tokenized example."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tokens:
    """One example, tokenized and truncated, special tokens included.

    :param starts: where asked for, the position of each word's first token; -1 for a word that has none, as it was
        truncated or is nothing to the tokenizer.
    :param spans: where words were found in a raw text, the begin and end of each.
    :param is_truncated: whether the text goes on behind its last token.
    """

    ids: list[int]
    type_ids: list[int]
    starts: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    is_truncated: bool = False

    def __len__(self) -> int:
        return len(self.ids)
