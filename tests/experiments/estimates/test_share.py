"""Which share of a GPU a run is given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.estimates import CONTEXT_BYTES, MOST_SHARING, share_of

GIB = 2**30


@pytest.mark.parametrize(
    ("peak", "memory", "share"),
    [(1, 80, 1 / 4), (15, 80, 1 / 4), (20, 80, 1 / 3), (30, 80, 1 / 2), (50, 80, 1.0), (100, 80, 1.0), (0.2, 3, 1 / 3)],
)
def test_as_many_share_as_fit_and_compute_can_bear(peak: float, memory: int, share: float) -> None:
    assert share_of(round(peak * GIB), memory * GIB) == share


def test_what_nobody_knows_gets_a_gpu_of_its_own() -> None:
    assert share_of(None, 80 * GIB) == 1.0
    assert share_of(GIB, 0) == 1.0


def test_fewer_slots_leave_larger_shares() -> None:
    assert share_of(GIB, 80 * GIB, most=2) == 1 / 2


@given(peak=st.integers(0, 200 * GIB), memory=st.integers(1, 200 * GIB), most=st.integers(1, 8))
def test_those_that_share_fit_with_their_contexts(peak: int, memory: int, most: int) -> None:
    together = round(1 / share_of(peak, memory, most))
    assert 1 <= together <= most
    assert together == 1 or together * (peak + CONTEXT_BYTES) <= memory
    assert MOST_SHARING >= 2
