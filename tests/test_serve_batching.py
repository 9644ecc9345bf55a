"""The choice of a batch, and the queue between the event loop and the inference thread."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replank.text import Tokens
from serve.batching import FREE_PADDING_SHARE, FREE_PADDING_TOKENS, BatchQueue, Item, choose_batch

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
        pytest.param([10, 11, 12, 13, 14], 3, [10, 11, 12], id="the nearest where there are too many"),
        pytest.param([50, 49, 90, 51, 10], 3, [49, 50, 51], id="both sides of the oldest"),
        pytest.param([3, 12], 16, [3, 12], id="a little padding is cheaper than a batch"),
        pytest.param([128, 7], 16, [128], id="much padding is not"),
    ],
)
def test_a_batch_is_of_like_length(waiting: list[int], max_items: int, expected: list[int]) -> None:
    assert lengths(choose_batch([item(length) for length in waiting], max_items)) == expected


@given(st.lists(st.integers(1, 512), min_size=1, max_size=60), st.integers(1, 32))
def test_every_batch_holds_the_oldest_and_little_padding(waiting: list[int], max_items: int) -> None:
    items = [item(length) for length in waiting]
    batch = choose_batch(items, max_items)
    assert items[0] in batch
    assert 1 <= len(batch) <= max_items
    assert len(set(map(id, batch))) == len(batch)
    padded = max(lengths(batch)) * len(batch)
    padding = padded - sum(lengths(batch))
    assert padding <= max(FREE_PADDING_TOKENS, FREE_PADDING_SHARE * padded)


def test_an_odd_length_is_not_starved_by_a_stream_of_others() -> None:
    queue: BatchQueue[str] = BatchQueue(4)
    queue.put([item(10) for _ in range(4)])
    queue.put([item(500, "odd")])
    for turn in range(2):
        queue.put([item(10) for _ in range(8)])
        batch = queue.take()
        assert [one.owner for one in batch] == (["odd"] if turn else [""] * 4)


def test_expired_items_are_dropped_and_others_are_taken() -> None:
    queue: BatchQueue[str] = BatchQueue(4)
    queue.put([item(5, "late", time.monotonic() - 1), item(5, "in time", time.monotonic() + 60)])
    assert [one.owner for one in queue.take()] == ["in time"]
    assert len(queue) == 0


def test_removing_an_owner_leaves_the_others() -> None:
    queue: BatchQueue[str] = BatchQueue(4)
    queue.put([item(5, "gone"), item(5, "here"), item(6, "gone")])
    queue.remove("gone")
    assert len(queue) == 1
    assert [one.owner for one in queue.take()] == ["here"]


def test_closing_ends_the_wait_of_the_taker() -> None:
    queue: BatchQueue[str] = BatchQueue(4)
    taken: list[list[Item[str]]] = []
    taker = threading.Thread(target=lambda: taken.append(queue.take()))
    taker.start()
    queue.close()
    taker.join(5)
    assert taken == [[]]
