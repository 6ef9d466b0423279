"""Work that is shared among threads comes back in order, takes no more than it has room for, and stops when told."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from trajvae.runtime.threads import map_in_order


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    """Whichever thread is done first; no items give no results."""
    gate = threading.Event()

    def slow(k: int) -> int:
        if k == 0 and workers > 1:
            assert gate.wait(10.0)  # the first ends after the second
        gate.set()
        return k * k

    assert list(map_in_order(slow, range(20), workers)) == [k * k for k in range(20)]
    assert list(map_in_order(slow, [], workers)) == []


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (2, 4), (3, 6)])
def test_items_are_taken_as_late_as_possible(workers: int, ahead: int) -> None:
    """Two a thread are under way at most, so memory holds no more; what is not begun when it is closed never is."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for k in range(100):
            taken.append(k)
            yield k

    found = map_in_order(str, items(), workers)
    for k in range(3):
        assert next(found) == str(k)
        assert len(taken) <= k + ahead
    found.close()
    assert len(taken) <= 2 + ahead


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_raised_in_its_place(workers: int) -> None:
    """What came before it is given, and the threads are gone afterwards."""
    before = threading.active_count()

    def picky(k: int) -> int:
        if k == 3:
            raise ValueError("three")
        return k

    found = map_in_order(picky, range(10), workers)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(found)
    assert threading.active_count() == before
