"""Prefetches the items of an iterator in a thread, which ends with the iterator."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from isthmus.common.threads import work_alone

Order = TypeVar("Order")
Item = TypeVar("Item")


def prefetch(
    orders: Iterable[Order],
    make: Callable[[Order], Item],
    *,
    size: Callable[[Order], int],
    most: int,
    room: int,
) -> Iterator[Item]:
    """`map(make, orders)`, computed ahead in one thread.

    An error in the thread is raised here in place of the item that failed. The thread ends after the last
    item, and when the iterator is closed or garbage-collected.

    Args:
        orders: iterated in the thread.
        make: called in the thread.
        size: bytes of the item that `make` returns for an order.
        most: largest number of prefetched items.
        room: largest number of their bytes; a single item may be larger.
    """
    shelf: _Shelf[Item] = _Shelf(most, room)
    thread = threading.Thread(
        target=_work, args=(shelf, orders, make, size), name="isthmus-data", daemon=True
    )
    thread.start()
    try:
        while shelf.wait():
            yield shelf.take()
    finally:
        shelf.close()
        if thread is not threading.current_thread():  # the garbage collector may close the iterator there
            thread.join()


def _work(
    shelf: _Shelf[Item],
    orders: Iterable[Order],
    make: Callable[[Order], Item],
    size: Callable[[Order], int],
) -> None:
    work_alone()
    try:
        for order in orders:
            if not shelf.reserve(size(order)):
                return
            shelf.put(make(order))
    except BaseException as error:
        shelf.fail(error)
    finally:
        shelf.close()


class _Shelf(Generic[Item]):
    """A queue limited by the number and the bytes of its items, which either side can close."""

    def __init__(self, most: int, room: int) -> None:
        self._most, self._room = most, room
        self._changed = threading.Condition()
        self._items: deque[Item] = deque()
        self._sizes: deque[int] = deque()  # one more than items while an item is being made
        self._closed = False
        self._error: BaseException | None = None

    def reserve(self, size: int) -> bool:
        """Wait for room for an item; False if the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._sizes or self._fits(size))
            self._sizes.append(size)
            return not self._closed

    def _fits(self, size: int) -> bool:
        return len(self._sizes) < self._most and sum(self._sizes) + size <= self._room

    def put(self, item: Item) -> None:
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        self._error = error

    def close(self) -> None:
        """Wake both sides; no item is put any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self) -> bool:
        """Wait for an item; False if the queue is closed and empty. Raises the error of the thread."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            if not self._items and self._error is not None:
                raise self._error
            return bool(self._items)

    def take(self) -> Item:
        with self._changed:
            self._sizes.popleft()
            self._changed.notify_all()
            return self._items.popleft()
