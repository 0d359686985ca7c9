"""Making things ahead of whoever takes them, in a thread that ends with the iterator."""

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
    """`map(make, orders)`, made by one thread while the items before are used.

    What goes wrong in the thread is raised here once the items before it have been taken. The thread ends
    when everything is made, and when the iterator is closed or dropped.

    Args:
        orders: gone through by the thread.
        make: called by the thread.
        size: bytes of the item that an order becomes.
        most: items that are made before they are asked for.
        room: bytes of these items; a single one may be larger.
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
        if thread is not threading.current_thread():  # where the garbage collector drops the iterator
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
    """What is made and not taken."""

    def __init__(self, most: int, room: int) -> None:
        self._most, self._room = most, room
        self._changed = threading.Condition()
        self._items: deque[Item] = deque()
        self._sizes: deque[int] = deque()  # one more than items, while one is being made
        self._closed = False
        self._error: BaseException | None = None

    def reserve(self, size: int) -> bool:
        """Wait until there is room; False where nobody waits for the item any more."""
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
        """Nothing is put here any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self) -> bool:
        """Wait for an item; False where all are taken. Raises what went wrong with the next one."""
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
