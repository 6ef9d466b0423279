"""Superposition of frames in memory on one structure, beside mdtraj and MDAnalysis; one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import MDAnalysis as mda
import mdtraj
import numpy as np
from MDAnalysis.analysis.align import AlignTraj
from MDAnalysis.coordinates.memory import MemoryReader

from speed.adk import SELECTION, alphas, universe
from speed.clock import Timer, in_turn, seconds
from speed.record import Record, at_least
from trajvae.readers import Alignment
from trajvae.typing import Float32

AGREE = 2e-3  # Å: mdtraj computes in float32


def by_mdtraj(x: Float32, reference: Float32) -> Callable[[], Float32]:
    """Superposes in place: what is turned already takes as long as what is not."""
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for _ in range(x.shape[1]):
        topology.add_atom("CA", mdtraj.element.carbon, topology.add_residue("ALA", chain))
    moving, fixed = (mdtraj.Trajectory(a / 10.0, topology) for a in (x, reference[None]))
    return lambda: moving.superpose(fixed, parallel=False).xyz * 10.0


def _of_alphas(x: Float32, reference: Float32) -> Timer:
    """AlignTraj of a Universe that holds nothing else, in memory; each time on the frames as they came."""
    atoms = universe().select_atoms(SELECTION)
    fixed = mda.Merge(atoms).load_new(reference[None].copy(), format=MemoryReader)
    mobile = mda.Merge(atoms)

    def run() -> float:
        mobile.load_new(x.copy(), format=MemoryReader)
        return seconds(lambda: AlignTraj(mobile, fixed, select="all", in_memory=True).run())()

    return run


def _as_documented() -> float:
    """AlignTraj of the whole molecule by its C-alphas, in memory: it turns all atoms."""
    fixed, mobile = universe(), universe(in_memory=True)
    return seconds(lambda: AlignTraj(mobile, fixed, select=SELECTION, in_memory=True).run())()


def superposition() -> Iterator[Record]:
    """214 C-alphas, 98 frames."""
    _, x = alphas()
    ones = np.ones(x.shape[1])
    reference = (x[0] - x[0].mean(axis=0)).astype(np.float32)
    alignment = Alignment("superpose", reference.astype(np.float64), ones)
    peer = by_mdtraj(x.copy(), reference)
    off = np.abs(alignment.apply(x) - peer()).max()
    if off > AGREE:
        raise RuntimeError(f"superposed frames differ from mdtraj's by {off:.1e} Å, at most {AGREE:.0e} was wanted")
    timers = {
        "ours": seconds(lambda: alignment.apply(x), 20),
        "mdtraj.superpose": seconds(peer, 20),
        "MDAnalysis AlignTraj as documented, all 3341 atoms": _as_documented,
        "MDAnalysis AlignTraj of the C-alphas alone": _of_alphas(x, reference),
    }
    times = in_turn(timers, 9)
    for name, bound in zip(list(timers)[1:], (1.0, 30.0, None), strict=True):
        ratio = float(np.median(times.ratios(name, "ours")))
        rates = [len(x) / times.median(n) for n in ("ours", name)]
        yield at_least("superpose 98 frames of 214 atoms", "frames/s", rates[0], (name, rates[1]), ratio, bound)
