"""The local geometry that a Cartesian model's draws are given: fitted to pilot draws of the trained model."""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import NamedTuple

import numpy as np

from trajvae.local_geometry import WALL, LocalGeometry, Walls
from trajvae.models.draws.draw_judge import DrawJudge
from trajvae.models.draws.nearby_residuals import NUMBERS, NearbyResiduals
from trajvae.models.pipeline import Pipeline
from trajvae.models.sample_measures import draws_of
from trajvae.molecule.nonbonded_pairs import NonbondedPairs
from trajvae.molecule.validity import CONTACT, Validity
from trajvae.runtime.evenly_spaced import evenly_spaced
from trajvae.typing import Float64, Floats, Int64

_logger = logging.getLogger("trajvae")
_DRAWS, _NUMBERS = 4000, 1e7  # pilot draws and training frames, and coordinates in all of either, at most
_FEWEST = 200  # pilot draws at least
_FEWEST_JUDGES = 10  # validation frames that decide where residuals of draws come from
_JUDGED = 400  # draws that they decide by
_CLEARLY = 0.004  # bits by which fewer near frames must be better: 400 draws are judged to about 0.001 bits
_SHARE = 0.8  # of what is wrong beyond the frames' own noise, which may be left at most


@dataclasses.dataclass(frozen=True, eq=False)
class _ContactWalls:
    """Give the walls of pairs, where the validity test's contacts are nearly too near."""

    validity: Validity
    pairs: NonbondedPairs

    def __call__(self, pairs: Int64) -> Float64:
        """Return the walls of pairs (P, 2) in Å; 0 for pairs that are one or two bonds apart."""
        v, n = self.validity, len(self.validity.kinds)
        excluded, three_apart = self.pairs.bonded
        number, (a, b) = pairs[:, 0] * n + pairs[:, 1], v.kinds[pairs].T
        wall = np.where(np.isin(number, three_apart), v.contact_14[a, b], v.contact[a, b])
        return np.asarray(np.where(np.isin(number, excluded), 0.0, WALL / CONTACT * wall), dtype=np.float64)


def walls_of(validity: Validity) -> Walls | None:
    """Return walls where the validity test's contacts are nearly too near; None without pairs that can be."""
    n = len(validity.kinds)
    highest = max(float(validity.contact.max(initial=0.0)), float(validity.contact_14.max(initial=0.0)))
    wall_of = _ContactWalls(validity, NonbondedPairs(validity.bonds, n))
    return Walls(n, wall_of, WALL / CONTACT * highest) if highest > 0.0 else None


class GeometryFrames(NamedTuple):
    """Hold the frames that a local geometry is fitted to, aligned, in Å.

    Attributes
    ----------
    training : ndarray, shape (T, N, D)
        Whose bonds, angles and torsions draws are given.
    kept : ndarray, shape (M, N, D)
        Training frames that the model keeps, whose residuals draws may combine.
    validation : ndarray, shape (V, N, D)
        Which decide whether draws do so.
    """

    training: Floats
    kept: Floats
    validation: Floats


def fit_local_geometry(
    pipeline: Pipeline, validity: Validity, frames: GeometryFrames, judges: Floats, gap: float
) -> LocalGeometry | None:
    """Return what gives draws of a Cartesian model the bonds, angles and torsions of its training frames.

    Parameters
    ----------
    pipeline : Pipeline
    validity : Validity
        Whose bonds are taken, and whose contacts.
    frames : GeometryFrames
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
    n = int(np.clip(_NUMBERS // frames.training[0].size, _FEWEST, _DRAWS))
    simulated, walls = frames.training[evenly_spaced(len(frames.training), n)], walls_of(validity)

    def fitted(drawn: Floats) -> LocalGeometry:
        """Return what maps drawn conformations (n, N, D) to simulated ones."""
        return LocalGeometry.fit(validity.bonds, simulated, drawn, walls)

    if len(frames.validation) < _FEWEST_JUDGES or len(frames.kept) <= NUMBERS[-1]:
        return fitted(draws_of(pipeline, simulated, judges, gap, n))
    judge = DrawJudge(frames.validation, pipeline.topology, validity)
    noise = judge.judge(simulated[evenly_spaced(len(simulated), _JUDGED)]).total
    best, least = None, math.inf
    nearest = NearbyResiduals.of(pipeline, frames.kept)
    for number in (0, *(k for k in NUMBERS if k < len(frames.kept))):
        nearby = dataclasses.replace(nearest, number=number) if number else None
        drawn = draws_of(pipeline, simulated, judges, gap, n, nearby)
        geometry = dataclasses.replace(fitted(drawn), neighbours=number)
        found = judge.judge(geometry.restore(drawn[:_JUDGED]))
        _logger.info("draws with residuals %s: %s", f"of {number} near frames" if number else "from p(x|z)", found)
        wrong = found.total - noise
        if best is not None and wrong > min(least - _CLEARLY, _SHARE * least):
            break
        best, least = geometry, wrong
    return best
