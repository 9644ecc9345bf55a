"""Tokenization of requests: short ones inline, long ones in a thread pool, with counts for admission control."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from replank.runtime.model import Model
from replank.system.environment import available_cores
from replank.system.errors import NotReadyError, UsageError
from replank.text.tokenization import Words
from replank.text.tokens import Tokens
from replank_serve.engine.deadlines import past_deadline

_MAX_THREADS = 4
# Special tokens per text or pair, at most: RoBERTa's <s> a </s></s> b </s>.
_SPECIAL_TOKENS = 4
# About 0.1 to 0.2 ms of tokenization. Handing it to a thread and back costs as much, and both need the GIL.
_INLINE_CHARACTERS = 1000


class Tokenizing:
    """A tokenizer that does not block the event loop: a text of 1 MB takes a second."""

    def __init__(self, model: Model) -> None:
        self._encoder = model.text_encoder
        self._words: Words | None = "found" if model.task.kind.is_per_word else None
        self._threads = ThreadPoolExecutor(min(available_cores(), _MAX_THREADS), "replank-tokenizer")
        self._items = 0
        self._tokens = 0
        self._closed = False

    @property
    def items(self) -> int:
        """Texts or pairs in the thread pool, queued or running."""
        return self._items

    @property
    def tokens(self) -> int:
        """An upper bound on the tokens of those texts."""
        return self._tokens

    def max_tokens(self, first: Sequence[str], second: Sequence[str] | None) -> int:
        """An upper bound on the tokens of some texts or pairs: in practice no token is shorter than a character.

        Words are found in a text by the character, each of which may get a space before it, which may be a token too.
        """
        lengths = map(len, first) if second is None else (len(a) + len(b) for a, b in zip(first, second, strict=True))
        most = 2 if self._words else 1
        return sum(min(self._encoder.max_length, most * length + _SPECIAL_TOKENS) for length in lengths)

    async def tokenize(self, first: Sequence[str], second: Sequence[str] | None, seconds: float) -> list[Tokens]:
        """The tokens of each text or pair, in order; for token classification, with their words.

        :param seconds: the time that it may take in a thread, waiting for a free one included.
        :raises DeadlineError: it took longer.
        :raises UsageError: a text has no token at all, which needs a tokenizer without special tokens.
        :raises NotReadyError: closed before a thread was free.
        """
        is_short = sum(map(len, first)) + sum(map(len, second or ())) <= _INLINE_CHARACTERS
        if is_short:
            tokens = self._encode(first, second)
        else:
            try:
                async with asyncio.timeout(seconds):
                    tokens = await self._encode_in_thread(first, second)
            except TimeoutError:
                raise past_deadline(seconds) from None
        if not all(tokens):
            raise UsageError("a text is empty after tokenization")
        return tokens

    def close(self) -> None:
        """Shut the thread pool down; queued texts are dropped."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _encode(self, first: Sequence[str], second: Sequence[str] | None) -> list[Tokens]:
        return self._encoder.tokenize(first, second, words=self._words)

    async def _encode_in_thread(self, first: Sequence[str], second: Sequence[str] | None) -> list[Tokens]:
        tokens = self.max_tokens(first, second)
        self._items += len(first)
        self._tokens += tokens
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._encode, first, second)
        except asyncio.CancelledError:
            if self._closed:
                raise NotReadyError("the server is shutting down") from None
            raise
        finally:
            self._items -= len(first)
            self._tokens -= tokens
