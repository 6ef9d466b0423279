"""Adenylate kinase of MDAnalysisTests: 3341 atoms, 214 C-alphas, 98 frames, and files of as many frames as wanted."""

from __future__ import annotations

from pathlib import Path

import MDAnalysis as mda
import mdtraj
import numpy as np
from MDAnalysisTests.datafiles import DCD, PSF

from trajvae.typing import Float32, Int64

SELECTION = "name CA"


def universe(*, in_memory: bool = False) -> mda.Universe:
    """As it is shipped."""
    return mda.Universe(PSF, DCD, in_memory=in_memory)


def alphas() -> tuple[Int64, Float32]:
    """Indices of the C-alphas, and their positions (98, 214, 3) in Å."""
    atoms = universe().select_atoms(SELECTION)
    xyz = atoms.universe.trajectory.timeseries(asel=atoms, order="fac")
    return atoms.indices.astype(np.int64), np.ascontiguousarray(xyz, dtype=np.float32)


def files(folder: Path, frames: int) -> dict[str, Path]:
    """The frames over and over, all atoms, with noise of 0.05 Å, as DCD and XTC."""
    shipped = mdtraj.load_dcd(DCD, top=PSF)
    rng = np.random.default_rng(0)
    xyz = shipped.xyz[np.arange(frames) % len(shipped.xyz)]
    xyz += rng.normal(0.0, 0.005, xyz.shape).astype(np.float32)
    many = mdtraj.Trajectory(xyz, shipped.topology)
    out = {kind: folder / f"adk.{kind.lower()}" for kind in ("DCD", "XTC")}
    for path in out.values():
        many.save(str(path))
    return out
