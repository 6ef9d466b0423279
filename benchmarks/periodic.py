"""Frames of periodic systems that come back right: complexes, cells, spans and wrappings, and systems of other kinds.

Usage: python benchmarks/periodic.py [--seed N] [--frames N]; exit code 1 where a frame is wrong without a note.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from trajvae.periodic.contacts import Snapshot
from trajvae.periodic.image_history import ImageHistory
from trajvae.periodic.lattice import box_vectors
from trajvae.periodic.unwrapper import Unwrapper

CELLS = {
    "cubic": (1.0, 1.0, 1.0, 90.0, 90.0, 90.0),
    "octahedron": (1.0, 1.0, 1.0, 70.53, 109.47, 70.53),
    "dodecahedron": (1.0, 1.0, 1.0, 60.0, 60.0, 90.0),
    "triclinic": (1.0, 1.2, 0.9, 75.0, 100.0, 115.0),
    "skewed": (1.0, 1.0, 1.4, 55.0, 65.0, 50.0),
}
SPANS = (0.3, 0.6, 0.85, 0.95)
WRAPPINGS = ("intact", "atom", "residue", "molecule", "random", "random molecule")
CHUNK = 7


@dataclass(frozen=True)
class System:
    """A system as it is: `positions` (T, n, 3) unwrapped, its bonds, and the groups that wrapping moves."""

    positions: np.ndarray
    bonds: np.ndarray
    residue: np.ndarray
    molecule: np.ndarray


def _walk(n: int, step: float, radius: float, rng: Any) -> np.ndarray:
    """A compact chain of n beads inside a sphere."""
    x, out = np.zeros(3), []
    for _ in range(n):
        out.append(x)
        for _ in range(100):
            new = rng.normal(size=3)
            new = x + step * new / np.linalg.norm(new)
            if np.linalg.norm(new) < radius:
                break
        x = new
    return np.array(out)


def _bonds(sizes: list[int]) -> np.ndarray:
    """Consecutive atoms of every chain."""
    first = np.cumsum([0, *sizes])
    ends = itertools.pairwise(first)
    return np.concatenate([np.column_stack([np.arange(a, b - 1), np.arange(a + 1, b)]) for a, b in ends])


def _system(chains: list[np.ndarray], rng: Any, frames: int, bonds: np.ndarray | None = None) -> System:
    """Chains in motion: thermal noise, and diffusion of the whole."""
    sizes = [len(c) for c in chains]
    base = np.concatenate(chains)
    base = base - 0.5 * (base.max(axis=0) + base.min(axis=0))
    drift = np.cumsum(rng.normal(size=(frames, 1, 3)) * 3.0, axis=0)
    x = base + 0.15 * rng.normal(size=(frames, *base.shape)) + drift
    molecule = np.repeat(np.arange(len(chains)), sizes)
    return System(x, _bonds(sizes) if bonds is None else bonds, np.arange(len(base)) // 5, molecule)


def complex_of(n_chains: int, rng: Any, frames: int) -> System:
    """Compact chains in contact, each beside one of those before it."""
    chains, centres = [], [np.zeros(3)]
    for k in range(n_chains):
        if k:
            while True:
                way = rng.normal(size=3)
                new = centres[rng.integers(len(centres))] + 7.5 * way / np.linalg.norm(way)
                if min(np.linalg.norm(new - c) for c in centres) > 7.0:
                    break
            centres.append(new)
        chains.append(centres[k] + _walk(50, 1.5, 5.5, rng))
    return _system(chains, rng, frames)


def fibril(n_chains: int, rng: Any, frames: int) -> System:
    """C-alphas of strands, 4.8 Å apart."""
    strand = np.column_stack([3.6 * np.arange(6), np.zeros(6), np.zeros(6)])
    return _system([strand + np.array([0.0, 0.0, 4.8 * k]) for k in range(n_chains)], rng, frames)


def helices(n: int, radius: float, pitch: float, rise: float, length: int, rng: Any, frames: int) -> System:
    """Strands wound around each other: a duplex, or a coiled coil."""
    s = np.arange(length) * rise
    turn = 2.0 * np.pi * s / pitch
    phases = 2.0 * np.pi * np.arange(n) / n
    # every backbone bead carries one that points to the axis, as a base or a side chain does
    rings = [[np.column_stack([r * np.cos(turn + p), r * np.sin(turn + p), s]) for r in (radius, 2.0)] for p in phases]
    back = np.arange(length - 1)
    strand = np.r_[np.column_stack([back, back + 1]), np.column_stack([np.arange(length), length + np.arange(length)])]
    bonds = np.concatenate([strand + 2 * length * k for k in range(n)])
    return _system([np.concatenate(ring) for ring in rings], rng, frames, bonds)


def ligand(rng: Any, frames: int) -> System:
    """A small molecule in the pocket of a protein."""
    protein = _walk(200, 1.5, 11.0, rng)
    return _system([protein, protein[100] + [2.5, 0.0, 0.0] + _walk(8, 1.4, 3.0, rng)], rng, frames)


def martini(rng: Any, frames: int) -> System:
    """A dimer of beads with bonds of 3.5 Å, whose nearest beads are 4.5 Å apart or less."""
    first, second = _walk(60, 3.5, 11.0, rng), _walk(60, 3.5, 11.0, rng) + np.array([30.0, 0.0, 0.0])
    while np.linalg.norm(first[:, None] - second, axis=2).min() > 4.5:
        second = second - np.array([0.5, 0.0, 0.0])
    return _system([first, second], rng, frames)


def patch(rng: Any, frames: int) -> System:
    """A protein amid a patch of lipids of two leaflets."""
    chains = [_walk(150, 1.5, 9.0, rng)]
    for i in range(-3, 4):
        for j in range(-3, 4):
            if np.hypot(i, j) * 8.0 > 11.0:
                for side in (1.0, -1.0):
                    z = side * (2.0 + 1.5 * np.arange(12))
                    chains.append(np.column_stack([np.full(12, 8.0 * i), np.full(12, 8.0 * j), z]))
    return _system(chains, rng, frames)


def cell_for(system: System, shape: tuple[float, ...], span: float) -> np.ndarray:
    """The box (6,) of a shape along the longest of whose axes' directions the system spans this part of the cell."""
    box = np.array([shape])
    inverse = np.linalg.inv(box_vectors(box)[0])
    width = np.ptp(system.positions[0] @ inverse, axis=0).max() / span
    return np.r_[box[0, :3] * width, box[0, 3:]]


