"""What a user chooses by name: the tables of latent spaces and likelihoods, and the names of smaller choices.

An entry of a table is the one place where a thing is declared. The command line, its help and the documentation read
names and summaries from here, and what an entry stands for is imported when it is used: the help waits for nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


def load(source: str | T) -> T:
    """Return what "module:name" stands for, which is imported; anything but a text is returned as it is."""
    if not isinstance(source, str):
        return source
    module, _, name = source.partition(":")
    found: T = getattr(importlib.import_module(module), name)
    return found


@dataclass(frozen=True)
class Choice(Generic[T]):
    """Describe what a name stands for.

    Attributes
    ----------
    summary : str
        A few words, for help and documentation.
    source : str or object
        What is chosen, such as a class; or "module:name" of it, which is imported when it is used.
    """

    summary: str
    source: str | T

    def load(self) -> T:
        """Return what is chosen."""
        return load(self.source)


@dataclass(frozen=True)
class LikelihoodChoice(Choice[T]):
    """Describe a likelihood by name.

    Attributes
    ----------
    features : tuple of str
        Kinds of features whose targets it suits. Of internal coordinates it describes bonds and angles, in units of
        their spread; torsions have a distribution of their own.
    molecule : bool
        Whether it is made with one more argument, named structure: bonds and a typical structure of the molecule.
    """

    features: tuple[str, ...] = ("cartesian", "internal")
    molecule: bool = False


# classes of latent spaces, made with (dim, options)
LATENTS: dict[str, Choice[type]] = {
    "euclidean": Choice("flat space with a normal prior", "trajvae.latents.euclidean:Euclidean"),
    "hyperspherical": Choice("the sphere with a uniform prior", "trajvae.latents.sphere:Sphere"),
    "product": Choice("hyperbolic, spherical and flat factors", "trajvae.latents.product:Product"),
    "rhvae": Choice(
        "flat space, with a posterior that follows a learned metric",
        "trajvae.latents.hamiltonian:RiemannianHamiltonian",
    ),
    "embedded": Choice("circle, torus, sphere, rotations, or a user's samples", "trajvae.latents.embedded:Embedded"),
}
# functions or classes, called with (basis of the targets, floor, number of frames)
LIKELIHOODS: dict[str, LikelihoodChoice[object]] = {
    "isotropic": LikelihoodChoice("one variance", "trajvae.likelihoods.gaussians:isotropic"),
    "full": LikelihoodChoice("one covariance", "trajvae.likelihoods.gaussians:full"),
    "springs": LikelihoodChoice(
        "one covariance, shrunk towards springs along bonds and contacts",
        "trajvae.likelihoods.springs:springs",
        ("cartesian",),
        molecule=True,
    ),
    "lowrank": LikelihoodChoice(
        "a variance of each principal component", "trajvae.likelihoods.principal:LowRank", ("cartesian",)
    ),
    "conditional": LikelihoodChoice("a covariance from the latent point", "trajvae.likelihoods.principal:Conditional"),
}
FEATURES = ("cartesian", "internal")
AUTO = "auto"  # chosen by the data, of features and of samplers
TORSIONS = ("independent", "autoregressive", "spatial")
ALIGNMENTS = ("superpose", "principal", "none")
CENTERS = ("geometry", "mass")
SAMPLERS = ("prior", "aggregate", "metric")
GEOMETRIES = ("simulated", "none")  # of bonds and angles of Cartesian draws
METRICS = ("density", "pullback", "learned", "posterior", "flat")
ENGINES = ("torch", "plumed", "colvars")  # that coordinates are exported to
UNITS = ("nm", "angstrom")  # of the positions that exported coordinates take
PRECISIONS = ("float32", "float64")


def any_of(names: Iterable[str]) -> str:
    """Return names as a sentence has them: "a, b or c"."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def likelihood_names(features: str) -> list[str]:
    """Return the likelihoods of a kind of features, in the order of the table."""
    return [name for name, choice in LIKELIHOODS.items() if features in choice.features]
