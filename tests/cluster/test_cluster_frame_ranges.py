"""Ranges of frames that are read each by itself: what one pass through the files gives, to the bit."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from MDAnalysisTests.datafiles import GRO, XTC

from trajvae import Model, Reading
from trajvae.cluster import ThisProcess
from trajvae.cluster.frame_ranges import RangeReader, reader_at
from trajvae.errors import ClusterError, TrajvaeWarning
from trajvae.outputs.embed import embed
from trajvae.outputs.encoded_chunks import ChunkEncoder
from trajvae.readers.data_set import Chunk, Frames
from trajvae.readers.sources import open_source
from trajvae.results import Embedding
from trajvae.runtime.threads import small_work
from trajvae.typing import Floats

pytestmark = pytest.mark.filterwarnings("ignore:no topology")


class Elsewhere(ThisProcess):
    """This process, taken for another."""

    apart = True


def reader_of(frames: Frames, source: object, reading: Reading | None = None) -> RangeReader:
    """What a worker would get."""
    found = reader_at(Elsewhere(), frames, source, reading)
    assert found is not None
    return pickle.loads(pickle.dumps(found))


def check_same(frames: Frames, reader: RangeReader) -> None:
    """Ranges are the chunks, in order."""
    chunks, ranges = list(frames.chunks()), list(reader.ranges())
    assert [len(c.file) for c in chunks] == [len(r.rows) for r in ranges]
    for chunk, which in zip(chunks, ranges, strict=True):
        found = reader.read(which).chunk
        for name in ("positions", "file", "frame", "time"):
            assert np.array_equal(getattr(found, name), getattr(chunk, name)), name
        assert found.positions.dtype == chunk.positions.dtype


@pytest.mark.parametrize("reading", [Reading(), Reading(start=3, stop=190, step=2)], ids=["all", "some"])
def test_ranges_of_a_dcd(adk: tuple[Path, Path], reading: Reading) -> None:
    """Many atoms of few frames, which are several chunks."""
    reading = Reading(str(adk[0]), "all", reading.start, reading.stop, reading.step)
    frames = open_source([adk[1], adk[1]], reading)
    reader = reader_of(frames, [adk[1], adk[1]], reading)
    assert len(list(reader.ranges())) > 1
    check_same(frames, reader)


def test_ranges_with_boxes() -> None:
    """A protein that the box breaks is made whole by the plan that was made where the files were opened first."""
    reading = Reading(str(GRO), "name CA")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        frames = open_source(str(XTC), reading)
    check_same(frames, reader_of(frames, str(XTC), reading))


def test_molecules_that_are_followed_are_read_in_one_pass() -> None:
    """Of several molecules, images may depend on the frame before: whoever writes reads them."""
    reading = Reading(str(GRO), "resid 1:2 or (resname SOL and resid 300:301)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        frames = open_source(str(XTC), reading)
    assert reader_at(Elsewhere(), frames, str(XTC), reading) is None


def test_what_is_no_file_is_read_here(tiny_model: Model, chain: Floats) -> None:
    """Arrays are sent; and this process needs no reader."""
    frames = tiny_model.open(chain.copy())
    assert reader_at(Elsewhere(), frames, chain, None) is None
    assert reader_at(ThisProcess(), frames, "traj.npy", None) is None


@pytest.fixture
def two_files(tiny_model: Model, chain: Floats, tmp_path: Path) -> list[Path]:
    """4300 frames as two files."""
    many = np.concatenate([chain] * 11)[:4300]
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    np.save(paths[0], many[:2100])
    np.save(paths[1], many[2100:])
    return paths


def check_equal(found: Embedding, expected: Embedding) -> None:
    """All columns and figures, to the bit."""
    for name in ("latent", "latent_scale", "rmsd", "frame_jump", "file", "frame", "time", "in_support"):
        assert np.array_equal(getattr(found, name), getattr(expected, name), equal_nan=name == "frame_jump"), name
    assert found.figures == expected.figures
    for name, quantity in expected.frame_observables.items():
        assert np.array_equal(found.frame_observables[name].value, quantity.value), name


@pytest.mark.parametrize("rmsd", [True, False])
def test_an_embedding_by_ranges(tiny_model: Model, two_files: list[Path], rmsd: bool) -> None:
    """Four chunks of two files: jumps lead over ends of chunks, and not over ends of files."""
    expected = tiny_model.encode(two_files, rmsd=rmsd)
    assert np.flatnonzero(np.isnan(expected.frame_jump)).tolist() == [0, 2100]
    found = tiny_model.encode(two_files, rmsd=rmsd, cluster=Elsewhere())
    if rmsd:
        check_equal(found, expected)
    assert np.array_equal(found.latent, expected.latent)
    assert np.array_equal(found.frame_jump, expected.frame_jump, equal_nan=True)


def test_threads_do_not_show(tiny_model: Model, two_files: list[Path]) -> None:
    """With any number of threads, chunks are those of one, to the bit."""
    frames, p, record = tiny_model.open(two_files), tiny_model.pipeline, tiny_model.record
    one, three = (embed(p, frames, record=record, place=ThisProcess(n)) for n in (1, 3))
    check_equal(three, one)


@pytest.mark.parametrize("backend", ["rhvae", "embedded"])
def test_threads_and_processes_do_not_show_where_encoders_differentiate(chain: Floats, backend: str) -> None:
    """An encoder gives the same for a chunk in several threads at once, and where it was sent, to the bit."""
    model = Model.train(chain.copy(), backend=backend, epochs=1, hidden=(8,), device="cpu")
    encoder = ChunkEncoder.of(model.pipeline, model.record, rmsd=True, reader=None)
    chunks = [Chunk.of_run(chain[k : k + 25]) for k in range(0, 200, 25)]
    sent = cloudpickle.loads(cloudpickle.dumps(encoder))
    with small_work(0.0):
        one, three = (list(ThisProcess(n).map(encoder, enumerate(chunks))) for n in (1, 3))
        there = [sent((k, chunk)) for k, chunk in reversed(list(enumerate(chunks)))][::-1]
    for a, b, c in zip(one, three, there, strict=True):
        for other in (b, c):
            assert np.array_equal(a.posterior.latent, other.posterior.latent)
            assert np.array_equal(a.posterior.scale, other.posterior.scale)
            assert all(np.array_equal(a.losses[name], other.losses[name]) for name in ("elbo", "rmsd", "pca_rmsd"))
            assert np.array_equal(a.measured.in_support, other.measured.in_support)


def test_warnings_come_back(tiny_model: Model, two_files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is warned of where a range is read is warned of where it is written."""
    monkeypatch.setattr("trajvae.readers.data_set.check_spread", lambda *_: warnings.warn("hm", TrajvaeWarning, 1))
    with pytest.warns(TrajvaeWarning, match="hm"):
        tiny_model.encode(two_files, cluster=Elsewhere())


def test_other_files_on_a_worker(tiny_model: Model, two_files: list[Path]) -> None:
    """A file that is not there, and one that has lost frames, are named; one that has grown is read."""
    frames = tiny_model.open(two_files)
    reader = RangeReader(frames, Reading())
    first = next(iter(reader.ranges()))
    whole = np.load(two_files[1])
    np.save(two_files[1], np.concatenate([whole, whole]))
    assert len(pickle.loads(pickle.dumps(reader)).read(first).chunk.file) == 2000
    np.save(two_files[1], whole[:-1])
    with pytest.raises(ClusterError, match=r"'.*b.npy' has 2199 frames of 12 atoms, expected 2200"):
        pickle.loads(pickle.dumps(reader)).read(first)
    os.remove(two_files[1])
    with pytest.raises(ClusterError, match=r"on a worker: no file '.*b.npy'; workers must find the same files"):
        pickle.loads(pickle.dumps(reader)).read(first)
