"""Tokenizing requests as they come in: short ones at once, long ones in threads, and how much is in their hands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from replank.runtime.model import Model
from replank.system.environment import available_cores
from replank.system.errors import NotReadyError, UsageError
from replank.text.tokenization import Tokens

_MOST_THREADS = 4
# What a model adds to a text or pair, at most: RoBERTa's <s> a </s></s> b </s>.
_SPECIAL_TOKENS = 4
# A tenth of a millisecond or two of work: handing it to a thread and back costs as much, and both want Python's lock.
_SHORT_CHARACTERS = 1000


class Tokenizing:
    """A tokenizer for an event loop: a text of a megabyte takes a second, and there are other clients."""

    def __init__(self, model: Model) -> None:
        self._encoder = model.text_encoder
        self._words = model.task.kind.is_per_word
        self._threads = ThreadPoolExecutor(min(available_cores(), _MOST_THREADS), "replank-tokenizer")
        self._items = 0
        self._tokens = 0
        self._closed = False

    @property
    def items(self) -> int:
        """Texts or pairs that are being tokenized or wait for it."""
        return self._items

    @property
    def tokens(self) -> int:
        """The most tokens that those can have."""
        return self._tokens

    def most_tokens(self, first: Sequence[str], second: Sequence[str] | None) -> int:
        """The most tokens that texts or pairs can have: hardly a token is shorter than a character."""
        lengths = map(len, first) if second is None else (len(a) + len(b) for a, b in zip(first, second, strict=True))
        return sum(min(self._encoder.max_length, length + _SPECIAL_TOKENS) for length in lengths)

    async def tokenize(self, first: Sequence[str], second: Sequence[str] | None) -> list[Tokens]:
        """The tokens of texts or pairs, in order; of token classification with the starts of words.

        :raises UsageError: a text without any token, which only a tokenizer without special tokens makes.
        :raises NotReadyError: closed before a thread was free.
        """
        is_short = sum(map(len, first)) + sum(map(len, second or ())) <= _SHORT_CHARACTERS
        tokens = self._encode(first, second) if is_short else await self._encode_in_thread(first, second)
        if not all(tokens):
            raise UsageError("a text is empty after tokenization")
        return tokens

    def close(self) -> None:
        """Let the threads end; what waits for them is dropped."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _encode(self, first: Sequence[str], second: Sequence[str] | None) -> list[Tokens]:
        return self._encoder.tokenize(first, second, words=self._words)

    async def _encode_in_thread(self, first: Sequence[str], second: Sequence[str] | None) -> list[Tokens]:
        at_most = self.most_tokens(first, second)
        self._items += len(first)
        self._tokens += at_most
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._encode, first, second)
        except asyncio.CancelledError:
            if self._closed:
                raise NotReadyError("the server is shutting down") from None
            raise
        finally:
            self._items -= len(first)
            self._tokens -= at_most
