"""Making the next batches while the present one is trained on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def prefetched(items: Iterator[Item], ahead: int) -> Iterator[Item]:
    """The same items in the same order, up to `ahead` of them made beforehand, by one thread at the side.

    An exception reaches the caller in the place of the item that raised it. Where the caller stops before the end,
    what is being made is finished first: the thread is never left behind. With 0 ahead there is no thread.
    """
    if ahead == 0:
        yield from items
        return
    end = object()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        waiting = deque(pool.submit(next, items, end) for _ in range(ahead))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]  # it is not the end
    finally:
        pool.shutdown(cancel_futures=True)
