"""Torsions that see placed atoms: masks, normalisation, draws, and state."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from trajvae import Model, Reading, TrainConfig
from trajvae.alignment.align import Alignment
from trajvae.features import FittingData, Internal
from trajvae.likelihoods import default_torsions, make_likelihood
from trajvae.likelihoods.internal import InternalLikelihood
from trajvae.likelihoods.spatial_torsions import Spatial
from trajvae.topology import Topology


def chains(atoms: int, frames: int = 80) -> Internal:
    """Internal coordinates of random walks in space whose torsions all turn."""
    random = np.random.default_rng(0)
    steps = random.normal(size=(frames, atoms, 3))
    x = np.cumsum(steps / np.linalg.norm(steps, axis=2, keepdims=True), axis=1)
    alignment = Alignment.fit("superpose", x, np.ones(atoms))
    return Internal.fit(FittingData(alignment, Topology.anonymous(atoms), alignment.apply(x), 1e-3, 2))


def make(atoms: int, seed: int = 0) -> Spatial:
    """A model in float64 whose last layer is large enough to matter."""
    model = Spatial(chains(atoms), torch.Generator().manual_seed(seed))
    with torch.no_grad():
        model.weights[2].mul_(25.0)
    return model.double().requires_grad_(False)


def params(rows: int, seed: int = 1) -> dict[str, Tensor]:
    """A decoder's output."""
    generator = torch.Generator().manual_seed(seed)
    return {"torsion_context": torch.randn(rows, 64, generator=generator, dtype=torch.float64)}


