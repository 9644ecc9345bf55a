"""Dynamic batching: the queue, and the choice of the next batch from it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

    def allow(self, items: int, length: int) -> bool:
        """Whether a batch of ``items`` texts, padded to ``length`` tokens, is within the limits."""
        return items <= self.items and items * length <= self.tokens


def choose_batch(waiting: Sequence[Item[Owner]], limits: BatchLimits) -> list[Item[Owner]]:
    """The next batch: the one with the oldest item, from the cheapest partition of the queue into batches.

    Items are grouped by length: a batch pays for its longest text once per text, and on a CPU the padding of mixed
    lengths costs more than batching gains. The oldest item is always included, so an item waits for at most as many
    batches as there were items before it.

    :param waiting: at least one item, in order of arrival.
    """
    ordered = sorted(waiting, key=lambda item: len(item.tokens))
    lengths = [len(item.tokens) for item in ordered]
    oldest = next(index for index, item in enumerate(ordered) if item is waiting[0])
    # Minimal cost of the items before an index, and of those from it on.
    below = [0.0] + [math.inf] * len(ordered)
    above = [math.inf] * len(ordered) + [0.0]
    batches = list(_batches(lengths, limits))
    for low, high, cost in batches:
        below[high] = min(below[high], below[low] + cost)
    for low, high, cost in reversed(batches):
        above[low] = min(above[low], cost + above[high])
    # Of equally cheap partitions, the one with the largest next batch.
    _, _, low, high = min(
        (below[low] + cost + above[high], low - high, low, high) for low, high, cost in batches if low <= oldest < high
    )
    return ordered[low:high]


def _batches(lengths: Sequence[int], limits: BatchLimits) -> Iterator[tuple[int, int, int]]:
    """Every admissible run of neighbours, as ``(first, end, cost)``; the cost is in padded tokens.

    :param lengths: in ascending order.
    """
    for low in range(len(lengths)):
        for high in range(low + 1, len(lengths) + 1):
            length = lengths[high - 1]
            if high - low > 1 and not limits.allow(high - low, length):
                break
            yield low, high, (high - low) * length + BATCH_TOKENS


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
            self._tokens += sum(len(item.tokens) for item in items)
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
        self._tokens = sum(len(item.tokens) for item in items)
