"""The covariance that is shrunk towards springs: density, draws, strengths, weight, state, held-out likelihood."""

from __future__ import annotations

import MDAnalysis as mda
import numpy as np
import pytest
import torch
from MDAnalysisTests.datafiles import DCD, PSF
from torch import Tensor
from torch import distributions as td

from trajvae.features import FittingData, ShapeSpace
from trajvae.likelihoods import BondedStructure, default_likelihood, make_likelihood
from trajvae.likelihoods.spring_network import SpringNetwork, fit_strengths, precision_of
from trajvae.likelihoods.springs import Springs
from trajvae.readers import Alignment
from trajvae.topology import Topology
from trajvae.typing import Float64, Int64

ATOMS = 10
FLOOR = 1e-3


def _chain() -> tuple[Float64, Int64]:
    """Atoms along a helix in Å, and the bonds between neighbours."""
    k = np.arange(ATOMS)
    x = np.stack([2.3 * np.cos(1.745 * k), 2.3 * np.sin(1.745 * k), 1.5 * k], axis=1)
    return x - x.mean(axis=0), np.stack([k[:-1], k[1:]], axis=1).astype(np.int64)


def _space(x: Float64, kept: int = 5) -> ShapeSpace:
    features = ShapeSpace(x, np.ones(len(x)), "superpose", kept)
    frames = x + 0.1 * np.random.default_rng(0).normal(size=(50, *x.shape))
    features.set_components(features.targets(torch.from_numpy(frames)), kept, 0.1)
    return features


def _made(n_frames: int, floor: float = FLOOR) -> Springs:
    x, bonds = _chain()
    made = make_likelihood("springs", _space(x), floor, n_frames, structure=BondedStructure(bonds, x))
    assert isinstance(made, Springs)
    return made


def _network() -> tuple[SpringNetwork, ShapeSpace, list[Tensor]]:
    """Springs whose lengths all have the variance 1 Å^2, their matrices, and the identity."""
    x, bonds = _chain()
    network, features = SpringNetwork(BondedStructure(bonds, x)), _space(x)
    parts = network.stiffnesses(torch.ones(len(network.pairs), dtype=torch.float64), features)
    return network, features, [*parts, torch.eye(features.size, dtype=torch.float64)]


def _strengths(number: int) -> Tensor:
    """Stiff bonds, weaker angles, and so on."""
    return 2000.0 * 0.25 ** torch.arange(number, dtype=torch.float64)


