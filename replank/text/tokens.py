"""One tokenized example."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tokens:
    """One example, tokenized and truncated, special tokens included.

    :param starts: where asked for, the position of each word's first token; see :func:`first_tokens`.
    """

    ids: list[int]
    type_ids: list[int]
    starts: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)
