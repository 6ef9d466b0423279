"""A molecule of three beads in the plane, whose first bond has two lengths, drawn from a biased density."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trajvae.typing import Float64

KT = 8.31446261815324e-3 * 300.0
GRID = np.linspace(1.5, 4.5, 3001)


def energy(x: Float64) -> Float64:
    """A double well in kJ/mol: minima near 2.3 Å and 3.7 Å, the second 4 kJ/mol higher, a barrier of about 8."""
    return 8.0 * (((x - 3.0) / 0.7) ** 2 - 1.0) ** 2 + 2.0 * (x - 3.0) / 0.7


def bias(x: Float64) -> Float64:
    """What was added to the energy in the simulation: it nearly flattens the double well."""
    return -0.7 * energy(x)


def exact(edges: Float64) -> Float64:
    """Probability of each bin of bond lengths without the bias; what lies beyond counts in the outermost."""
    p = np.exp(-energy(GRID) / KT)
    place = np.clip(np.searchsorted(edges, GRID, side="right") - 1, 0, len(edges) - 2)
    return np.asarray(np.bincount(place, p / p.sum(), minlength=len(edges) - 1))


def exact_mean() -> float:
    """Mean bond length in Å without the bias."""
    p = np.exp(-energy(GRID) / KT)
    return float((GRID * p).sum() / p.sum())


def biased_chain(n: int, seed: int = 0) -> tuple[Float64, Float64]:
    """Frames (n, 3, 2) in Å, independent of each other, and the bias of each in kJ/mol."""
    random = np.random.default_rng(seed)
    p = np.exp(-(energy(GRID) + bias(GRID)) / KT)
    x = np.interp(random.uniform(size=n), np.cumsum(p) / p.sum(), GRID)
    second, angle = 2.0 + 0.05 * random.normal(size=n), 1.2 + 0.1 * random.normal(size=n)
    zero = np.zeros(n)
    ends = np.stack([x + second * np.cos(angle), second * np.sin(angle)], axis=1)
    return np.stack([np.stack([zero, zero], 1), np.stack([x, zero], 1), ends], axis=1), bias(x)


def write_colvar(path: Path, time: Float64, values: Float64) -> Path:
    """Write a COLVAR file."""
    rows = "\n".join(f" {t:.6f} {v:.9f}" for t, v in zip(time, values, strict=True))
    path.write_text(f"#! FIELDS time metad.bias\n#! SET min_phi -pi\n{rows}\n")
    return path
