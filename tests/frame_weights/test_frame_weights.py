"""Files of weights: every form, matching by time and by number, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from trajvae.errors import OptionError, ReadError, TrajvaeWarning
from trajvae.frame_weights import FrameWeights, read_weights
from trajvae.readers.data_set import Frames
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source

KT = 8.31446261815324e-3 * 300.0
N = 60


def frames_of(path: Path, dt: float = 1.0, first: float = 0.0, n: int = N, **reading: int) -> Frames:
    """An .npz trajectory of a bead chain, whose frames have times."""
    x = np.cumsum(np.random.default_rng(0).normal(size=(n, 4, 3)) * 0.3 + [1.5, 0.0, 0.0], axis=1)
    np.savez(path, positions=x, time=first + dt * np.arange(n))
    return opened(path, **reading)


def opened(*paths: Path, **reading: int) -> Frames:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        return open_source([str(p) for p in paths], Reading(**reading))


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    """Sixty frames at 5, 6, ..., 64 ps."""
    return frames_of(tmp_path / "traj.npz", first=5.0)


def colvar(path: Path, time: np.ndarray, bias: np.ndarray, more: str = "") -> str:
    rows = "\n".join(f" {t:.6f} {0.1 * k:.3f} {v:.9f} 0.5" for k, (t, v) in enumerate(zip(time, bias, strict=True)))
    text = f"#! FIELDS time phi metad.bias wall.bias\n#! SET min_phi -pi\n{rows}\n{more}"
    path.write_text(text)
    return str(path)


def bias_at(time: np.ndarray) -> np.ndarray:
    return 2.0 * np.sin(0.37 * time) ** 2


def test_every_form_of_a_column(frames: Frames, tmp_path: Path):
    w = np.random.default_rng(1).uniform(0.5, 2.0, N)
    time = 5.0 + np.arange(N)
    np.save(tmp_path / "a.npy", w)
    np.savez(tmp_path / "b.npz", mine=w)
    np.savez(tmp_path / "c.npz", weights=w, other=np.ones(4), table=np.ones((3, 3)))
    np.savez(tmp_path / "d.npz", weights=w[::-1].copy(), time=time[::-1][::-1].copy())
    np.savetxt(tmp_path / "e.txt", w, header="of my own")
    np.savetxt(tmp_path / "f.csv", np.column_stack([time, w]), delimiter=",")
    for name in ("a.npy", "b.npz", "c.npz", "e.txt", "f.csv"):
        found = read_weights(tmp_path / name, frames)
        np.testing.assert_allclose(found.values, w / w.max(), rtol=1e-12)
        assert found.file == str(tmp_path / name)
    assert read_weights(tmp_path / "b.npz", frames).column == "mine"
    np.testing.assert_allclose(read_weights(tmp_path / "d.npz", frames).values, (w / w.max())[::-1])
    found = read_weights(w, frames)
    assert found.file == "" and found.effective_size == pytest.approx(w.sum() ** 2 / (w**2).sum())
    np.testing.assert_array_equal(read_weights(found, frames).values, found.values)
    assert read_weights(None, frames) is None


def test_a_bias_of_another_stride_is_matched_by_time(frames: Frames, tmp_path: Path):
    time = 0.2 * np.arange(400)
    found = read_weights(colvar(tmp_path / "COLVAR", time, bias_at(time)), frames, 300.0)
    expected = np.exp(bias_at(5.0 + np.arange(N)) / KT)
    np.testing.assert_allclose(found.values, expected / expected.max(), rtol=1e-6)
    assert found.column == "metad.bias+wall.bias"
    # every third frame, from the tenth on: the same rows
    some = opened(tmp_path / "traj.npz", start=10, step=3)
    few = read_weights(tmp_path / "COLVAR", some, 300.0)
    np.testing.assert_allclose(few.values, expected[10::3] / expected[10::3].max(), rtol=1e-6)


def test_a_huge_bias_does_not_overflow(frames: Frames, tmp_path: Path):
    time = 5.0 + np.arange(N)
    found = read_weights(colvar(tmp_path / "COLVAR", time, 1e5 + bias_at(time)), frames, 300.0)
    expected = np.exp(bias_at(time) / KT)
    np.testing.assert_allclose(found.values, expected / expected.max(), rtol=1e-6)


def test_after_a_restart_the_later_rows_count(frames: Frames, tmp_path: Path):
    time = np.arange(0.0, 50.0)
    again = np.arange(40.0, 70.0)  # the run was stopped at 49 ps, and went on from its checkpoint at 40 ps
    rows = "\n".join(f" {t:.6f} 0.0 {v:.9f} 0.5" for t, v in zip(again, bias_at(again) + 1.0, strict=True))
    more = f"#! FIELDS time phi metad.bias wall.bias\n{rows}\n"
    found = read_weights(colvar(tmp_path / "COLVAR", time, bias_at(time), more), frames, 300.0)
    t = 5.0 + np.arange(N)
    expected = np.exp((bias_at(t) + (t >= 40.0)) / KT)
    np.testing.assert_allclose(found.values, expected / expected.max(), rtol=1e-6)


def test_a_repeated_time_that_is_no_restart_is_named(frames: Frames, tmp_path: Path):
    time = np.arange(70.0)
    time[31] = 30.0
    with pytest.raises(ReadError, match=r"COLVAR': the time 30 ps comes after 30 ps"):
        read_weights(colvar(tmp_path / "COLVAR", time, bias_at(time)), frames, 300.0)


def test_a_missing_time_is_named(frames: Frames, tmp_path: Path):
    time = np.delete(np.arange(70.0), [21, 33])
    with pytest.raises(ReadError, match=r"no row at 21 ps, the time of frame 16 of .*traj.npz' \(2 of 60 frames"):
        read_weights(colvar(tmp_path / "COLVAR", time, bias_at(time)), frames, 300.0)
    with pytest.raises(ReadError, match=r"no row at 50 ps"):  # the file ends too early
        read_weights(colvar(tmp_path / "COLVAR", np.arange(50.0), bias_at(np.arange(50.0))), frames, 300.0)


def test_times_in_single_precision_find_their_rows(tmp_path: Path):
    first, dt = 1e6, 0.3
    long = frames_of(tmp_path / "long.npz", dt, first)
    with np.load(tmp_path / "long.npz") as held:
        np.savez(tmp_path / "long.npz", positions=held["positions"], time=held["time"].astype(np.float32))
    long = opened(tmp_path / "long.npz")
    time = first + dt * np.arange(N)
    found = read_weights(colvar(tmp_path / "COLVAR", time, bias_at(time)), long, 300.0)
    expected = np.exp(bias_at(time) / KT)
    np.testing.assert_allclose(found.values, expected / expected.max(), rtol=1e-5)


def test_metadynamics_writes_its_bias_twice(frames: Frames, tmp_path: Path):
    t = 5.0 + np.arange(N)
    rows = "\n".join(f"{x} {bias_at(x)} {bias_at(x) - 0.02 * x} {0.02 * x}" for x in t)
    (tmp_path / "COLVAR").write_text(f"#! FIELDS time metad.bias metad.rbias metad.rct\n{rows}\n")
    found = read_weights(tmp_path / "COLVAR", frames, 300.0)
    expected = np.exp((bias_at(t) - 0.02 * t) / KT)
    np.testing.assert_allclose(found.values, expected / expected.max(), rtol=1e-9)
    assert found.column == "metad.rbias"


def test_frames_without_times_are_matched_by_number(tmp_path: Path):
    x = np.random.default_rng(0).normal(size=(N, 4, 3)) + np.arange(4)[:, None] * 1.5
    np.save(tmp_path / "traj.npy", x)
    time, w = np.arange(N) * 2.0, np.arange(1.0, N + 1)
    every = opened(tmp_path / "traj.npy")
    np.testing.assert_allclose(read_weights(w, every).values, w / N)
    found = read_weights(colvar(tmp_path / "COLVAR", time, bias_at(time)), every, 300.0)
    assert len(found) == N
    some = opened(tmp_path / "traj.npy", start=6, step=4)
    np.testing.assert_allclose(read_weights(w, some).values, w[6::4] / w[6::4].max())
    np.testing.assert_allclose(read_weights(w[6::4], some).values, w[6::4] / w[6::4].max())
    with pytest.raises(ReadError, match="59 weights for 60 frames, of which 14 are read"):
        read_weights(w[1:], some)
    with pytest.raises(ReadError, match="no times that rows could be matched by"):
        read_weights(colvar(tmp_path / "COLVAR", np.arange(90.0), bias_at(np.arange(90.0))), every, 300.0)


def test_one_file_a_walker(tmp_path: Path):
    for k in range(2):
        frames_of(tmp_path / f"{k}.npz", first=1.0)
    both = opened(tmp_path / "0.npz", tmp_path / "1.npz")
    time = 1.0 + np.arange(N)
    files = [colvar(tmp_path / f"COLVAR.{k}", time, bias_at(time) + 1.5 * k) for k in range(2)]
    found = read_weights(files, both, 300.0)
    expected = np.exp(np.concatenate([bias_at(time), bias_at(time) + 1.5]) / KT)
    np.testing.assert_allclose(found.values, expected / expected.max(), rtol=1e-6)
    with pytest.raises(ReadError, match="both have times from 1 ps on"):
        read_weights(files[0], both, 300.0)
    with pytest.raises(OptionError, match=r"one for each \(2\), got 3"):
        read_weights([*files, files[0]], both, 300.0)
    np.testing.assert_allclose(read_weights(np.arange(1.0, 121.0), both).values, np.arange(1, 121) / 120)


def test_one_file_for_the_parts_of_a_run(tmp_path: Path):
    frames_of(tmp_path / "0.npz", first=1.0)
    frames_of(tmp_path / "1.npz", first=60.0)  # its first frame is the last of the part before
    time = np.arange(0.0, 130.0, 0.5)
    found = read_weights(
        colvar(tmp_path / "COLVAR", time, bias_at(time)), opened(tmp_path / "0.npz", tmp_path / "1.npz"), 300.0
    )
    t = np.concatenate([1.0 + np.arange(N), 60.0 + np.arange(N)])
    expected = np.exp(bias_at(t) / KT)
    np.testing.assert_allclose(found.values, expected / expected.max(), rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n4 5 6\n", "3 columns"),
        ("", "0 rows"),
        ("a b\n", "cannot be read: could not convert"),
        ("1.0\n2.0 3.0\n", "cannot be read"),
        ("1.0\n#! FIELDS time m.bias\n1 2\n", "rows before its first"),
        ("#! FIELDS time phi\n1 2\n", "no column whose name contains 'bias', only time phi"),
        ("#! FIELDS time m.bias\n1 2\n#! FIELDS time n.bias\n2 3\n", "names other columns"),
        ("#! FIELDS time m.bias\n5.0\n", "cannot be read"),
        ("#! FIELDS time m.bias\n", "expected a column of numbers"),
        ("5 nan\n6 1\n", "the weight at time 5 ps is nan"),
        ("#! FIELDS time m.bias\n5 inf\n", "the bias at time 5 ps is inf"),
    ],
)
def test_files_that_are_refused(frames: Frames, tmp_path: Path, text: str, message: str):
    (tmp_path / "w").write_text(text)
    with pytest.raises(ReadError, match=message):
        read_weights(tmp_path / "w", frames, 300.0)


def test_values_that_are_refused(frames: Frames, tmp_path: Path):
    with pytest.raises(ReadError, match=r"must be numbers of 0 or more, got -1\.0 for frame 7"):
        read_weights(np.where(np.arange(N) == 7, -1.0, 1.0), frames)
    with pytest.raises(ReadError, match="all 0"):
        read_weights(np.zeros(N), frames)
    with pytest.raises(ReadError, match="the weight at row 2 is nan"):
        read_weights(np.where(np.arange(N) == 2, np.nan, 1.0), frames)
    with pytest.raises(ReadError, match="no file of weights"):
        read_weights("absent.npy", frames)
    with pytest.raises(OptionError, match="must be numbers or names of files"):
        read_weights({"a": 1}, frames)
    with pytest.raises(ReadError, match="expected a column of numbers"):
        read_weights(np.ones((N, 2)), frames)


def test_temperatures(frames: Frames, tmp_path: Path):
    path = colvar(tmp_path / "COLVAR", np.arange(70.0), bias_at(np.arange(70.0)))
    with pytest.raises(OptionError, match="give the temperature"):
        read_weights(path, frames)
    with pytest.raises(OptionError, match="above 0 K, got -1"):
        read_weights(path, frames, -1.0)
    with pytest.raises(OptionError, match="no weights are given"):
        read_weights(None, frames, 300.0)


def test_no_pickle_is_opened_and_no_array_without_end(frames: Frames, tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", weights=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(b"no array at all")
    (tmp_path / "traj").write_bytes(bytes(range(128, 256)))
    for name in ("a.npy", "a.npz", "b.npy", "traj"):
        with pytest.raises(ReadError):
            read_weights(tmp_path / name, frames)
    np.savez(tmp_path / "two.npz", a=np.ones(N), b=np.ones(N))
    with pytest.raises(ReadError, match="expected one array of one axis, or one of the name 'weights', found a, b"):
        read_weights(tmp_path / "two.npz", frames)


def test_few_effective_frames_are_warned_of(frames: Frames):
    w = np.where(np.arange(N) < 3, 1.0, 1e-6)
    with pytest.warns(TrajvaeWarning, match="60 frames are worth 3.0 of equal weight"):
        read_weights(w, frames)


def test_weights_of_some_frames():
    weights = FrameWeights(np.array([2.0, 2.0, 4.0, 0.0]), "w.npy", "c")
    assert weights.relative(slice(0, 2)) is None
    np.testing.assert_allclose(weights.relative(), [1.0, 1.0, 2.0, 0.0])
    assert weights.relative(np.array([3])) is None
    with pytest.raises(ReadError, match="all 1 held-out frames have the weight 0"):
        weights.relative(np.array([3]), "held-out")
    again = FrameWeights.from_json(weights.values, weights.to_json())
    assert (again.file, again.column, again.effective_size) == ("w.npy", "c", weights.effective_size)


def test_times_of_trajectory_formats(examples: Path, tmp_path: Path):
    """XTC and DCD have times, which single precision and units round; multi-model PDB files have none."""
    import MDAnalysis as mda

    source, topology = examples / "alanine_dipeptide.xtc", examples / "alanine_dipeptide.pdb"
    universe = mda.Universe(str(topology), str(source))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("a.dcd", "a.pdb"):
            universe.atoms.write(str(tmp_path / name), frames=universe.trajectory[:N])
        universe.trajectory[0]
    xtc = open_source(str(source), Reading(topology=topology, stop=N))
    file, frame = xtc.origins()
    times = xtc.times(file, frame)
    w = np.random.default_rng(0).uniform(0.5, 1.0, N)
    np.savetxt(tmp_path / "w.txt", np.column_stack([times, w]), fmt="%.3f")
    np.testing.assert_allclose(read_weights(tmp_path / "w.txt", xtc).values, w / w.max(), atol=2e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcd, pdb = (open_source(str(tmp_path / name), Reading(topology=topology)) for name in ("a.dcd", "a.pdb"))
    assert xtc.timed(0) and dcd.timed(0) and not pdb.timed(0)
    clock = dcd.times(*dcd.origins())
    np.savetxt(tmp_path / "d.txt", np.column_stack([clock, w]), fmt="%.3f")
    np.testing.assert_allclose(read_weights(tmp_path / "d.txt", dcd).values, w / w.max(), atol=2e-3)
    np.testing.assert_allclose(read_weights(tmp_path / "d.txt", pdb).values, w / w.max(), atol=2e-3)
