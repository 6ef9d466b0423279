"""Evenly spaced rows."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.runtime.evenly_spaced import evenly_spaced


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize(("n", "most"), [(0, 3), (1, 3), (7, 7), (7, 9), (10, 4), (1001, 300), (2000, 1999)])
def test_rows_are_evenly_spaced(n, most, nearest):
    """As many as asked for, from the first to the last, with gaps that differ by one at most."""
    rows = evenly_spaced(n, most, nearest=nearest)
    assert len(rows) == min(n, most)
    assert rows[:1].tolist() == [0][:n]
    assert rows[-1:].tolist() == [n - 1][:n]
    gaps = np.diff(rows)
    assert not len(gaps) or (gaps.min() > 0 and np.ptp(gaps) <= 1 + nearest)


def test_rows_are_rounded_down_or_to_the_nearest():
    """The places of three steps over ten rows are 0, 3, 6, 9; over nine rows 0, 2.67, 5.33, 8."""
    assert evenly_spaced(9, 4).tolist() == [0, 2, 5, 8]
    assert evenly_spaced(9, 4, nearest=True).tolist() == [0, 3, 5, 8]