def wrap(system: System, boxes: np.ndarray, how: str, rng: Any) -> np.ndarray:
    """The positions as a file holds them."""
    x, vectors = system.positions, box_vectors(boxes)
    if how == "intact":
        return x.astype(np.float32)
    name = {"atom": None, "residue": system.residue, "molecule": system.molecule, "random": system.residue}
    group = name.get(how, system.molecule)
    group = np.arange(x.shape[1]) if group is None else group
    if how.startswith("random"):
        k = rng.integers(-1, 2, size=(len(x), group.max() + 1, 3)).astype(float)
    else:
        first = np.unique(group, return_index=True)[1]
        k = -np.floor(x[:, first] @ np.linalg.inv(vectors))
    return (x + k[:, group] @ vectors).astype(np.float32)


def unwrap(system: System, x: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Plan with a few frames and apply in chunks."""
    samples = [Snapshot(x[t], boxes[t]) for t in np.unique(np.linspace(0, len(x) - 1, 5).astype(int))]
    plan, history = Unwrapper.plan(x.shape[1], system.bonds, samples), ImageHistory()
    parts = [plan.apply(x[t : t + CHUNK], boxes[t : t + CHUNK], history) for t in range(0, len(x), CHUNK)]
    return np.concatenate(parts), plan.notes


def wrong(system: System, got: np.ndarray) -> np.ndarray:
    """Which frames (T,) have another shape than the system: its atoms beside the first one's are elsewhere."""
    moved = got.astype(np.float64) - system.positions
    return np.abs(moved - moved[:, :1]).max(axis=(1, 2)) > 1e-3


def rows(rng: Any, frames: int) -> Iterator[tuple[str, str, System, float]]:
    """Kind, cell, system and span of all rows."""
    special = {
        "fibril of 8": lambda: fibril(8, rng, frames),
        "DNA duplex": lambda: helices(2, 9.0, 34.0, 3.4, 20, rng, frames),
        "coiled coil": lambda: helices(2, 4.9, 140.0, 1.5, 40, rng, frames),
        "ligand in a pocket": lambda: ligand(rng, frames),
        "MARTINI dimer": lambda: martini(rng, frames),
        "protein in lipids": lambda: patch(rng, frames),
        "long chain": lambda: _system([_walk(400, 1.5, 60.0, rng)], rng, frames),
    }
    kinds = {f"complex of {n}": lambda n=n: complex_of(n, rng, frames) for n in (2, 3, 4, 6, 8, 12)} | special
    for kind, make in kinds.items():
        for cell in CELLS:
            for span in SPANS:
                yield kind, cell, make(), span


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=10)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    table: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(4, dtype=int))
    for kind, cell, system, span in rows(rng, options.frames):
        box = cell_for(system, CELLS[cell], span)
        boxes = np.tile(box, (options.frames, 1))
        boxes[:, :3] *= 1.0 + 0.004 * np.sin(np.arange(options.frames))[:, None]
        for how in WRAPPINGS:
            x = wrap(system, boxes, how, rng)
            got, notes = unwrap(system, x, boxes)
            bad = wrong(system, got) if how != "intact" else (got != x).any(axis=(1, 2))
            missed = bad.sum() if not notes else 0
            table[kind, how] += [(~bad).sum(), len(bad), bool(notes), missed]
            if missed:
                print(f"MISSED: {kind}, {cell}, span {span}, {how}: {missed} frames", file=sys.stderr)
    print(f"{'kind':20s} {'wrapped by':16s} {'right':>6s} {'frames':>6s} {'notes':>6s} {'missed':>6s}")
    for (kind, how), counts in table.items():
        print(f"{kind:20s} {how:16s} " + " ".join(f"{count:6d}" for count in counts))
    return int(sum(counts[3] for counts in table.values()) > 0)


if __name__ == "__main__":
    sys.exit(main())
