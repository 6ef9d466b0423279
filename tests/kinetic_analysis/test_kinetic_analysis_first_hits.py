"""First visits against a search frame by frame, with files and gaps."""

from __future__ import annotations

import numpy as np

from trajvae.kinetic_analysis.first_hits import first_hits, runs_of
from trajvae.lagged_pairs import FrameTimes


def test_against_a_search() -> None:
    """Of frames in three files, one of which has a gap."""
    random = np.random.default_rng(0)
    region = random.choice([-1, 0, 0, 0, 0, 0, 1], 300)
    frame = np.concatenate([np.arange(100), np.arange(50), np.arange(60, 110), np.arange(100)])
    times = FrameTimes(np.repeat([0, 1, 2], 100), frame)
    found, run = first_hits(region < 0, region > 0, times), runs_of(times)
    assert np.unique(run, return_counts=True)[1].tolist() == [100, 50, 50, 100]
    there = back = 0
    last = (-1, 0)
    for i in range(300):
        visits = [j for j in range(i, 300) if run[j] == run[i] and region[j]]
        assert found.hit[i] == (visits[0] if visits else 300)
        if visits:
            assert found.outcome[i] == (region[visits[0]] > 0)
        else:
            assert np.isnan(found.outcome[i])
        assert (found.excursion[i] >= 0) == (region[i] == 0)
        if i and not region[i] and not region[i - 1]:
            assert (found.excursion[i] == found.excursion[i - 1]) == (run[i] == run[i - 1])
        if region[i]:
            there += last == (run[i], -1) and region[i] > 0
            back += last == (run[i], 1) and region[i] < 0
            last = (run[i], region[i])
    assert found.passages() == (there, back) and there > 3
    assert len(np.unique(found.excursion)) - 1 == found.excursion.max() + 1


def test_a_single_frame_of_each_file() -> None:
    """Each is a run of its own."""
    times = FrameTimes(np.arange(3), np.zeros(3, dtype=np.int64))
    found = first_hits(np.array([True, False, False]), np.array([False, False, True]), times)
    assert runs_of(times).tolist() == [0, 1, 2]
    assert found.hit.tolist() == [0, 3, 2] and found.passages() == (0, 0)
