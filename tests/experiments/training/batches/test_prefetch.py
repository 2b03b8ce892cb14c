"""What is made beforehand is the same, in the same order, errors and endings included."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from experiments.training.batches.prefetch import prefetched


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("batches")]


@pytest.mark.parametrize("ahead", [0, 1, 2, 50])
def test_the_same_items_in_the_same_order(ahead: int) -> None:
    assert list(prefetched(iter(range(20)), ahead)) == list(range(20))
    assert list(prefetched(iter([]), ahead)) == []
    assert threads() == []


def test_items_are_made_before_they_are_asked_for_and_no_more_than_that() -> None:
    made: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for item in range(10):
            made.append(item)
            if len(made) == 3:
                second.set()
            yield item

    found = prefetched(items(), 2)
    assert next(found) == 0
    assert second.wait(60), "after the first item two more are under way"
    assert len(made) <= 4
    assert list(found) == list(range(1, 10))


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_an_error_comes_in_the_place_of_its_item(ahead: int) -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    found = prefetched(items(), ahead)
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)
    assert threads() == []


def test_stopping_early_leaves_no_thread_behind() -> None:
    found = prefetched(iter(range(1000)), 3)
    next(found)
    assert threads() != []
    found.close()
    assert threads() == []
