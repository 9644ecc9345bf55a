"""The choice of a batch, and the queue between the event loop and the inference thread."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replank.text.tokens import Tokens
from replank_serve.engine.batching import BATCH_TOKENS, WINDOW, BatchLimits, BatchQueue, Item, choose_batch

LATER = float("inf")


def item(length: int, owner: str = "", deadline: float = LATER) -> Item[str]:
    return Item(owner, 0, Tokens([1] * length, [0] * length), deadline)


def lengths(items: list[Item[str]]) -> list[int]:
    return sorted(len(one.tokens) for one in items)


@pytest.mark.parametrize(
    ("waiting", "max_items", "expected"),
    [
        pytest.param([7], 16, [7], id="alone"),
        pytest.param([128, 7, 128, 8, 120], 16, [120, 128, 128], id="the long ones with the old long one"),
        pytest.param([7, 128, 8, 120, 9], 16, [7, 8, 9], id="the short ones with the old short one"),
        pytest.param([10, 11, 12, 13, 14, 60], 3, [10, 11, 12], id="as many as may be"),
        pytest.param([50, 49, 90, 51, 10], 16, [49, 50, 51], id="both sides of the oldest"),
        pytest.param([10] * 17, 16, [10] * 16, id="the largest of equally cheap ones"),
        pytest.param([3, 12], 16, [3, 12], id="a little padding is cheaper than a batch"),
        pytest.param([30, 30, 30, 60], 16, [30, 30, 30], id="much padding is not"),
        pytest.param([300, 300, 300, 299], 16, [300, 300, 300], id="no more tokens than fit"),
        pytest.param([5000, 5000], 16, [5000], id="what never fits runs alone"),
    ],
)
def test_a_batch_is_of_like_length(waiting: list[int], max_items: int, expected: list[int]) -> None:
    assert lengths(choose_batch([item(length) for length in waiting], BatchLimits(max_items, 1000))) == expected


LIMITS = st.builds(BatchLimits, st.integers(1, 32), st.integers(1, 4096))


@given(st.lists(st.integers(1, 512), min_size=1, max_size=60), LIMITS)
def test_every_batch_holds_the_oldest_and_little_padding(waiting: list[int], limits: BatchLimits) -> None:
    items = [item(length) for length in waiting]
    batch = choose_batch(items, limits)
    assert items[0] in batch
    assert 1 <= len(batch) <= limits.items
    assert len(set(map(id, batch))) == len(batch)
    padded = max(lengths(batch)) * len(batch)
    assert padded <= limits.tokens or len(batch) == 1
    # Otherwise each alone were cheaper.
    assert padded - sum(lengths(batch)) <= BATCH_TOKENS * (len(batch) - 1)


def cheapest(ascending: list[int], limits: BatchLimits) -> int:
    """The least cost of running texts in batches of neighbours, found by trying every way."""
    if not ascending:
        return 0
    return min(
        cheapest(ascending[:low], limits) + ascending[-1] * (len(ascending) - low) + BATCH_TOKENS
        for low in range(len(ascending))
        if len(ascending) - low <= limits.most(ascending[-1])
    )


@given(st.lists(st.integers(1, 200), min_size=1, max_size=9), LIMITS)
def test_batch_after_batch_costs_the_least_that_is_possible(waiting: list[int], limits: BatchLimits) -> None:
    items = [item(length) for length in waiting]
    total, least = 0, cheapest(sorted(waiting), limits)
    while items:
        batch = choose_batch(items, limits)
        total += max(lengths(batch)) * len(batch) + BATCH_TOKENS
        items = [one for one in items if one not in batch]
    assert total == least


def test_an_odd_length_is_not_starved_by_a_stream_of_others() -> None:
    queue: BatchQueue[str] = BatchQueue(BatchLimits(4, 2000))
    queue.put([item(10) for _ in range(4)])
    queue.put([item(500, "odd")])
    for turn in range(2):
        queue.put([item(10) for _ in range(8)])
        batch = queue.take()
        assert [one.owner for one in batch] == (["odd"] if turn else [""] * 4)


def test_expired_items_are_dropped_and_others_are_taken() -> None:
    queue: BatchQueue[str] = BatchQueue(BatchLimits(4, 2000))
    queue.put([item(5, "late", time.monotonic() - 1), item(5, "in time", time.monotonic() + 60)])
    assert [one.owner for one in queue.take()] == ["in time"]
    assert len(queue) == 0


def test_removing_an_owner_leaves_the_others() -> None:
    queue: BatchQueue[str] = BatchQueue(BatchLimits(4, 2000))
    queue.put([item(5, "gone"), item(5, "here"), item(6, "gone")])
    queue.remove("gone")
    assert len(queue) == 1
    assert [one.owner for one in queue.take()] == ["here"]


def test_closing_ends_the_wait_of_the_taker() -> None:
    queue: BatchQueue[str] = BatchQueue(BatchLimits(4, 2000))
    taken: list[list[Item[str]]] = []
    taker = threading.Thread(target=lambda: taken.append(queue.take()))
    taker.start()
    queue.close()
    taker.join(5)
    assert taken == [[]]


def test_the_tokens_that_wait_are_known() -> None:
    queue: BatchQueue[str] = BatchQueue(BatchLimits(4, 2000))
    queue.put([item(5, "a"), item(6, "b"), item(400, "a"), item(7, "c", time.monotonic() - 1)])
    assert queue.tokens == 418
    queue.take()
    assert queue.tokens == 400
    queue.remove("a")
    assert (queue.tokens, len(queue)) == (0, 0)


def test_every_item_of_a_queue_longer_than_the_window_is_taken_once() -> None:
    queue: BatchQueue[str] = BatchQueue(BatchLimits(16, 2000))
    everybody = [item(1 + 7 * number % 100, str(number)) for number in range(2 * WINDOW)]
    queue.put(everybody)
    taken = [one.owner for _ in range(2 * WINDOW) if len(queue) for one in queue.take()]
    assert sorted(taken) == sorted(one.owner for one in everybody)
