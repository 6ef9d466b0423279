"""Pairs of frames a lag time apart."""

import numpy as np
import pytest

from trajvae.errors import OptionError, ReadError
from trajvae.lagged_pairs import FrameTimes, Lag


@pytest.mark.parametrize(
    ("written", "value", "in_frames"),
    [
        ("10ps", 10.0, False),
        ("2 ns", 2000.0, False),
        ("0.5ns", 500.0, False),
        ("1e3fs", 1.0, False),
        ("5", 5.0, True),
        ("5 frames", 5.0, True),
        (7, 7.0, True),
    ],
)
def test_a_lag_is_read(written, value, in_frames):
    lag = Lag.parse(written)
    assert (lag.value, lag.in_frames) == (pytest.approx(value), in_frames)
    assert Lag.parse(lag) is lag
    assert Lag.parse(str(lag)) == lag


@pytest.mark.parametrize("written", ["", "ps", "10 hours", "0", "0ps", "-3", "2.5", "1e400ps", "nan"])
def test_what_is_no_lag_is_refused_in_one_line(written):
    with pytest.raises(OptionError) as found:
        Lag.parse(written)
    assert "\n" not in str(found.value)


def _run(lengths, interval=2.0, step=1):
    file = np.repeat(np.arange(len(lengths)), lengths)
    frame = np.concatenate([np.arange(n) * step for n in lengths])
    return file, frame, frame * interval


def test_pairs_stay_within_a_file():
    file, frame, time = _run([5, 3, 1])
    first, second = FrameTimes(file, frame, time).pairs(Lag.parse("4ps"))
    assert first.tolist() == [0, 1, 2, 5]
    assert second.tolist() == [2, 3, 4, 7]


def test_pairs_do_not_reach_over_missing_frames_or_times_that_jump():
    file, frame, time = _run([10])
    kept = np.array([0, 1, 2, 3, 6, 7, 8, 9])
    first, second = FrameTimes(file[kept], frame[kept], time[kept]).pairs(Lag.parse(1))
    assert list(zip(kept[first].tolist(), kept[second].tolist(), strict=True)) == [
        (0, 1), (1, 2), (2, 3), (6, 7), (7, 8), (8, 9)
    ]  # fmt: skip
    restarted = np.where(frame < 5, time, time - 4.0)
    first, _ = FrameTimes(file, frame, restarted).pairs(Lag.parse("2ps"))
    assert first.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]


def test_frames_are_those_that_are_read():
    file, frame, time = _run([6], interval=2.0, step=5)
    times = FrameTimes(file, frame, time)
    assert times.frames_of(Lag.parse("20ps")) == 2
    assert times.in_ps(Lag.parse("2")) == pytest.approx(20.0)
    assert len(times.pairs(Lag.parse("2"))[0]) == 4


def test_a_lag_in_frames_needs_no_times():
    file, frame, _ = _run([6])
    assert len(FrameTimes(file, frame).pairs(Lag.parse("2"))[0]) == 4
    assert len(FrameTimes(file, frame, np.full(6, np.nan)).pairs(Lag.parse("2"))[0]) == 4


@pytest.mark.parametrize(
    ("lag", "times", "error", "words"),
    [
        ("2ps", lambda file, frame: None, ReadError, "as a number of frames"),
        ("3ps", lambda file, frame: frame * 2.0, OptionError, "the nearest is 4ps"),
        ("1ps", lambda file, frame: frame * 2.0, OptionError, "the nearest is 2ps"),
        ("40ps", lambda file, frame: frame * 2.0, ReadError, r"longest trajectory has 6 frames \(10 ps\)"),
        ("2ps", lambda file, frame: frame * (2.0 + file), ReadError, r"2 ps in 'a.xtc' and 3 ps in 'b.xtc'"),
    ],
)
def test_what_cannot_be_paired_is_refused(lag, times, error, words):
    file, frame, _ = _run([6, 4])
    with pytest.raises(error, match=words) as found:
        FrameTimes(file, frame, times(file, frame), ["a.xtc", "b.xtc"]).pairs(Lag.parse(lag))
    assert "\n" not in str(found.value)


def test_files_of_one_frame_are_refused():
    file, frame = np.arange(3), np.zeros(3, dtype=np.int64)
    with pytest.raises(ReadError, match="the longest trajectory has 1 frame,"):
        FrameTimes(file, frame, np.zeros(3), ["a", "b", "c"]).pairs(Lag.parse("1"))
