"""Prefetches items in a thread, which ends with the iterator."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from isthmus.common.openmp import without_openmp

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

    An error of `make` is raised in place of its item. The thread ends after the last item, and when the
    iterator is closed or garbage-collected.

    Args:
        orders: iterated here.
        make: called in the thread.
        size: bytes of the item that `make` returns for an order.
        most: largest number of items besides the one that is asked for.
        room: largest number of their bytes; a single item may be larger.
    """
    pool = ThreadPoolExecutor(1, "isthmus-data", initializer=without_openmp)
    items: deque[Future[Item]] = deque()
    sizes: deque[int] = deque()
    try:
        for order in orders:
            sizes.append(size(order))
            while len(items) > 1 and (len(items) > most or sum(sizes) - sizes[0] > room):
                sizes.popleft()
                yield items.popleft().result()
            items.append(pool.submit(make, order))
        pool.shutdown(wait=False)  # the thread ends with the last item
        while items:
            yield items.popleft().result()
    finally:
        with suppress(RuntimeError):  # the garbage collector may close the iterator in the thread itself
            pool.shutdown(cancel_futures=True)