def uniform(rows: int, n: int, seed: int = 2) -> Tensor:
    """Numbers between 0 and 1."""
    return torch.rand(rows, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_mixtures_depend_on_the_torsions_before_alone() -> None:
    """The derivative of torsion k's mixture by torsion j is zero for j >= k, and not for j < k."""
    model = make(8)
    torsions = 2.0 * uniform(1, 5) - 1.0
    slope = torch.autograd.functional.jacobian(lambda t: model.numbers(params(1), t)[0], torsions)[..., 0, :]
    size = slope.abs().amax(dim=(1, 2))
    below = torch.tril(torch.ones(5, 5, dtype=torch.bool), -1)
    assert bool((size[~below] == 0.0).all())
    assert bool((size[below] > 1e-4).all())


def test_atoms_are_seen() -> None:
    """With the angles' own inputs at zero weight, torsions still depend on those before them."""
    model = make(8)
    model.weights[0][:, 64 : 64 + 2 * model.n] = 0.0
    torsions = 2.0 * uniform(1, 5) - 1.0
    slope = torch.autograd.functional.jacobian(lambda t: model.numbers(params(1), t)[0], torsions)[..., 0, :]
    assert float(slope[4].abs().amax(dim=(0, 1))[:4].min()) > 1e-4


def test_normalised() -> None:
    """The density of two torsions integrates to one over the square, by the trapezoid rule."""
    model = make(5)
    cells = 220
    middle = (torch.arange(cells, dtype=torch.float64) + 0.5) * (2.0 * math.pi / cells) - math.pi
    density = model.log_prob(
        torch.cartesian_prod(middle, middle), {"torsion_context": params(1)["torsion_context"].expand(cells**2, -1)}
    ).exp()
    assert float(density.mean()) * 4.0 * math.pi**2 == pytest.approx(1.0, abs=1e-6)


def test_draws_have_the_joint_density() -> None:
    """A histogram of two drawn torsions agrees with exp(log_prob) integrated over its cells; chi-square, 1e-3."""
    model, n, cells, fine = make(5), 6000, 10, 12
    middle = (torch.arange(cells * fine, dtype=torch.float64) + 0.5) * (2.0 * math.pi / cells / fine) - math.pi
    points, one = torch.cartesian_prod(middle, middle), params(1)["torsion_context"]
    share = model.log_prob(points, {"torsion_context": one.expand(len(points), -1)}).exp()
    share = share.view(cells, fine, cells, fine).sum(dim=(1, 3)).numpy()
    drawn = model.draw({"torsion_context": one.expand(n, -1)}, uniform(n, 2)).numpy()
    edges = np.linspace(-math.pi, math.pi, cells + 1)
    counts, expected = np.histogram2d(*drawn.T, bins=(edges, edges))[0], n * share / share.sum()
    some = expected >= 5.0
    observed, wanted = np.r_[counts[some], counts[~some].sum()], np.r_[expected[some], expected[~some].sum()]
    assert stats.chisquare(observed[wanted > 0.0], wanted[wanted > 0.0]).pvalue > 1e-3


def test_many_frames_are_done_in_pieces() -> None:
    """Densities of more frames than are held at once are those of each alone, with derivatives or without."""
    model, torsions, given = make(6), 6.0 * uniform(600, 3) - 3.0, params(600)
    with torch.no_grad():
        pieces = model.log_prob(torsions, given)
    torch.testing.assert_close(pieces, model.log_prob(torsions.requires_grad_(), given).detach())
    torch.testing.assert_close(
        pieces[500:503], model.log_prob(torsions[500:503], {k: v[500:503] for k, v in given.items()})
    )


def test_the_whole_likelihood_is_normalised() -> None:
    """E over draws of q(x) / p(x) is 1 within 3 standard errors, for a narrower normal q of the linear targets."""
    features, n = chains(5), 20_000
    likelihood = make_likelihood("full", features, 1e-3, 1000, "spatial", torch.Generator().manual_seed(0))
    assert isinstance(likelihood, InternalLikelihood)
    with torch.no_grad():
        likelihood.network.head.weight.mul_(4.0)
        likelihood.torsions.weights[2].mul_(25.0)  # type: ignore[index, union-attr]
    likelihood.double().requires_grad_(False)
    generator = torch.Generator().manual_seed(3)
    heads = {k: torch.randn(1, m, generator=generator, dtype=torch.float64) for k, m in likelihood.param_sizes.items()}
    heads = {k: v.expand(n, -1) for k, v in heads.items()}
    x = likelihood.sample(heads, generator)
    linear = x[:, : features.n_linear]
    narrow = torch.distributions.MultivariateNormal(linear.mean(dim=0), 0.25 * torch.cov(linear.T))
    log_q = narrow.log_prob(linear) - (x.shape[1] - features.n_linear) * math.log(2.0 * math.pi)
    ratio = (log_q - likelihood.log_prob(x, likelihood.condition_on(x, heads))).exp()
    assert abs(float(ratio.mean()) - 1.0) < 3.0 * float(ratio.std()) / math.sqrt(n)
    assert float(ratio.std()) / math.sqrt(n) < 0.1


def test_a_blank_model_that_loads_the_state_is_the_same() -> None:
    """Weights are saved, atoms and masks follow from the features, also when these are loaded after a first use."""
    features = chains(7)
    model = Spatial(features, torch.Generator().manual_seed(0)).double().requires_grad_(False)
    blank = Internal.empty(features.alignment, features.shape)
    blank.load_state_dict(features.state_dict())
    other = Spatial(blank, torch.Generator().manual_seed(9)).double().requires_grad_(False)
    assert {key.split(".")[0] for key in model.state_dict()} == {"weights", "biases"}
    torsions, given = uniform(4, 4), params(4)
    assert not torch.equal(other.log_prob(torsions, given), model.log_prob(torsions, given))
    other.load_state_dict(model.state_dict())
    blank.load_state_dict(features.state_dict())
    assert torch.equal(other.log_prob(torsions, given), model.log_prob(torsions, given))


def test_the_default_depends_on_the_size() -> None:
    """Torsions see atoms by default if they are not few, nor too many; models without a name are older."""
    assert default_torsions(chains(11)) == "autoregressive"
    assert default_torsions(chains(12)) == "spatial"
    assert default_torsions(chains(90)) == "autoregressive"
    assert default_torsions(chains(110)) == "independent"
    old = make_likelihood("full", chains(6), 1e-3, 100)
    assert isinstance(old, InternalLikelihood) and type(old.torsions).__name__ == "Autoregressive"


@pytest.mark.filterwarnings("ignore")
def test_a_saved_model_draws_the_same(tmp_path: Path, examples: Path) -> None:
    """A model of a bead chain says which torsions it has; loaded again, it draws what it drew."""
    config = TrainConfig(features="internal", epochs=1, hidden=(16,))
    model = Model.train(str(examples / "chain3d.npz"), config, reading=Reading(stop=400))
    assert model.config.torsions == "spatial"
    model.save(tmp_path / "model.h5")
    again = Model.load(tmp_path / "model.h5")
    a, b = (m.generate(20, seed=1, redraws=0).positions for m in (model, again))
    np.testing.assert_array_equal(a, b)
