"""mdtraj's trajectories, objects and HDF5 files, as runs of frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trajvae.readers.arrays import array_frames
from trajvae.readers.frames import NM, ArrayFrames
from trajvae.readers.from_mdtraj import topology_from_mdtraj
from trajvae.readers.mdtraj_hdf5 import load_mdtraj
from trajvae.readers.to_libraries import to_universe


def open_mdtraj(trajectory: Any, name: str = "the mdtraj trajectory") -> tuple[ArrayFrames, Any]:
    """Return the frames of an `mdtraj.Trajectory`, and its atoms as an AtomGroup."""
    xyz = trajectory.xyz * np.float32(NM)
    boxes = None
    if trajectory.unitcell_lengths is not None:
        boxes = np.concatenate([trajectory.unitcell_lengths * NM, trajectory.unitcell_angles], axis=1).astype(float)
    frames = array_frames(xyz, name)
    frames.boxes, frames.time = boxes, np.asarray(trajectory.time, dtype=np.float64)
    return frames, to_universe(topology_from_mdtraj(trajectory.topology), xyz[:1]).atoms


def open_mdtraj_file(path: Path) -> tuple[ArrayFrames, Any]:
    """Return the frames of one of mdtraj's HDF5 files, and its atoms as an AtomGroup."""
    return open_mdtraj(load_mdtraj(path), str(path))
