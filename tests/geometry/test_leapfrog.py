"""T4: the generalised leapfrog is reversible, solves what is implicit, preserves volume, and is of order two."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from trajvae.errors import TrajvaeError
from trajvae.geometry import leapfrog
from trajvae.geometry.leapfrog import Hamiltonian, State
from trajvae.geometry.metric import CentroidMetric, factor_of

from helpers import normal_numbers

DIM = 2


def _log_density(z: Tensor) -> Tensor:
    """Two hills, neither of them normal."""
    hills = [-0.5 * ((z - c) / 0.7).square().sum(dim=-1) - 0.1 * (3.0 * z[:, 0]).sin() for c in (0.5, -0.8)]
    return torch.logaddexp(*hills)


def _hamiltonian(dim: int = DIM) -> Hamiltonian:
    factors = torch.eye(dim, dtype=torch.float64) * 0.6 + 0.2 * normal_numbers(20, dim, dim, seed=1)
    return Hamiltonian(_log_density, CentroidMetric(normal_numbers(20, dim, seed=2), factors, 1.5, 0.1))


def _begin(hamiltonian: Hamiltonian, n: int = 40, dim: int = DIM) -> State:
    place = hamiltonian.at(normal_numbers(n, dim, seed=3))
    return leapfrog.start(place, place.momentum(normal_numbers(n, dim, seed=4)))


def _run(hamiltonian: Hamiltonian, state: State, size: Tensor | float, steps: int) -> State:
    for _ in range(steps):
        state = leapfrog.step(hamiltonian, state, torch.as_tensor(size, dtype=torch.float64))
    return state


@pytest.mark.parametrize("size", [0.05, 0.1, torch.tensor([0.05, 0.12], dtype=torch.float64)])
@torch.no_grad()
def test_the_way_back_is_the_way_there(size: Tensor | float) -> None:
    """Ten steps, the momentum turned round, ten steps more: the start, to 1e-6; every equation solved to 1e-8."""
    hamiltonian = _hamiltonian()
    begin = _begin(hamiltonian)
    there = _run(hamiltonian, begin, size, 10)
    back = _run(hamiltonian, leapfrog.start(there.place, -there.momentum), size, 10)
    assert bool(there.kept.all()) and bool(back.kept.all())
    assert float(there.residual.max()) <= 1e-8
    torch.testing.assert_close(back.place.z, begin.place.z, rtol=0, atol=1e-6)
    torch.testing.assert_close(back.momentum, -begin.momentum, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [0.1, torch.tensor([0.05, 0.15], dtype=torch.float64)])
@torch.no_grad()
def test_volume_is_preserved(size: Tensor | float) -> None:
    """|det J| of three steps is one, by central differences of the map itself."""
    hamiltonian, h = _hamiltonian(), 1e-5
    begin = _begin(hamiltonian, 1)
    at = torch.cat([begin.place.z, begin.momentum], dim=1)
    moved = at + h * torch.cat([torch.eye(4), -torch.eye(4)]).to(at)
    end = _run(hamiltonian, leapfrog.start(hamiltonian.at(moved[:, :2]), moved[:, 2:]), size, 3)
    image = torch.cat([end.place.z, end.momentum], dim=1)
    jacobian = ((image[:4] - image[4:]) / (2 * h)).T
    assert float(torch.linalg.det(jacobian)) == pytest.approx(1.0, abs=1e-6)
    assert float((jacobian - torch.eye(4)).abs().max()) > 0.1


@torch.no_grad()
def test_energy_error_falls_as_the_square_of_the_step() -> None:
    """At a fixed total time of 0.8: a step half as long has a quarter of the error."""
    hamiltonian = _hamiltonian()
    begin = _begin(hamiltonian)
    before = hamiltonian.energy(begin.place, begin.momentum)
    errors = []
    for steps in (16, 32, 64):
        end = _run(hamiltonian, begin, 0.8 / steps, steps)
        errors.append(float((hamiltonian.energy(end.place, end.momentum) - before).abs().mean()))
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine == pytest.approx(4.0, rel=0.15)


def test_gradients_go_through_the_implicit_steps() -> None:
    """To the step, the centroids, the factors and the start, as finite differences have them."""
    tensors = {
        "size": torch.tensor([0.1, 0.07], dtype=torch.float64),
        "centroids": normal_numbers(6, DIM, seed=2),
        "factors": 0.5 * torch.eye(DIM, dtype=torch.float64) + 0.2 * normal_numbers(6, DIM, DIM, seed=1),
        "z": normal_numbers(3, DIM, seed=3),
        "noise": normal_numbers(3, DIM, seed=4),
    }
    weights = normal_numbers(3, 2 * DIM, seed=9)

    def value(**x: Tensor) -> Tensor:
        hamiltonian = Hamiltonian(_log_density, CentroidMetric(x["centroids"], x["factors"], 1.5, 0.1))
        place = hamiltonian.at(x["z"])
        end = _run(hamiltonian, leapfrog.start(place, place.momentum(x["noise"])), x["size"], 2)
        return (torch.cat([end.place.z, end.momentum], dim=1) * weights).sum()

    leaves = {k: v.clone().requires_grad_() for k, v in tensors.items()}
    gradients = torch.autograd.grad(value(**leaves), list(leaves.values()))
    for (name, tensor), gradient in zip(tensors.items(), gradients, strict=True):
        numeric = torch.zeros_like(tensor)
        for i in range(tensor.numel()):
            sides = []
            for sign in (1, -1):
                moved = tensor.clone()
                moved.view(-1)[i] += sign * 1e-5
                sides.append(float(value(**{**tensors, name: moved}).detach()))
            numeric.view(-1)[i] = (sides[0] - sides[1]) / 2e-5
        assert float((gradient - numeric).abs().max()) <= 1e-6 * float(numeric.abs().max()), name


@torch.no_grad()
def test_what_does_not_converge_is_said_and_stands_still() -> None:
    """Steps far too long: some rows fail, their numbers stay finite, and the others are solved all the same."""
    hamiltonian = _hamiltonian()
    end = _run(hamiltonian, _begin(hamiltonian, 400), 2.0, 1)
    assert 0.0 < float(end.kept.double().mean()) < 1.0
    assert bool(end.place.z.isfinite().all()) and float(end.residual.max()) <= 1e-8


def test_flat_space_is_the_ordinary_leapfrog() -> None:
    """A metric without slope: half a kick, a drift, half a kick."""
    metric = CentroidMetric(torch.full((1, DIM), 1e6, dtype=torch.float64), torch.zeros(1, DIM, DIM), 1.0, 1.0)
    hamiltonian = Hamiltonian(_log_density, metric)
    z, rho = normal_numbers(5, DIM, seed=3).requires_grad_(), normal_numbers(5, DIM, seed=4)
    end = _run(hamiltonian, leapfrog.start(hamiltonian.at(z), rho), 0.1, 1)

    def force(x: Tensor) -> Tensor:
        return torch.autograd.grad(_log_density(x).sum(), x)[0]

    middle = rho + 0.05 * force(z)
    there = z + 0.1 * middle
    torch.testing.assert_close(end.place.z, there)
    torch.testing.assert_close(end.momentum, middle + 0.05 * force(there))


def test_momenta_are_drawn_from_the_metric() -> None:
    """Their covariance is G, their kinetic energy half the dimension in the mean."""
    place = _hamiltonian().at(normal_numbers(1, DIM, seed=5))
    many = leapfrog.MetricAt(*(x.detach().expand(100_000, *x.shape[1:]) for x in place))
    momentum = many.momentum(normal_numbers(100_000, DIM, seed=6))
    covariance = momentum.T @ momentum / len(momentum)
    torch.testing.assert_close(covariance, torch.linalg.inv(place.inverse[0]).detach(), rtol=0.05, atol=0.05)
    kinetic = many.kinetic(momentum)
    assert abs(float(kinetic.mean()) - 0.5 * DIM) <= 4.0 * float(kinetic.std()) / math.sqrt(len(kinetic))
    exact = torch.linalg.slogdet(place.inverse).logabsdet
    torch.testing.assert_close(place.log_det(), -exact)


def test_a_metric_that_is_none_is_told() -> None:
    """Without a width, and where it is not positive definite: an error of one line, not of the decomposition."""
    with pytest.raises(TrajvaeError, match="not positive definite"):
        CentroidMetric(torch.zeros(1, DIM), torch.eye(DIM).expand(1, DIM, DIM), 0.0, 1.0)
    with pytest.raises(TrajvaeError, match="not positive definite"):
        factor_of(-torch.eye(DIM, dtype=torch.float64).expand(2, DIM, DIM))
