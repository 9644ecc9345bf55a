"""What runs together: the items that wait, and the choice of the next batch among them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from replank.text import Tokens

# A batch costs its padded tokens and, measured with a MiniLM on two cores, as much as some 24 tokens more for
# being a batch at all. Padding within either bound is cheaper than another batch.
FREE_PADDING_TOKENS = 24
FREE_PADDING_SHARE = 0.2

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


def choose_batch(waiting: Sequence[Item[Owner]], max_items: int) -> list[Item[Owner]]:
    """The next batch: the item that has waited longest, and those nearest to it in length.

    The oldest is always in, so none starves. Without the grouping a batch pays for its longest text as often
    as it has texts, which on a CPU loses more than batching gains.

    :param waiting: in order of arrival, at least one.
    """
    ordered = sorted(waiting, key=lambda item: len(item.tokens))
    low = next(index for index, item in enumerate(ordered) if item is waiting[0])
    high = low + 1
    padding = 0
    while high - low < max_items and (low > 0 or high < len(ordered)):
        longest = len(ordered[high - 1].tokens)
        # A shorter item is padded itself; a longer one pads all that are in already.
        below = longest - len(ordered[low - 1].tokens) if low > 0 else None
        above = (len(ordered[high].tokens) - longest) * (high - low) if high < len(ordered) else None
        go_up = below is None or (above is not None and above <= below)
        padding += (above if go_up else below) or 0
        padded = (len(ordered[high].tokens) if go_up else longest) * (high - low + 1)
        if padding > max(FREE_PADDING_TOKENS, FREE_PADDING_SHARE * padded):
            break
        low, high = (low, high + 1) if go_up else (low - 1, high)
    return ordered[low:high]


class BatchQueue(Generic[Owner]):
    """Items between the event loop, which puts them, and the inference thread, which takes batches.

    There is no timer: a batch is what queued while the one before it ran, so a lone request waits for nobody.

    :param max_batch: items of one batch.
    """

    def __init__(self, max_batch: int) -> None:
        self._max_batch = max_batch
        self._items: list[Item[Owner]] = []
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, items: Sequence[Item[Owner]]) -> None:
        """Add the items of a request."""
        with self._changed:
            self._items.extend(items)
            self._changed.notify()

    def remove(self, owner: Owner) -> None:
        """Forget what still waits of a request that nobody waits for."""
        with self._changed:
            self._items = [item for item in self._items if item.owner is not owner]

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
                self._items = [item for item in self._items if item.deadline > now]
                if self._items:
                    batch = choose_batch(self._items, self._max_batch)
                    chosen = set(map(id, batch))
                    self._items = [item for item in self._items if id(item) not in chosen]
                    return batch

    def close(self) -> None:
        """Let the inference thread end; what waits is dropped."""
        with self._changed:
            self._closed = True
            self._items = []
            self._changed.notify()
