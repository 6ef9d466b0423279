"""Which lag scores and the Markov model are at."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.kinetic_analysis.estimate import _levelled_off
from trajvae.lagged_pairs import Lag
from trajvae.results import TimeScales


@pytest.mark.parametrize(
    ("value", "chosen"),
    [
        ([16.0, 16.3, 16.9, 22.5], 1.0),  # 22.5 is below its lag of 40: it grows whatever the process
        ([10.0, 16.0, 16.5, 30.0], 4.0),
        ([10.0, 20.0, 40.0, 80.0], 40.0),
        ([np.nan, 20.0, 20.5, 20.0], 4.0),
        ([10.0, 20.0, 18.0, 8.0], 4.0),
        ([0.5, 3.0, 8.0, 20.0], 1.0),  # none is resolved
        ([0.5, 3.0, 12.0, 20.0], 10.0),
    ],
)
def test_the_shortest_from_which_on_the_time_scale_has_levelled_off(value: list[float], chosen: float) -> None:
    """Among the lags at which it is resolved; the longest of these where it grows at all of them."""
    lags = [Lag.parse(f"{lag}ps") for lag in (1, 4, 10, 40)]
    array = np.array(value)[:, None]
    found = TimeScales(np.array([lag.value for lag in lags]), array, 0.05 * array)
    assert _levelled_off(found, lags).value == chosen
