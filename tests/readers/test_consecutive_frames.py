"""Consecutive frames by the times in files: joined runs, restarts, gaps, changed output intervals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from trajvae.errors import TrajvaeWarning
from trajvae.readers.consecutive_frames import ConsecutiveFrames, at_usual_stride


def follows(*times, size=None):
    """Return which frames have a predecessor, for runs in one file each, given in chunks."""
    succession = ConsecutiveFrames([f"run{k}.xtc" for k in range(len(times))])
    out = []
    for number, own in enumerate(times):
        own = np.asarray(own, dtype=np.float32).astype(float)
        for start in range(0, len(own), size or len(own)):
            rows = slice(start, start + (size or len(own)))
            out.append(succession.has_predecessor(number, np.arange(len(own))[rows], own[rows]))
    return np.concatenate(out)


def test_frames_of_a_run_follow_each_other_and_the_first_follows_nothing():
    """Evenly spaced times, in any chunks, also far from zero where float32 resolves little."""
    for first in (0.0, 5e6):
        for size in (1, 2, 7, None):
            assert follows(first + 2.0 * np.arange(40), size=size).tolist() == [False, *[True] * 39]


def test_frames_of_two_files_never_follow_each_other():
    """Even where the times go on as if they did; replicas that begin at the same time are no overlap."""
    assert follows([0, 1, 2], [3, 4, 5]).tolist() == [False, True, True, False, True, True]
    assert follows([0, 1, 2], [0, 1, 2], [0, 1, 2]).sum() == 6


def test_a_gap_ends_the_neighbourhood_and_another_interval_does_not():
    """Two runs joined with 24 ps between them, written every 2 and then every 10 ps."""
    times = np.r_[np.arange(0, 78, 2.0), 100 + 10 * np.arange(20)]
    expected = np.ones(len(times), dtype=bool)
    expected[[0, 39]] = False
    assert np.array_equal(follows(times), expected)
    assert follows(np.r_[np.arange(0, 20, 2.0), 20 + 10 * np.arange(9)]).sum() == 18


@pytest.mark.parametrize("size", [1, 3, 10, None])
def test_a_gap_is_found_in_every_chunking(size):
    """Frames missing in the middle of a run, at the beginning or the end of a chunk, or within it."""
    times = np.r_[0:30:1.0, 50:80:1.0]
    assert np.flatnonzero(~follows(times, size=size)).tolist() == [0, 30]


def test_a_step_back_is_reported_once_and_ends_the_neighbourhood():
    """A restart that repeats a frame, and one that begins earlier."""
    for times, frame in (([0, 2, 4, 6, 8, 8, 10, 12], 5), ([0, 2, 4, 6, 8, 4, 6, 8, 10], 5)):
        with pytest.warns(TrajvaeWarning, match=rf"run0.xtc' step back at frame {frame} ") as caught:
            got = follows(times)
        assert len(caught) == 1 and np.flatnonzero(~got).tolist() == [0, frame]


def test_overlapping_runs_in_two_files_are_reported():
    """A run that begins before the run before it ends gives a warning."""
    with pytest.warns(TrajvaeWarning, match=r"'run1.xtc' begins at 6 ps, before 'run0.xtc' ends \(8 ps\)"):
        follows([0, 2, 4, 6, 8], [6, 8, 10])


def test_files_without_times_are_runs_of_neighbours():
    """Frames of files without times, or with all times zero, are taken to be consecutive, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert follows(np.zeros(6)).tolist() == [False, *[True] * 5]
        assert follows([7.0]).tolist() == [False]


def test_times_finer_than_float32_resolves_are_no_steps_back():
    """0.01 ps apart at 0.5 microseconds: neighbouring float32 numbers are 0.03 ps apart."""
    assert follows(5e5 + 0.01 * np.arange(50)).sum() == 49


def test_listed_frames_are_neighbours_at_their_usual_stride():
    """Frames are not consecutive where the list jumps, repeats a frame or goes back."""
    assert at_usual_stride(np.array([0, 5, 10, 15])).tolist() == [False, True, True, True]
    assert at_usual_stride(np.array([5, 59, 3, 3, 20])).sum() <= 1
    assert at_usual_stride(np.array([1, 2, 3, 9, 10])).tolist() == [False, True, True, False, True]
    assert at_usual_stride(np.array([4])).tolist() == [False]
