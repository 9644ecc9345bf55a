"""What runs together: the items that wait, and the choice of the next batch among them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from replank.text.tokenization import Tokens

# What a batch costs besides its padded tokens, in tokens, measured with a MiniLM on two cores: for being a batch.
BATCH_TOKENS = 24
# Among so many of the oldest a batch is chosen: more would hardly make it better, and the choice takes time.
WINDOW = 64

Owner = TypeVar("Owner")


@dataclass(frozen=True, eq=False)
class Item(Generic[Owner]):
    """One text, or one pair, of a request.

    :param owner: the request.
    :param row: its place in the request.
    :param deadline: on the clock of :func:`time.monotonic`; nobody waits for it after that.
    """

    owner: Owner
    row: int
    tokens: Tokens
    deadline: float


@dataclass(frozen=True)
class BatchLimits:
    """How large a batch may be.

    :param items: texts or pairs.
    :param tokens: tokens with the padding. An item longer than that runs alone.
    """

    items: int
    tokens: int

    def allow(self, items: int, length: int) -> bool:
        """Whether so many items, padded to a length, may run together."""
        return items <= self.items and items * length <= self.tokens


def choose_batch(waiting: Sequence[Item[Owner]], limits: BatchLimits) -> list[Item[Owner]]:
    """The next batch: of the cheapest way to run all that waits in batches of like length, the one with the oldest.

    The oldest is always in, which bounds the age: an item waits for no more batches than there were items
    before it. Without the grouping a batch pays for its longest text as often as it has texts, which on a CPU
    loses more than batching gains.

    :param waiting: in order of arrival, at least one.
    """
    ordered = sorted(waiting, key=lambda item: len(item.tokens))
    lengths = [len(item.tokens) for item in ordered]
    oldest = next(index for index, item in enumerate(ordered) if item is waiting[0])
    # The least costs of what is shorter than the item at an index, and of what is as long or longer.
    below = [0.0] + [math.inf] * len(ordered)
    above = [math.inf] * len(ordered) + [0.0]
    batches = list(_batches(lengths, limits))
    for low, high, cost in batches:
        below[high] = min(below[high], below[low] + cost)
    for low, high, cost in reversed(batches):
        above[low] = min(above[low], cost + above[high])
    # Of equally cheap ways the one whose next batch is the largest.
    _, _, low, high = min(
        (below[low] + cost + above[high], low - high, low, high) for low, high, cost in batches if low <= oldest < high
    )
    return ordered[low:high]


def _batches(lengths: Sequence[int], limits: BatchLimits) -> Iterator[tuple[int, int, int]]:
    """Every batch of neighbours that may be, as its first index, the index after its last, and its cost in tokens.

    :param lengths: ascending.
    """
    for low in range(len(lengths)):
        for high in range(low + 1, len(lengths) + 1):
            length = lengths[high - 1]
            if high - low > 1 and not limits.allow(high - low, length):
                break
            yield low, high, (high - low) * length + BATCH_TOKENS


class BatchQueue(Generic[Owner]):
    """Items between the event loop, which puts them, and the inference thread, which takes batches.

    There is no timer: a batch is what queued while the one before it ran, so a lone request waits for nobody.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._items: list[Item[Owner]] = []
        self._tokens = 0
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def tokens(self) -> int:
        """Tokens of all the items, without padding."""
        return self._tokens

    def put(self, items: Sequence[Item[Owner]]) -> None:
        """Add the items of a request."""
        with self._changed:
            self._items.extend(items)
            self._tokens += sum(len(item.tokens) for item in items)
            self._changed.notify()

    def remove(self, owner: Owner) -> None:
        """Forget what still waits of a request that nobody waits for."""
        with self._changed:
            self._keep([item for item in self._items if item.owner is not owner])

    def take(self) -> list[Item[Owner]]:
        """The next batch, once there is one; items past their deadline are dropped.

        :returns: empty when the queue was closed.
        """
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._items or self._closed)
                if self._closed:
                    return []
                now = time.monotonic()
                self._keep([item for item in self._items if item.deadline > now])
                if self._items:
                    batch = choose_batch(self._items[:WINDOW], self._limits)
                    chosen = set(map(id, batch))
                    self._keep([item for item in self._items if id(item) not in chosen])
                    return batch

    def close(self) -> None:
        """Let the inference thread end; what waits is dropped."""
        with self._changed:
            self._closed = True
            self._keep([])
            self._changed.notify()

    def _keep(self, items: list[Item[Owner]]) -> None:
        self._items = items
        self._tokens = sum(len(item.tokens) for item in items)
