"""p(x|z) by name. A new one is one class and one entry of the table `LIKELIHOODS`, in `trajvae.choices`."""

from __future__ import annotations

import functools
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
from trajvae.likelihoods.many_springs import MAX_SPRINGS
from trajvae.likelihoods.principal import UnitBasis
from trajvae.likelihoods.spatial_torsions import Spatial
from trajvae.likelihoods.spring_network import BondedStructure
from trajvae.likelihoods.torsions import TORSIONS, Independent, TorsionModel
from trajvae.typing import Int64

Builder = Callable[[Basis, float, int], Likelihood]
MANY_TORSIONS = 100  # flexible ones, above which they are independent by default: one after the other takes long
FEW_TORSIONS = 8  # up to which the torsions before one say as much as the atoms they place, and take less time
MANY_PLACED = 5000  # torsions times atoms, above which torsions do not see atoms by default: training takes long
RELATIVE_FLOOR = 1e-2  # of internal coordinates' linear targets, whose spread has the floor of the file


def default_likelihood(features: Features, n_frames: int, bonds: Int64 | None = None) -> str:
    """Return the likelihood that suits features and a number of frames.

    Parameters
    ----------
    features : Features
    n_frames : int
        Number of training frames.
    bonds : ndarray of int64, optional, shape (B, 2)
        Bonds of the molecule.

    Returns
    -------
    str
        `full` where the frames suffice to learn it, else `springs` where there are bonds, else `isotropic`; `lowrank`
        for very many features of which `full` or `springs` cannot be had.
    """
    if features.kind == "internal":
        return "full" if features.n_linear <= MAX_FULL else "isotropic"
    few = n_frames < FRAMES_A_FEATURE * features.size
    if few and 1 < n_frames and features.size <= MAX_SPRINGS and bonds is not None and len(bonds):
        return "springs"
    if features.size > MAX_FULL:
        return "lowrank"
    return "isotropic" if few else "full"


def default_torsions(features: Features) -> str | None:
    """Return the name of the model of torsions that a training takes; None where there are no flexible torsions."""
    n = features.shape.n_angular
    if not n or not isinstance(features, Internal):
        return None
    if n > FEW_TORSIONS and n * len(features.references) <= MANY_PLACED:
        return "spatial"
    return "autoregressive" if n <= MANY_TORSIONS else "independent"


def _torsion_model(name: str | None, features: Internal, generator: torch.Generator) -> TorsionModel:
    """Return a model of torsions by name; without one, that of models written before trainings stored its name."""
    n = features.shape.n_angular
    name = name or ("autoregressive" if n <= MANY_TORSIONS else "independent")
    if not n:
        return Independent(0, generator)
    return Spatial(features, generator) if name == "spatial" else TORSIONS[name](n, generator)


def make_likelihood(
    name: str,
    features: Features,
    floor: float,
    n_frames: int,
    torsions: str | None = None,
    generator: torch.Generator | None = None,
    structure: BondedStructure | None = None,
) -> Likelihood:
    """Build a likelihood by name.

    Parameters
    ----------
    name : str
    features : Features
    floor : float
        Smallest standard deviation in Å.
    n_frames : int
        Number of training frames.
    torsions : str, optional
        Model of the flexible torsions of internal coordinates.
    generator : torch.Generator, optional
        Of the weights of networks that it owns.
    structure : BondedStructure, optional
        Of the molecule, for a likelihood that asks for it.

    Raises
    ------
    OptionError
        No such likelihood of these features, or too many features for it; no such model of torsions.
    """
    known = likelihood_names(features.kind)
    if name not in known:
        raise OptionError(f"no likelihood '{name}' of {features.kind} features; there are {', '.join(known)}")
    if torsions is not None:
        check_choice(torsions, (*TORSIONS, "spatial"), "torsions")
    build = cast(Builder, LIKELIHOODS[name].load())
    if LIKELIHOODS[name].molecule:
        build = functools.partial(cast(Callable[..., Likelihood], build), structure=structure)
    if not isinstance(features, Internal):
        return build(cast(Basis, features), floor, n_frames)
    rest, generator = (
        build(UnitBasis(features.n_linear), RELATIVE_FLOOR, n_frames),
        generator or torch.Generator().manual_seed(0),
    )
    return InternalLikelihood(features, _torsion_model(torsions, features, generator), rest, generator)


__all__ = [
    "FEW_TORSIONS",
    "LIKELIHOODS",
    "MANY_PLACED",
    "MANY_TORSIONS",
    "RELATIVE_FLOOR",
    "Basis",
    "BondedStructure",
    "Builder",
    "Likelihood",
    "LikelihoodChoice",
    "default_likelihood",
    "default_torsions",
    "likelihood_names",
    "make_likelihood",
]
