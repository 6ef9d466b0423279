"""p(x|z) by name. A new one is one class and one line in `LIKELIHOODS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from trajvae.errors import OptionError
from trajvae.features import Features, Internal
from trajvae.likelihoods.base import Likelihood
from trajvae.likelihoods.gaussians import FRAMES_A_FEATURE, MAX_FULL, Full, Isotropic
from trajvae.likelihoods.internal import InternalLikelihood
from trajvae.likelihoods.principal import Conditional, LowRank, UnitBasis
from trajvae.likelihoods.torsions import TORSIONS, Independent

Builder = Callable[[Any, float, int], Likelihood]

# by kind of features: of all targets, or of internal coordinates' linear ones in units of their spread
LIKELIHOODS: dict[str, dict[str, Builder]] = {
    "cartesian": {
        "isotropic": lambda f, floor, n: Isotropic(f.size, floor, n, f.input_size),
        "full": lambda f, floor, n: Full(f.size, floor, n, f.input_size),
        "lowrank": LowRank,
        "conditional": Conditional,
    },
    "internal": {
        "isotropic": lambda f, floor, n: Isotropic(f.n_linear, floor, n),
        "full": lambda f, floor, n: Full(f.n_linear, floor, n),
        "conditional": lambda f, floor, n: Conditional(UnitBasis(f.n_linear), floor, n),
    },
}
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
    known = LIKELIHOODS[features.kind]
    if name not in known:
        raise OptionError(f"no likelihood '{name}' of {features.kind} features; there are {', '.join(known)}")
    n = features.shape.n_angular
    torsions = torsions or ("autoregressive" if n <= MANY_TORSIONS else "independent")
    if torsions not in TORSIONS:
        raise OptionError(f"torsions must be one of {', '.join(TORSIONS)}, got '{torsions}'")
    if not isinstance(features, Internal):
        return known[name](features, floor, n_frames)
    rest, generator = known[name](features, RELATIVE_FLOOR, n_frames), generator or torch.Generator().manual_seed(0)
    model = TORSIONS[torsions](n, generator) if n else Independent(0, generator)
    return InternalLikelihood(features, model, rest, generator)
