"""mdtraj's trajectories and topologies in our own form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trajvae.readers.arrays import array_frames
from trajvae.readers.frames import NM, ArrayFrames
from trajvae.readers.mdtraj_hdf5 import load_mdtraj
from trajvae.readers.molecules import to_universe
from trajvae.topology import Topology


def topology_from_mdtraj(top: Any) -> Topology:
    """Return the topology of an `mdtraj.Topology`."""
    atoms = list(top.atoms)
    return Topology(
        names=np.array([a.name for a in atoms], dtype=str),
        elements=np.array([a.element.symbol if a.element and a.element.number else "" for a in atoms], dtype=str),
        resnames=np.array([a.residue.name for a in atoms], dtype=str),
        segids=np.array([a.residue.segment_id or str(a.residue.chain.index) for a in atoms], dtype=str),
        resids=np.array([a.residue.resSeq for a in atoms], dtype=np.int64),
        masses=np.array([a.element.mass if a.element and a.element.number else 1.0 for a in atoms]),
        bonds=np.array([[b[0].index, b[1].index] for b in top.bonds], dtype=np.int64).reshape(-1, 2),
    )


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