def _frames(n: int, seed: int = 0) -> Tensor:
    """Targets drawn from a network of known strengths, about zero."""
    parts = _network()[2]
    covariance = torch.linalg.inv(precision_of(parts, _strengths(len(parts))))
    noise = torch.randn(n, len(covariance), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return noise @ torch.linalg.cholesky(covariance).T


def _energies(parts: list[Tensor], moment: Tensor) -> Tensor:
    return torch.stack([(part * moment).sum() for part in parts])


def _fitted(n_frames: int = 40) -> Springs:
    made = _made(n_frames)
    made.set_moment(made.moment(_frames(n_frames)))
    return made


def _covariance(likelihood: Springs) -> Tensor:
    return likelihood.cholesky @ likelihood.cholesky.T


def test_classes_of_springs() -> None:
    """Bonds, then atoms two and three bonds apart, then the shells; every pair once, along the line between them."""
    x, bonds = _chain()
    network = SpringNetwork(BondedStructure(bonds, x))
    assert [int((network.kinds == k).sum()) for k in (0, 1, 2)] == [ATOMS - 1, ATOMS - 2, ATOMS - 3]
    assert len(np.unique(network.pairs, axis=0)) == len(network.pairs)
    gap = x[network.pairs[:, 0]] - x[network.pairs[:, 1]]
    np.testing.assert_allclose(network.directions * np.linalg.norm(gap, axis=1)[:, None], gap)
    assert np.linalg.norm(gap, axis=1).max() <= 12.0


def test_stiffnesses_are_the_squares_of_changes_of_length() -> None:
    """r H_c r is the sum of the squares of the springs' changes of length, by finite differences of the distances."""
    network, features, parts = _network()
    x = features.positions(features.mean[None] * 0.0)[0]
    x = torch.from_numpy(_chain()[0])
    r = torch.randn(features.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    i, j = network.pairs.T
    lengths = [
        (moved[i] - moved[j]).norm(dim=-1)
        for moved in (x + 1e-5 * features.positions(r[None])[0], x - 1e-5 * features.positions(r[None])[0])
    ]
    change = (lengths[0] - lengths[1]) / 2e-5
    for kind in range(network.n_kinds):
        expected = change[network.kinds == kind].square().sum()
        torch.testing.assert_close(r @ parts[kind] @ r, expected, rtol=1e-6, atol=1e-9)


def test_mean_squares_are_those_of_the_lengths() -> None:
    """They are tr(g g^T S); with few frames the springs of a class are nearly alike."""
    network, features, _ = _network()
    frames = _frames(200)
    moment = frames.T @ frames / len(frames)
    x = features.positions(frames)
    i, j = network.pairs.T
    along = ((x[:, i] - x[:, j]) * torch.from_numpy(network.directions)).sum(dim=-1)
    found = network.lengths(moment, features)
    torch.testing.assert_close(found, along.square().mean(dim=0), rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(network.lengths_of(frames, features), found, rtol=1e-6, atol=1e-12)
    few = network.shared(found, 1)
    for kind in range(network.n_kinds):
        of_kind = torch.from_numpy(network.kinds == kind)
        torch.testing.assert_close(few[of_kind].mean(), found[of_kind].mean(), rtol=1e-6, atol=1e-12)
        assert few[of_kind].std() <= 0.1 * found[of_kind].std() + 1e-12


def test_strengths_of_a_known_network_are_found() -> None:
    """Log strengths fitted to drawn frames are within three standard errors (Fisher information) of the true ones."""
    parts, n = _network()[2], 4000
    true = _strengths(len(parts))
    frames = _frames(n)
    found = fit_strengths(parts, _energies(parts, frames.T @ frames / n), enough=1e-10)
    covariance = torch.linalg.inv(precision_of(parts, true))
    scaled = [a * covariance @ part for a, part in zip(true, parts, strict=True)]
    fisher = torch.stack([torch.stack([0.5 * n * (a * b.T).sum() for b in scaled]) for a in scaled])
    error = torch.linalg.inv(fisher).diagonal().sqrt()
    assert bool(((found / true).log().abs() <= 3.0 * error).all())


def test_strengths_are_those_of_largest_likelihood() -> None:
    """The slope of the likelihood vanishes there, and no other start leads elsewhere."""
    parts = _network()[2]
    frames = _frames(30)
    moment = frames.T @ frames / len(frames)
    found = fit_strengths(parts, _energies(parts, moment), enough=1e-9)
    inverse = torch.linalg.inv(precision_of(parts, found))
    slope = torch.stack([a * ((inverse - moment) * part).sum() for a, part in zip(found, parts, strict=True)])
    assert float(slope.abs().max()) < 0.02 * len(moment)
    factors = torch.tensor([3.0, 0.3, 1.0, 5.0, 0.2, 2.0, 0.5], dtype=torch.float64)
    other = fit_strengths(parts, _energies(parts, moment), found * factors, 1e-9)

    def value(strengths: Tensor) -> Tensor:
        precision = precision_of(parts, strengths)
        return torch.logdet(precision) - (precision * moment).sum()

    assert float((value(found) - value(other)).abs()) < 0.02


def test_log_prob_equals_torch() -> None:
    """log p is that of the normal distribution of the shrunk covariance, to 1e-10."""
    likelihood = _fitted()
    assert 0.0 < float(likelihood.weighing.weight) < 1.0
    targets, loc = _frames(20, 1), _frames(20, 2)
    twin = td.MultivariateNormal(loc, _covariance(likelihood)).log_prob(targets)
    torch.testing.assert_close(likelihood.log_prob(targets, {"loc": loc}), twin, rtol=1e-10, atol=1e-10)


def test_covariance_is_moment_and_springs() -> None:
    """C = (1 - w) S + w T, with T the inverse of the springs' precision, and S the mean outer product."""
    likelihood, residual = _fitted(), _frames(40)
    target = torch.linalg.inv(likelihood.springs.precision())
    moment, w = residual.T @ residual / len(residual), likelihood.weighing.weight
    torch.testing.assert_close(_covariance(likelihood), (1.0 - w) * moment + w * target, rtol=1e-6, atol=1e-9)


def test_draws_have_the_covariance() -> None:
    """Every entry of the draws' covariance is within five standard errors of the likelihood's."""
    likelihood, n = _fitted(), 40_000
    covariance = _covariance(likelihood)
    params = {"loc": torch.zeros(n, likelihood.size, dtype=torch.float64)}
    draws = likelihood.sample(params, torch.Generator().manual_seed(3))
    error = ((covariance.diagonal().outer(covariance.diagonal()) + covariance.square()) / n).sqrt()
    assert bool(((draws.T @ draws / n - covariance).abs() <= 5 * error).all())


def test_the_size_of_the_moment_scales_the_covariance_without_a_fit() -> None:
    """Strengths and weight stay as they are, and C is that of before times the factor."""
    likelihood, moment = _fitted(), _made(40).moment(_frames(40))
    before, strengths = _covariance(likelihood), likelihood.springs.strengths.clone()
    likelihood.set_moment(1.7 * moment)
    torch.testing.assert_close(_covariance(likelihood), 1.7 * before, rtol=2e-3, atol=1e-9)
    assert torch.equal(strengths, likelihood.springs.strengths)
    likelihood.set_moment(torch.diag(moment.diagonal()))
    assert not torch.equal(strengths, likelihood.springs.strengths)


def test_a_loaded_likelihood_goes_on_as_the_other() -> None:
    """From the state alone: densities are the same at once, and so is the next covariance, bit for bit."""
    likelihood, other = _fitted(), _made(40)
    other.load_state_dict(likelihood.state_dict())
    x = _frames(5, 4)
    assert torch.equal(likelihood.log_prob(x, {"loc": x * 0.9}), other.log_prob(x, {"loc": x * 0.9}))
    moment = likelihood.moment(_frames(40)) + 1e-5 * likelihood.moment(_frames(40, 5))
    for each in (likelihood, other):
        each.set_moment(moment)
    assert torch.equal(likelihood.cholesky, other.cholesky)


@pytest.mark.parametrize("residual", [torch.zeros(5, 3 * ATOMS - 6).double(), _frames(2), 1e-9 * _frames(3)])
def test_no_direction_is_narrower_than_the_floor(residual: Tensor) -> None:
    """Whatever the residuals, the eigenvalues of the covariance are not below the square of the floor."""
    likelihood = _made(len(residual), floor=0.02)
    likelihood.set_moment(likelihood.moment(residual))
    assert torch.linalg.eigvalsh(_covariance(likelihood)).min() >= 0.02**2 * (1 - 1e-9)


def test_shrinks_only_where_frames_are_few() -> None:
    """From ten frames a feature on, the covariance is the moment."""
    likelihood = _made(10 * (3 * ATOMS - 6))
    moment = likelihood.moment(_frames(240))
    likelihood.set_moment(moment)
    torch.testing.assert_close(_covariance(likelihood), moment, rtol=1e-9, atol=1e-12)
    assert not bool(likelihood.springs.strengths.any())


@pytest.mark.parametrize(("n", "name"), [(1, "isotropic"), (2, "springs"), (239, "springs"), (240, "full")])
def test_default_of_a_molecule_with_bonds(n: int, name: str) -> None:
    """Springs below ten frames a feature; without bonds one variance."""
    x, bonds = _chain()
    assert default_likelihood(_space(x), n, bonds) == name
    assert default_likelihood(_space(x), n, bonds[:0]) == ("full" if n == 240 else "isotropic")


@pytest.fixture(scope="module")
def adenylate_kinase() -> tuple[Float64, Int64]:
    """C-alphas of the first 60 residues of adenylate kinase, 98 frames (T, N, 3) in Å, and the chain's bonds."""
    universe = mda.Universe(PSF, DCD)
    atoms = universe.select_atoms("name CA")[:60]
    frames = np.stack([atoms.positions.astype(np.float64) for _ in universe.trajectory])
    return frames, Topology.anonymous(len(atoms)).backbone_bonds()


@pytest.mark.parametrize("step", [5, 2])
def test_frames_that_were_left_out_are_likelier(adenylate_kinase: tuple[Float64, Int64], step: int) -> None:
    """By half a nat a degree of freedom than with one variance, and more than with a mean variance mixed in."""
    frames, bonds = adenylate_kinase
    train = np.arange(len(frames)) % step == 0
    alignment = Alignment.fit("superpose", frames[train], np.ones(frames.shape[1]))
    known, left_out = (np.asarray(alignment.apply(frames[some]), dtype=np.float64) for some in (train, ~train))
    features = ShapeSpace.fit(FittingData(alignment, Topology.anonymous(60), known, FLOOR, 2))
    targets = features.targets(torch.from_numpy(known))
    mean, score = targets.mean(dim=0)[None], {}
    for name in ("isotropic", "full", "springs"):
        structure = BondedStructure(bonds, alignment.reference)
        likelihood = make_likelihood(name, features, FLOOR, int(train.sum()), structure=structure)
        likelihood.set_moment(likelihood.moment(targets - mean))
        density = likelihood.log_prob(features.targets(torch.from_numpy(left_out)), {"loc": mean})
        score[name] = float(density.mean()) / features.size
    assert score["springs"] > score["full"] + 0.1
    assert score["full"] > score["isotropic"] + 0.5
