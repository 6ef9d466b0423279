"""The local geometry that a Cartesian model's draws are given: fitted to pilot draws of the trained model."""

from __future__ import annotations

import numpy as np

from trajvae.local_geometry import WALL, LocalGeometry, Walls
from trajvae.models.pipeline import Pipeline
from trajvae.models.sample_measures import draws_of
from trajvae.molecule.nonbonded_pairs import NonbondedPairs
from trajvae.molecule.validity import CONTACT, Validity
from trajvae.runtime.evenly_spaced import evenly_spaced
from trajvae.typing import Float64, Floats, Int64

_DRAWS, _NUMBERS = 4000, 1e7  # pilot draws and training frames, and coordinates in all of either, at most
_FEWEST = 200  # pilot draws at least


def walls_of(validity: Validity) -> Walls | None:
    """Return walls where the validity test's contacts are nearly too near; None without pairs that can be."""
    n, pairs_of = len(validity.kinds), NonbondedPairs(validity.bonds, len(validity.kinds))
    highest = max(float(validity.contact.max(initial=0.0)), float(validity.contact_14.max(initial=0.0)))

    def wall_of(pairs: Int64) -> Float64:
        """Return the walls of pairs (P, 2) in Å; 0 for pairs that are one or two bonds apart."""
        excluded, three_apart = pairs_of.bonded
        number, (a, b) = pairs[:, 0] * n + pairs[:, 1], validity.kinds[pairs].T
        wall = np.where(np.isin(number, three_apart), validity.contact_14[a, b], validity.contact[a, b])
        return np.asarray(np.where(np.isin(number, excluded), 0.0, WALL / CONTACT * wall), dtype=np.float64)

    return Walls(n, wall_of, WALL / CONTACT * highest) if highest > 0.0 else None


def fit_local_geometry(
    pipeline: Pipeline, validity: Validity, frames: Floats, judges: Floats, gap: float
) -> LocalGeometry | None:
    """Return what gives draws of a Cartesian model the bonds, angles and torsions of its training frames.

    Parameters
    ----------
    pipeline : Pipeline
    validity : Validity
        Whose bonds are taken, and whose contacts.
    frames : ndarray, shape (T, N, D)
        Training frames in Å.
    judges : ndarray, shape (V, ambient)
        Latent points of validation frames.
    gap : float
        Result of `prior_gap`, by which it is decided where latent points come from.

    Returns
    -------
    LocalGeometry or None
        None of internal coordinates, whose draws have the simulation's bonds by themselves, and without bonds.
    """
    if pipeline.config.features != "cartesian" or not len(validity.bonds):
        return None
    n = int(np.clip(_NUMBERS // frames[0].size, _FEWEST, _DRAWS))
    frames = frames[evenly_spaced(len(frames), n)]
    drawn = draws_of(pipeline, frames, judges, gap, n)
    return LocalGeometry.fit(validity.bonds, frames, drawn, walls_of(validity))
