"""Likelihoods by name and kind of features: which there are, which is the default, what they let the latent have."""

from __future__ import annotations

import numpy as np
import pytest

from trajvae.errors import OptionError
from trajvae.features import FeatureSizes, Internal, ShapeSpace
from trajvae.likelihoods import LIKELIHOODS, default_likelihood, likelihood_names, make_likelihood
from trajvae.likelihoods.gaussians import MAX_FULL
from trajvae.likelihoods.internal import InternalLikelihood
from trajvae.likelihoods.principal import UnitBasis
from trajvae.readers import Alignment


def _reference(n_atoms: int) -> Alignment:
    x = np.random.default_rng(0).normal(size=(n_atoms, 3))
    return Alignment("superpose", x - x.mean(axis=0), np.ones(n_atoms))


def _internal(n_atoms: int, n_angular: int = 0) -> Internal:
    """Features that hold no numbers yet."""
    return Internal.empty(_reference(n_atoms), FeatureSizes(2, n_angular))


def _cartesian(n_atoms: int) -> ShapeSpace:
    return ShapeSpace.empty(_reference(n_atoms), FeatureSizes(2))


@pytest.mark.parametrize("name", ["lowrank", "independent", "Full", ""])
def test_a_name_that_internal_coordinates_lack_is_refused(name: str) -> None:
    """The error is of options and names those that there are."""
    with pytest.raises(OptionError, match=rf"no likelihood '{name}' of internal features; .*isotropic.*full.*condit"):
        make_likelihood(name, _internal(6, 2), 1e-3, 1000)


@pytest.mark.parametrize("name", ["autoregressive", "molecular", ""])
def test_a_name_that_shape_space_lacks_is_refused(name: str) -> None:
    """The error is of options and names those that there are."""
    with pytest.raises(OptionError, match=rf"'{name}' of cartesian features; .*isotropic.*full.*lowrank.*conditional"):
        make_likelihood(name, _cartesian(6), 1e-3, 1000)


@pytest.mark.parametrize("features", [_internal(6, 2), _cartesian(6)], ids=lambda f: f.kind)
def test_an_unknown_model_of_torsions_is_refused(features: Internal | ShapeSpace) -> None:
    """Whatever the features, the error names the models of torsions."""
    with pytest.raises(OptionError, match=r"no torsions 'free'; there are independent, autoregressive"):
        make_likelihood("full", features, 1e-3, 1000, torsions="free")


@pytest.mark.parametrize("name", likelihood_names("cartesian"))
def test_names_of_shape_space(name: str) -> None:
    """Each name is its entry of the table, over all features, with the floor and the frames that were given."""
    likelihood = make_likelihood(name, _cartesian(6), 0.02, 1000)
    assert type(likelihood) is type(LIKELIHOODS[name].load()(_cartesian(6), 0.02, 1000))
    assert (likelihood.size, likelihood.floor, likelihood.n_frames) == (12, 0.02, 1000)
    assert likelihood.param_sizes["loc"] == 2


@pytest.mark.parametrize("name", likelihood_names("internal"))
def test_names_of_internal_coordinates(name: str) -> None:
    """Each name is its entry of the table, over the linear targets, within one that holds the torsions too."""
    likelihood = make_likelihood(name, _internal(6, 2), 0.02, 1000)
    assert isinstance(likelihood, InternalLikelihood)
    assert type(likelihood.rest) is type(LIKELIHOODS[name].load()(UnitBasis(10), 0.02, 1000))
    assert (likelihood.size, likelihood.rest.size, likelihood.torsions.n) == (12, 10, 2)
    assert likelihood.rest.param_sizes["loc"] == 10


@pytest.mark.parametrize("frames", [10, 10**6])
def test_the_default_of_internal_coordinates(frames: int) -> None:
    """`full` up to 1000 linear targets, however few frames; above them `isotropic`, and `full` is refused."""
    most = _internal(336, 2)  # 3 N - 6 - 2
    assert (most.n_linear, default_likelihood(most, frames)) == (MAX_FULL, "full")
    more = _internal(336, 1)
    assert (more.n_linear, default_likelihood(more, frames)) == (MAX_FULL + 1, "isotropic")
    with pytest.raises(OptionError, match="isotropic"):
        make_likelihood("full", more, 1e-3, frames)


def test_who_explains_much_by_itself_leaves_the_latent_nats() -> None:
    """Free bits and a longer warm-up go together; internal coordinates have them whatever the likelihood."""
    made = [make_likelihood(name, _cartesian(6), 1e-3, 1000) for name in likelihood_names("cartesian")]
    assert all((likelihood.free_bits > 0) == (likelihood.warmup > 0) for likelihood in made)
    assert {likelihood.free_bits > 0 for likelihood in made} == {False, True}
    for name in likelihood_names("internal"):
        molecular = make_likelihood(name, _internal(6, 2), 1e-3, 1000)
        assert (molecular.free_bits, molecular.warmup) == (4.0, 0.3)
