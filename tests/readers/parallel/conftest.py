"""A small trajectory in each format that several processes read, and a way to have it read by several."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pytest
from mdtraj.formats import TRRTrajectoryFile, XTCTrajectoryFile

from trajvae.errors import TrajvaeWarning
from trajvae.readers.data_set import Frames
from trajvae.readers.file_formats.dcd import DCDFrames
from trajvae.readers.file_formats.netcdf import NetCDFFrames
from trajvae.readers.file_formats.trr import TRRFrames
from trajvae.readers.file_formats.xtc import XTCFrames
from trajvae.readers.parallel import in_order, jobs
from trajvae.readers.parallel.messages import Done
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source

ATOMS, FRAMES = 40, 240


@pytest.fixture(scope="session")
def trajectories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of 240 frames of 40 atoms; in XTC and TRR only frames 100 to 149 have a box."""
    folder = tmp_path_factory.mktemp("formats")
    rng = np.random.default_rng(0)
    xyz = (rng.normal(size=(FRAMES, ATOMS, 3)).cumsum(axis=1) * 3.0 + 40.0).astype(np.float32)
    boxes = np.zeros((FRAMES, 3, 3), dtype=np.float32)
    boxes[100:150] = np.diag([8.0, 9.0, 10.0])
    files = {name: folder / f"some.{name}" for name in ("xtc", "trr", "dcd", "nc")}
    time = np.arange(FRAMES, dtype=np.float32)
    for name, kind in (("xtc", XTCTrajectoryFile), ("trr", TRRTrajectoryFile)):
        with kind(str(files[name]), "w") as file:
            file.write(xyz / np.float32(10.0), time=time, step=np.arange(FRAMES), box=boxes)
    universe = mda.Universe.empty(ATOMS, trajectory=True)
    for name in ("dcd", "nc"):
        with warnings.catch_warnings(), mda.Writer(str(files[name]), ATOMS) as writer:
            warnings.simplefilter("ignore")
            for positions in xyz:
                universe.atoms.positions = positions
                universe.dimensions = [80.0, 90.0, 100.0, 90.0, 90.0, 90.0]
                writer.write(universe.atoms)
    return files


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes reading to be slow, so that processes are started for small files, and parts have three frames."""
    for kind in (XTCFrames, TRRFrames, DCDFrames, NetCDFFrames):
        monkeypatch.setattr(kind, "seconds_per_frame", 0.005)
    monkeypatch.setattr(jobs, "_WORTH_A_PROCESS", 0.01)


@pytest.fixture
def opened(slow: None) -> Callable[..., Frames]:
    """A function that opens files and waits for the processes that read them."""

    def start(source: object, processes: int = 3, **options: object) -> Frames:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrajvaeWarning)  # a file without topology
            frames = open_source(source, Reading(select="index 3:30", jobs=processes, **options))
        if frames.processes is not None:
            assert all(process.connection.poll(60) for process in frames.processes._running)
        return frames

    return start


@pytest.fixture
def by_others(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the parts that other processes have read; -1 for those that they could not read."""
    numbers: list[int] = []
    take = in_order.SharedReading._take

    def counted(self: in_order.SharedReading, part: in_order.Part, answer: object) -> None:
        numbers.append(part.number if isinstance(answer, Done) else -1)
        take(self, part, answer)

    monkeypatch.setattr(in_order.SharedReading, "_take", counted)
    return numbers
