"""p(x|z) by name. A new one is one class and one entry of the table `LIKELIHOODS`, in `trajvae.choices`."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch

from trajvae.arguments.lookup import check_choice
from trajvae.choices import LIKELIHOODS, LikelihoodChoice, likelihood_names
from trajvae.errors import OptionError
from trajvae.features import Features, Internal
from trajvae.likelihoods.base import Basis, Likelihood
from trajvae.likelihoods.gaussians import FRAMES_A_FEATURE, MAX_FULL
from trajvae.likelihoods.internal import InternalLikelihood
from trajvae.likelihoods.principal import UnitBasis
from trajvae.likelihoods.torsions import TORSIONS, Independent

Builder = Callable[[Basis, float, int], Likelihood]
MANY_TORSIONS = 100  # flexible ones, above which they are independent by default: one after the other takes long
RELATIVE_FLOOR = 1e-2  # of internal coordinates' linear targets, whose spread has the floor of the file


def default_likelihood(features: Features, n_frames: int) -> str:
    """Return `full` where the frames suffice to learn it, else `isotropic`; `lowrank` for very many features."""
    if features.kind == "internal":
        return "full" if features.n_linear <= MAX_FULL else "isotropic"
    if features.size > MAX_FULL:
        return "lowrank"
    return "full" if n_frames >= FRAMES_A_FEATURE * features.size else "isotropic"


def make_likelihood(
    name: str,
    features: Features,
    floor: float,
    n_frames: int,
    torsions: str | None = None,
    generator: torch.Generator | None = None,
) -> Likelihood:
    """Build a likelihood by name; the generator is of the weights of networks that it owns.

    Raises
    ------
    OptionError
        No such likelihood of these features, or too many features for it; no such model of torsions.
    """
    known = likelihood_names(features.kind)
    if name not in known:
        raise OptionError(f"no likelihood '{name}' of {features.kind} features; there are {', '.join(known)}")
    n = features.shape.n_angular
    torsions = torsions or ("autoregressive" if n <= MANY_TORSIONS else "independent")
    check_choice(torsions, TORSIONS, "torsions")
    build = cast(Builder, LIKELIHOODS[name].load())
    if not isinstance(features, Internal):
        return build(cast(Basis, features), floor, n_frames)
    rest, generator = (
        build(UnitBasis(features.n_linear), RELATIVE_FLOOR, n_frames),
        generator or torch.Generator().manual_seed(0),
    )
    model = TORSIONS[torsions](n, generator) if n else Independent(0, generator)
    return InternalLikelihood(features, model, rest, generator)


__all__ = [
    "LIKELIHOODS",
    "MANY_TORSIONS",
    "RELATIVE_FLOOR",
    "Basis",
    "Builder",
    "Likelihood",
    "LikelihoodChoice",
    "default_likelihood",
    "likelihood_names",
    "make_likelihood",
]
