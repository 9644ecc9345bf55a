"""Dynamic batching: the queue, and the choice of the next batch from it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add
from typing import Generic, TypeVar

from replank.text.tokens import Tokens

# Fixed cost of a batch, in padded tokens; measured with a MiniLM on two cores.
BATCH_TOKENS = 24
# Oldest items among which a batch is chosen; more would hardly improve it, and the choice takes time.
WINDOW = 64

Owner = TypeVar("Owner")


@dataclass(frozen=True, eq=False)
class Item(Generic[Owner]):
    """One text or pair of a request.

    :param owner: the request.
    :param row: index in the request.
    :param deadline: on the clock of :func:`time.monotonic`; expired items are dropped.
    """

    owner: Owner
    row: int
    tokens: Tokens
    deadline: float


@dataclass(frozen=True)
class BatchLimits:
    """The maximal size of a batch.

    :param items: texts or pairs.
    :param tokens: padded tokens. A longer item runs alone.
    """

    items: int
    tokens: int

    def most(self, length: int) -> int:
        """The most items of a batch that is padded to ``length`` tokens."""
        return max(1, min(self.items, self.tokens // length))


def choose_batch(waiting: Sequence[Item[Owner]], limits: BatchLimits) -> list[Item[Owner]]:
    """The next batch: the one with the oldest item, from the cheapest partition of the queue into batches.

    Items are grouped by length: a batch pays for its longest text once per text, and on a CPU the padding of mixed
    lengths costs more than batching gains. The oldest item is always included, so an item waits for at most as many
    batches as there were items before it.

    :param waiting: at least one item, in order of arrival.
    """
    ordered = sorted(waiting, key=_length)
    lengths = list(map(_length, ordered))
    oldest = ordered.index(waiting[0])
    # Of a batch that ends with an item, the longest, the most items that may be in it.
    most = [limits.most(length) for length in lengths]
    below = _costs_below(lengths, most, oldest)
    above = _costs_above(lengths, most, oldest)
    best = (math.inf, 0, 0)
    for low in range(oldest + 1):
        for high in range(oldest + 1, len(ordered) + 1):
            if high - low > most[high - 1]:
                break
            cost = below[low] + (high - low) * lengths[high - 1] + above[high]
            # Of equally cheap partitions, the one with the largest next batch.
            if cost <= best[0]:
                best = min(best, (cost, low - high, low))
    _, fewer, low = best
    return ordered[low : low - fewer]


def _costs_below(lengths: Sequence[int], most: Sequence[int], end: int) -> list[int]:
    """The least cost, in padded tokens, of running the items before each index up to ``end``."""
    costs = [0]
    for high in range(1, end + 1):
        first, length = max(0, high - most[high - 1]), lengths[high - 1]
        tokens = range((high - first) * length, 0, -length)
        costs.append(min(map(add, costs[first:], tokens)) + BATCH_TOKENS)
    return costs


def _costs_above(lengths: Sequence[int], most: Sequence[int], begin: int) -> list[int]:
    """The least cost of running the items from each index on; of the indices behind ``begin`` only."""
    costs = [0] * (len(lengths) + 1)
    for low in range(len(lengths) - 1, begin, -1):
        rows, least = 1, lengths[low] + costs[low + 1]
        for high in range(low + 2, len(lengths) + 1):
            rows += 1
            if rows > most[high - 1]:
                break
            cost = rows * lengths[high - 1] + costs[high]
            if cost < least:
                least = cost
        costs[low] = least + BATCH_TOKENS
    return costs


def _length(item: Item[Owner]) -> int:
    return len(item.tokens.ids)


class BatchQueue(Generic[Owner]):
    """The queue between the event loop, which puts items, and the inference thread, which takes batches.

    There is no batching delay: a batch forms from what was queued while the previous one ran, so a lone request starts
    at once.
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
        """Tokens of all queued items, without padding."""
        return self._tokens

    def put(self, items: Sequence[Item[Owner]]) -> None:
        """Add the items of a request."""
        with self._changed:
            self._items.extend(items)
            self._tokens += sum(map(_length, items))
            self._changed.notify()

    def remove(self, owner: Owner) -> None:
        """Drop the queued items of a cancelled request."""
        with self._changed:
            self._keep([item for item in self._items if item.owner is not owner])

    def take(self) -> list[Item[Owner]]:
        """The next batch; blocks until there is one. Expired items are dropped.

        :returns: an empty list once the queue is closed.
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
        """Drop all items and let the inference thread end."""
        with self._changed:
            self._closed = True
            self._keep([])
            self._changed.notify()

    def _keep(self, items: list[Item[Owner]]) -> None:
        self._items = items
        self._tokens = sum(map(_length, items))
