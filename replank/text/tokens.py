"""One tokenized example."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tokens:
    """One example, tokenized and truncated, special tokens included.

    :param starts: where asked for, the position of each word's first token; see :func:`first_tokens`.
    :param is_truncated: whether the text goes on behind its last token.
    """

    ids: list[int]
    type_ids: list[int]
    starts: tuple[int, ...] = ()
    is_truncated: bool = False

    def __len__(self) -> int:
        return len(self.ids)
