"""Handedness of C-alpha traces and backbones, which have no chiral centres: signed volumes of four atoms in a row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trajvae.molecule.bonded_terms import chain_volumes
from trajvae.molecule.simulated_terms import prediction_factor, spreads, widened_range
from trajvae.topology import Topology
from trajvae.typing import Float64, Floats, Int64

KINDS = ("trace", "phi", "psi")  # fours of C-alphas or beads, and those that the backbone's torsions are of
_LEAST = 0.01  # standard deviation of a signed volume
_SHARE = 0.5  # of the smallest mean signed volume in the simulation: what a conformation needs at least


class ChainHandedness(NamedTuple):
    """Hold the handedness of the chains of a molecule.

    Attributes
    ----------
    fours : ndarray of int64, shape (Q, 4)
        Atoms in a row.
    sign : ndarray, shape (Q,)
        The sign, +1 or -1, of the signed volume of a four of the trace that never changes in the simulation; 0 for the
        others.
    kind : ndarray of int64, shape (Q,)
        Index into `KINDS`.
    low, high : ndarray, shape (3,)
        Allowed ranges of the mean signed volume of each kind.
    """

    fours: Int64
    sign: Float64
    kind: Int64
    low: Float64
    high: Float64


def learn_handedness(positions: Floats, topology: Topology, bonds: Int64, terms: int) -> ChainHandedness:
    """Learn the handedness of chains from simulated frames (T, N, D).

    A four of the trace must keep its sign if that never changes in the simulation and would not where the volume were
    normal (see `prediction_factor`); one residue's phi and psi may turn to the other side. The mean volume of all fours
    of a kind must be at least half the smallest one in the widened range of the simulation, where that range has one
    sign; so the mirror image of a floppy fold is found too.

    Parameters
    ----------
    positions : ndarray, shape (T, N, D)
    topology : Topology
    bonds : ndarray of int64, shape (B, 2)
        The bonds, or pairs of consecutive atoms.
    terms : int
        Terms that each frame is tested for.
    """
    fours, kind = chain_fours(topology, bonds) if positions.shape[2] == 3 else chain_fours(topology, bonds[:0])
    low, high = np.full(len(KINDS), -1.0), np.full(len(KINDS), 1.0)
    if positions.shape[2] != 3 or not len(fours):
        return ChainHandedness(fours[:0], np.empty(0), kind[:0], low, high)
    volumes = chain_volumes(positions, fours)
    mean = volumes.mean(axis=0)
    sign = np.sign(mean)
    reach = prediction_factor(len(volumes), terms) * spreads(volumes, _LEAST)
    steady = (kind == 0) & ((volumes * sign) > 0.0).all(axis=0) & (np.abs(mean) > reach)
    for k in np.unique(kind):
        least, most = widened_range(volumes[:, kind == k].mean(axis=1, keepdims=True), terms, least=_LEAST)
        if least[0] > 0.0:
            low[k] = _SHARE * least[0]
        if most[0] < 0.0:
            high[k] = _SHARE * most[0]
    return ChainHandedness(fours, np.where(steady, sign, 0.0), kind, low, high)


def chain_fours(topology: Topology, bonds: Int64) -> tuple[Int64, Int64]:
    """Return the fours of atoms that show the handedness of chains, (Q, 4), and the kind of each, (Q,).

    They are four consecutive C-alphas, and the atoms of the backbone's torsions phi and psi (with O where the next N
    is missing). Molecules with C-beta atoms have chiral centres instead, and so have no fours. Without names, four
    consecutive atoms that the pairs `bonds` connect are one.
    """
    if not topology.named:
        return _fours({"trace": _consecutive(bonds)})
    if (topology.names == "CB").any() or not (topology.names == "CA").any():
        return _fours({})
    chains = _residues(topology)
    trace = [[r["CA"] for r in chain[i : i + 4]] for chain in chains for i in range(len(chain) - 3)]
    phi, psi = [], []
    for chain in chains:
        for before, here in zip([None, *chain], chain, strict=False):
            if before is not None and {"N", "C"} <= here.keys() and "C" in before:
                phi.append([before["C"], here["N"], here["CA"], here["C"]])
        for here, after in zip(chain, [*chain[1:], None], strict=True):
            end = here.get("O") if after is None else after.get("N", here.get("O"))
            if {"N", "C"} <= here.keys() and end is not None:
                psi.append([here["N"], here["CA"], here["C"], end])
    return _fours({"trace": trace, "phi": phi, "psi": psi})


def _fours(rows: dict[str, list[list[int]]]) -> tuple[Int64, Int64]:
    """Return fours of several kinds as one array (Q, 4), and their kinds (Q,)."""
    fours = [np.array(rows.get(kind, []), dtype=np.int64).reshape(-1, 4) for kind in KINDS]
    return np.concatenate(fours), np.repeat(np.arange(len(KINDS)), [len(part) for part in fours])


def _consecutive(bonds: Int64) -> list[list[int]]:
    """Return the fours of consecutive atoms whose three pairs (i, i + 1) are all among the bonds."""
    first = set(bonds[bonds[:, 1] == bonds[:, 0] + 1, 0].tolist())
    return [[i, i + 1, i + 2, i + 3] for i in sorted(first) if {i + 1, i + 2} <= first]


def _residues(topology: Topology) -> list[list[dict[str, int]]]:
    """Return the backbone atoms of residues with a C-alpha by name, in lists of residues that follow one another."""
    backbone = np.flatnonzero(np.isin(topology.names, ("N", "CA", "C", "O")) & (topology.elements != "Ca"))
    found: dict[int, dict[str, int]] = {}
    for atom in backbone.tolist():
        found.setdefault(int(topology.residues[atom]), {})[str(topology.names[atom])] = atom
    chains: list[list[dict[str, int]]] = []
    last: dict[str, int] | None = None
    for _, atoms in sorted(found.items()):
        if "CA" not in atoms:
            last = None
            continue
        if last is None or not _in_sequence(topology, last["CA"], atoms["CA"]):
            chains.append([])
        chains[-1].append(atoms)
        last = atoms
    return chains


def _in_sequence(topology: Topology, i: int, j: int) -> bool:
    """Return whether the residues of two atoms belong to one chain and have equal or consecutive numbers."""
    same = topology.chain_indices[i] == topology.chain_indices[j] and topology.segments[i] == topology.segments[j]
    return bool(same and 0 <= topology.resids[j] - topology.resids[i] <= 1)
