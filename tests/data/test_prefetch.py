"""Prefetching: order, limits, errors, and the end of the thread with its iterator."""

from __future__ import annotations

import gc
import threading
import time
from contextlib import suppress

import pytest

from isthmus.data.loading.prefetch import prefetch


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("isthmus-data")]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert not threads()


class Made:
    """What was made, and an iterator over it."""

    def __init__(self, orders, *, size=1, most=3, room=100, fails_at=None):
        self.made = []
        self.fails_at = fails_at
        self.items = prefetch(orders, self.make, size=lambda order: size, most=most, room=room)

    def make(self, order):
        assert threading.current_thread() in threads()
        if order == self.fails_at:
            raise OSError(5, "the disk is broken")
        self.made.append(order)
        return order * 10

    def rested(self):
        """What is made when the thread waits."""
        before = -1
        while len(self.made) != before:
            before = len(self.made)
            time.sleep(0.1)
        return before


@pytest.mark.parametrize("most", [1, 3, 50])
@pytest.mark.parametrize("room", [1, 5, 1000])
def test_everything_comes_in_order(most, room):
    assert list(Made(range(20), most=most, room=room).items) == list(range(0, 200, 10))


def test_nothing_to_make():
    assert list(Made([]).items) == []


@pytest.mark.parametrize(
    ("size", "most", "room", "ahead"),
    [(1, 3, 100, 3), (1, 1, 100, 1), (30, 10, 100, 3), (60, 10, 100, 1), (10**9, 10, 100, 1)],
)
def test_not_too_far_ahead(size, most, room, ahead):
    made = Made(range(50), size=size, most=most, room=room)
    for taken in (1, 2, 3):
        next(made.items)
        assert made.rested() == taken + ahead
    made.items.close()


def test_nothing_is_made_before_it_is_asked_for():
    made = Made(range(3))
    assert not threads()
    assert made.rested() == 0


@pytest.mark.parametrize("how", ["close", "drop", "cycle", "break", "raise", "interrupt"])
def test_the_thread_ends_when_the_rest_is_not_wanted(how):
    made = Made(range(100))
    if how in ("break", "raise", "interrupt"):
        kind = {"break": StopIteration, "raise": ValueError, "interrupt": KeyboardInterrupt}[how]
        with suppress(kind):
            for _ in made.__dict__.pop("items"):
                raise kind
    else:
        next(made.items)
        assert len(threads()) == 1
        if how == "close":
            made.items.close()
        elif how == "drop":
            made.items = None
        else:
            holder = [made.__dict__.pop("items")]
            holder.append(holder)
            del holder
            gc.collect()
    assert not threads()
    assert len(made.made) <= 5


def test_the_thread_has_ended_when_the_last_item_is_taken():
    """Lightning does not ask for one more."""
    made = Made(range(5))
    for _ in range(5):
        next(made.items)
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads()


def test_an_error_comes_after_what_was_made_before_it():
    made = Made(range(10), fails_at=4)
    taken = []
    with pytest.raises(OSError, match="the disk is broken") as caught:
        taken.extend(made.items)
    assert caught.value.errno == 5
    assert taken == [0, 10, 20, 30]
    assert list(made.items) == []


def test_an_error_in_the_orders_is_raised_too():
    def orders():
        yield 1
        raise KeyError("the order")

    with pytest.raises(KeyError, match="the order"):
        list(Made(orders()).items)


@pytest.mark.filterwarnings("error")
def test_the_thread_itself_may_collect_the_iterator():
    dropped, collected = threading.Event(), threading.Event()

    def make(order):
        if order == 2:
            dropped.wait(10)
            gc.collect()
            collected.set()
        return order

    gc.disable()
    try:
        holder = [prefetch(range(10), make, size=lambda order: 1, most=3, room=100)]
        holder.append(holder)
        next(holder[0])
        del holder
        dropped.set()
        assert collected.wait(10)
    finally:
        gc.enable()
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_two_at_once():
    one, other = Made(range(50)).items, Made(range(50)).items
    assert list(zip(one, other, strict=True)) == [(10 * k, 10 * k) for k in range(50)]
