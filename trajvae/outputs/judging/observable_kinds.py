"""Observables by kind, each kind judged by itself: whether the model's differ from the simulation's.

The measure is how much the simulation differs from itself: its blocks in time are divided into halves in many ways, at
random and into earlier and later, and the halves compared as the model and the simulation are. The figures of a kind
are two, the mean over its observables and the observable that is furthest above its own floor. A kind differs where
either is above what it is in every division.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby

import numpy as np

from trajvae.molecule.histogram_divergence import jensen_shannon
from trajvae.molecule.observables import PAIR_PREFIX, Observable
from trajvae.results.marginals import Kind, Marginal
from trajvae.topology import Topology
from trajvae.typing import Bool, Float64, Int64

DIFFERS, TOO_FEW, CLOSE, AGREES = "differs", "too few frames", "close", "agrees"
VERDICTS = {
    DIFFERS: "further from the simulation than the simulation is from itself",
    TOO_FEW: "the simulation differs from itself by more than 0.1 bits, or its frames are worth fewer than 10 "
    "independent ones: a difference of the model could not be recognised",
    CLOSE: "such a difference, but by no more than 0.05 bits for any, as a shift by half a standard deviation would be",
    AGREES: "no further from the simulation than the simulation is from itself",
}
DIVISIONS = 100
_BLIND = 0.1  # bits
_NEAR = 0.05  # bits
_INDEPENDENT = 10.0  # independent frames, below which a run may be one excursion of a slow motion
_WORST = 10  # observables whose independent frames are counted
_FAR = 3.0  # ranges of a histogram
_PREFIXES = {
    "bond_": "bonds",
    "angle_": "angles",
    "phi_": "torsions",
    "psi_": "torsions",
    PAIR_PREFIX: "pair distances",
    "rg": "radius of gyration",
    "end_to_end": "end-to-end distance",
}


def kind_of(name: str) -> str:
    """Return the kind that an observable belongs to; an observable without a kind is its own."""
    return next((kind for prefix, kind in _PREFIXES.items() if name.startswith(prefix)), name)


def divisions(blocks: int, seed: int = 0) -> Bool:
    """Return which blocks are in the first half: 100 random divisions, and every one into two runs in time.

    Returns
    -------
    ndarray, shape (100 + blocks, blocks)
    """
    half = -(-blocks // 2)
    order = np.random.default_rng(seed).random((DIVISIONS, blocks)).argsort(axis=1)
    turned = (np.arange(blocks) + np.arange(blocks)[:, None]) % blocks
    return np.asarray(np.concatenate([order, turned]) < half)


def floors(values: Float64, block: Int64, edges: Float64, first: Bool, weights: Float64 | None = None) -> Float64:
    """Return divergences in bits between the halves of each division.

    Parameters
    ----------
    values : ndarray, shape (T,)
        Of simulated frames.
    block : ndarray, shape (T,)
        The block of each.
    edges : ndarray
        Of equal bins; what lies beyond them counts in the outermost.
    first : ndarray, shape (divisions, blocks)
    weights : ndarray, shape (T,), optional

    Returns
    -------
    ndarray, shape (divisions,)
    """
    bins = len(edges) - 1
    place = (values - edges[0]) * (bins / (edges[-1] - edges[0]))
    cell = block * bins + np.clip(place, 0, bins - 1).astype(np.int64)
    counts = np.bincount(cell, weights, minlength=first.shape[1] * bins).reshape(-1, bins).astype(np.float64)
    halves = first @ counts, ~first @ counts
    weighty = (halves[0].sum(axis=1) > 0.0) & (halves[1].sum(axis=1) > 0.0)  # a half may have no weight at all
    return jensen_shannon(halves[0][weighty], halves[1][weighty])


def judge(
    table: Mapping[str, Marginal],
    floor: Mapping[str, Float64],
    atoms: Mapping[str, str],
    independent: Callable[[str], float],
) -> tuple[Kind, ...]:
    """Judge every kind; the worst comes first.

    A run that is short against a slow motion shows a part of it alone. Its blocks are alike, and a model that is right
    about the whole differs from them. So a kind with fewer than 10 independent frames is called different only where
    the Wasserstein distance of an observable exceeds three times the range that its histogram covers.

    Parameters
    ----------
    table : mapping
        Observables by name.
    floor : mapping of ndarray, shape (divisions,)
        Of each observable, see `floors`.
    atoms : mapping of str
        Of each observable, see `atoms_of`.
    independent : callable
        Return how many independent values an observable's simulated ones are worth; called for few names.
    """
    kinds: dict[str, list[str]] = {}
    for name in table:
        kinds.setdefault(kind_of(name), []).append(name)
    found = [_judged(kind, names, table, floor, atoms, independent) for kind, names in kinds.items()]
    order = list(VERDICTS)
    return tuple(sorted(found, key=lambda k: (order.index(k.verdict), k.noise_floor - k.jsd)))


def _judged(
    kind: str,
    names: list[str],
    table: Mapping[str, Marginal],
    floor: Mapping[str, Float64],
    atoms: Mapping[str, str],
    independent: Callable[[str], float],
) -> Kind:
    own, mine = np.array([table[n].jsd for n in names]), np.array([floor[n] for n in names])
    usual = mine.mean(axis=1)
    above, worst = own - usual, names[int((own - usual).argmax())]
    differs = own.mean() > mine.mean(axis=0).max() or above.max() > (mine - usual[:, None]).max()
    verdict = CLOSE if above.max() <= _NEAR else DIFFERS
    if not differs:
        verdict = TOO_FEW if usual.mean() > _BLIND else AGREES
    elif verdict == DIFFERS and not any(_far(table[name]) for name in names):
        furthest = [names[i] for i in np.argsort(-above)[:_WORST]]
        verdict = TOO_FEW if np.median([independent(name) for name in furthest]) < _INDEPENDENT else DIFFERS
    m, mean_floor = table[worst], float(np.mean([table[n].noise_floor for n in names]))
    figures = (worst, atoms.get(worst, ""), m.jsd, m.noise_floor, m.w1, m.unit)
    return Kind(kind, len(names), float(own.mean()), mean_floor, *figures, verdict)


def _far(marginal: Marginal) -> bool:
    """Whether the model is further from the simulation than such an excursion explains."""
    return marginal.w1 > _FAR * float(marginal.edges[-1] - marginal.edges[0])


def atoms_of(observable: Observable, topology: Topology) -> str:
    """Return an observable's atoms by residue, such as `ALA2 C, ALA3 N-CA-C`; empty without names in the topology."""
    atoms = list(observable.atoms)
    if not all(topology.names[atoms].tolist()):
        return ""
    parts = []
    for _, group in groupby(atoms, key=lambda i: int(topology.residues[i])):
        own = list(group)
        residue = f"{topology.resnames[own[0]]}{topology.resids[own[0]]}{topology.icodes[own[0]]}"
        parts.append(f"{residue} {'-'.join(topology.names[own])}")
    return ", ".join(parts)
