"""Internal coordinates: which torsions turn, where they are counted from, and what does not change them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import circmean, circstd, norm
from torch import Tensor

from trajvae.alignment.align import Alignment
from trajvae.errors import OptionError
from trajvae.features import FittingData, Internal, ShapeSpace
from trajvae.features.internal import STIFF
from trajvae.features.rebuild import Coordinates, RebuildPlan, measure, rebuild
from trajvae.readers import Reading, open_source
from trajvae.topology import Topology
from trajvae.typing import Float64

N_FRAMES = 400
FOUR = np.array([[1, -1, -1], [-1, -1, -1], [1, 0, -1], [2, 1, 0]])  # a chain of four atoms


def fitted(x: Float64, topology: Topology | None = None, floor: float = 1e-3) -> Internal:
    """Features of frames, of anonymous atoms unless told."""
    alignment = Alignment.fit("superpose", x, np.ones(x.shape[1]))
    topology = topology or Topology.anonymous(x.shape[1])
    return Internal.fit(FittingData(alignment, topology, alignment.apply(x), floor, 2))


def chain_of(torsions: Float64, bond: float = 1.5, angle: float = 1.9, noise: float = 0.0) -> Float64:
    """Four atoms in space with given torsions, (T, 4, 3); bonds vary by the noise."""
    n = len(torsions)
    bonds = bond + noise * np.random.default_rng(3).normal(size=(n, 3))
    parts = (bonds, np.full((n, 2), angle), torsions[:, None])
    return rebuild(Coordinates(*(torch.from_numpy(p) for p in parts)), RebuildPlan(FOUR)).numpy()


def spread_about(centre: float, deviation: float) -> Float64:
    """Quantiles of a normal distribution in a mixed order: its deviation is the circular one."""
    quantiles = norm.ppf((np.arange(N_FRAMES) + 0.5) / N_FRAMES)
    return centre + deviation * np.random.default_rng(4).permutation(quantiles)


def around(angle: Tensor) -> Tensor:
    """The shorter way round, in [-pi, pi)."""
    return torch.remainder(angle + torch.pi, 2.0 * torch.pi) - torch.pi


def apart(features: Internal, a: Tensor, b: Tensor) -> float:
    """The largest difference of targets, of whole turns the shorter way round."""
    k = features.n_linear
    return float(torch.cat([a[:, :k] - b[:, :k], around(a[:, k:] - b[:, k:])], dim=1).abs().max())


@pytest.fixture(scope="module")
def dipeptide(examples) -> tuple[Internal, Tensor, Topology]:
    """All atoms of alanine dipeptide, 1000 frames in float64, not aligned."""
    reading = Reading(topology=examples / "alanine_dipeptide.pdb", select="all", step=10)
    frames = open_source(examples / "alanine_dipeptide.xtc", reading)
    x = frames.read().positions.astype(np.float64)
    return fitted(x, frames.topology), torch.from_numpy(x), frames.topology


@pytest.fixture(scope="module", params=["space", "plane"])
def molecule(request: pytest.FixtureRequest, dipeptide, chain) -> tuple[Internal, Tensor]:
    """The dipeptide and the bead chain of the plane."""
    if request.param == "space":
        return dipeptide[:2]
    x = chain.astype(np.float64)
    return fitted(x), torch.from_numpy(x)


@pytest.mark.parametrize("centre", [0.0, 1.0, 3.1, -3.1])
@pytest.mark.parametrize("deviation", [0.05, 0.40, 0.44, 0.46, 0.50, 1.5])
def test_torsions_turn_above_a_circular_deviation(centre, deviation):
    """On both sides of 0.45 rad and wherever they are, around the seam as well; scipy's deviation agrees."""
    torsions = spread_about(centre, deviation)
    features = fitted(chain_of(torsions, noise=0.02))
    assert circstd(torsions) == pytest.approx(deviation, rel=0.02)
    assert features.flexible.tolist() == [circstd(torsions) >= STIFF] == [deviation > 0.45]
    assert features.shape.n_angular == int(deviation > 0.45)


@pytest.mark.parametrize("centre", [0.0, 2.0, np.pi, -3.1])
def test_stiff_torsions_are_counted_about_their_circular_mean(centre):
    """As plain numbers with mean 0 and their own deviation, with no seam among them, in the frames' order."""
    torsions = spread_about(centre, 0.3)
    x = chain_of(torsions)
    features = fitted(x)
    counted = features.targets(torch.from_numpy(x))[:, -1].numpy()
    np.testing.assert_allclose(counted, torsions - centre, rtol=0, atol=1e-9)
    mean = circmean(torsions, high=np.pi, low=-np.pi)
    assert np.exp(1j * float(features.centre[0])) == pytest.approx(np.exp(1j * mean), abs=1e-9)
    assert float(features.middle[-1]) == pytest.approx(0.0, abs=1e-9)
    assert float(features.spread[-1]) == pytest.approx(np.std(torsions, ddof=1))


def test_flexible_torsions_are_counted_from_zero():
    """Their centre is 0 and their target the torsion itself, in (-pi, pi]."""
    torsions = np.random.default_rng(0).uniform(-3.1, 3.1, N_FRAMES)
    x = chain_of(torsions)
    features = fitted(x)
    assert features.centre.tolist() == [0.0]
    np.testing.assert_allclose(features.targets(torch.from_numpy(x))[:, -1], torsions, rtol=0, atol=1e-9)


def test_angles_are_wrapped_once():
    """Frames with any torsion have theirs in [-pi, pi) about the centre, on the side that the turn says."""
    features = fitted(chain_of(spread_about(3.0, 0.2)))
    torsions = np.linspace(-np.pi + 1e-6, np.pi - 1e-6, 500)
    counted = features.targets(torch.from_numpy(chain_of(torsions)))[:, -1]
    assert counted.min() >= -np.pi and counted.max() < np.pi
    np.testing.assert_allclose(around(counted - torch.from_numpy(torsions) + 3.0), 0.0, atol=1e-6)
    assert counted.min() < -3.1 and counted.max() > 3.1


@pytest.mark.parametrize("deviation", [0.3, 2.0])
def test_turning_is_continuous(deviation):
    """A torsion that turns once moves targets on the circle, and distances, by small steps throughout."""
    features = fitted(chain_of(spread_about(np.pi, deviation)))
    targets = features.targets(torch.from_numpy(chain_of(np.linspace(-np.pi, np.pi, 721))))
    steps = around(targets.diff(dim=0)).abs()
    assert steps.max() < 1.01 * np.radians(0.5)
    x = features.positions(targets)
    assert torch.cdist(x, x).diff(dim=0).abs().max() < 0.02
    jump = features.inputs(targets).diff(dim=0).abs().max()
    assert (jump < 0.1) == bool(features.flexible[0])  # a stiff torsion's seam lies where no frame is


def test_straight_angles_of_the_plane_have_no_seam():
    """A chain that stays nearly straight has signed angles about pi, counted about it."""
    x = np.stack([1.5 * np.arange(6.0), np.zeros(6)], axis=1)
    frames = x + 0.1 * np.random.default_rng(1).normal(size=(N_FRAMES, 6, 2))
    features = fitted(frames)
    counted = features.targets(torch.from_numpy(frames))[:, 5:]
    assert features.shape.n_angular == 0 and counted.abs().max() < 1.0
    assert features.centre.abs().min() > 3.0
    back = features.targets(features.positions(features.targets(torch.from_numpy(frames))))
    torch.testing.assert_close(back[:, 5:], counted, rtol=0, atol=1e-10)


def test_the_dipeptide_s_flexible_torsions(dipeptide):
    """Those whose circular deviation, by scipy, reaches the limit: phi, psi, and three methyl groups among them."""
    features, x, topology = dipeptide
    torsions = measure(x, features.plan).torsions.numpy()
    expected = circstd(torsions, axis=0) >= STIFF
    assert features.flexible.tolist() == expected.tolist() and features.size == 3 * 22 - 6
    turned = features.plan.turned[features.flexible.numpy()]
    bonds = [set(topology.names[features.references[a, :2].numpy()].tolist()) for a in turned]
    for bond in ({"N", "CA"}, {"CA", "C"}, {"CA", "CB"}):
        assert bond in bonds
    assert 5 <= expected.sum() <= 7


def test_coordinates_are_those_of_the_frame(molecule):
    """Targets sort stiff before flexible; `coordinates` brings back the tree's order and the angles' zero."""
    features, x = molecule
    assert features.shape.n_angular > 0
    mine, direct = features.coordinates(features.targets(x)), measure(x, features.plan)
    torch.testing.assert_close(mine.bonds, direct.bonds, rtol=0, atol=1e-12)
    assert around(mine.angles - direct.angles).abs().max() < 1e-12
    assert mine.torsions.shape == direct.torsions.shape
    assert not direct.torsions.numel() or around(mine.torsions - direct.torsions).abs().max() < 1e-12


def test_frames_come_back_superposed(molecule):
    """Decoding targets of unaligned frames gives the aligned frames, all of them to 1e-10 Å."""
    features, x = molecule
    aligned = features.alignment.apply(x.numpy())
    np.testing.assert_allclose(features.positions(features.targets(x)), aligned, rtol=0, atol=1e-10)


def test_turning_and_shifting_frames_changes_no_target(molecule):
    """To 1e-8 in float64."""
    features, x = molecule
    dimension = x.shape[2]
    q = np.linalg.qr(np.random.default_rng(2).normal(size=(len(x), dimension, dimension)))[0]
    q[:, :, -1] *= np.linalg.det(q)[:, None]
    moved = x @ torch.from_numpy(q) + 20.0 * torch.from_numpy(q[:, :1])
    assert apart(features, features.targets(moved), features.targets(x)) < 1e-8


def test_float32_agrees_with_float64(molecule):
    """Frames as files hold them: targets and inputs to their precision, positions to 1e-4 Å."""
    features, x = molecule
    targets, single = features.targets(x), features.targets(x.float())
    assert single.dtype == torch.float32 and apart(features, single.double(), targets) < 2e-5
    torch.testing.assert_close(features.inputs(single).double(), features.inputs(targets), rtol=0, atol=1e-3)
    torch.testing.assert_close(features.positions(single).double(), features.positions(targets), rtol=0, atol=1e-4)


def test_a_mirrored_molecule_has_opposite_torsions(molecule):
    """Bonds and angles are equal and torsions (signed angles in the plane) change sign, and it comes back mirrored."""
    features, x = molecule
    mirrored = x * torch.tensor([1.0, -1.0, 1.0][: x.shape[2]], dtype=x.dtype)
    a, b = (features.coordinates(features.targets(f)) for f in (x, mirrored))
    torch.testing.assert_close(b.bonds, a.bonds, rtol=0, atol=1e-12)
    turning = (a.torsions, b.torsions) if x.shape[2] == 3 else (a.angles, b.angles)
    assert around(turning[0] + turning[1]).abs().max() < 1e-9
    if x.shape[2] == 3:
        torch.testing.assert_close(b.angles, a.angles, rtol=0, atol=1e-9)
    aligned = features.alignment.apply(mirrored.numpy())
    np.testing.assert_allclose(features.positions(features.targets(mirrored)), aligned, rtol=0, atol=1e-9)


def test_linear_targets_are_standardised(molecule):
    """Mean 0 and deviation 1 over the frames that they were fitted to, where the floor is not reached."""
    features, x = molecule
    u = features.standardised(features.targets(x))
    assert u.shape[1] == features.n_linear and u.mean(dim=0).abs().max() < 1e-9
    torch.testing.assert_close(u.std(dim=0), torch.ones(features.n_linear, dtype=u.dtype), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("floor", "least"), [(0.0, 1e-3), (0.3, 0.3 / np.sqrt(6.0))])
def test_spread_has_a_floor(floor, least):
    """Rigid bonds and angles count with 1e-3 Å, or with the rounding of a distance at the file's resolution."""
    features = fitted(chain_of(spread_about(0.0, 0.2)), floor=floor)
    np.testing.assert_allclose(features.spread[:5], least, rtol=1e-9)
    assert float(features.spread[5]) == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("dimension", [2, 3])
def test_too_few_atoms_are_refused(n, dimension):
    """Their number is named, and the way out."""
    with pytest.raises(OptionError, match=f"3 atoms or more, got {n}: use --features cartesian"):
        fitted(np.random.default_rng(0).normal(size=(20, n, dimension)))


@pytest.mark.parametrize("n", [3, 5])
def test_straight_molecules_are_refused(n):
    """Atoms in one line, up to a little noise, have no torsions in space."""
    x = np.zeros((50, n, 3))
    x[..., 0] = 1.2 * np.arange(n)
    with pytest.raises(OptionError, match=r"one line.*--features cartesian"):
        fitted(x + 1e-3 * np.random.default_rng(0).normal(size=x.shape))


def test_another_state_brings_its_own_tree():
    """Features that were used already work by the tree of the state that they load, not by the one that they had."""
    rng = np.random.default_rng(6)
    frames = 2.0 * rng.normal(size=(5, 3)) + 0.05 * rng.normal(size=(50, 5, 3))
    x = torch.from_numpy(frames)
    chain = fitted(frames)
    star = fitted(frames, replace(Topology.anonymous(5), bonds=np.array([[2, 0], [2, 1], [2, 3], [2, 4]])))
    assert chain.shape == star.shape and not torch.equal(chain.references, star.references)
    other = Internal.empty(chain.alignment, chain.shape)
    for source in (chain, star, chain):
        other.load_state_dict(source.state_dict())
        assert torch.equal(other.targets(x), source.targets(x))
        assert torch.equal(other.positions(source.targets(x)), source.positions(source.targets(x)))


def test_log_jacobian_of_the_dipeptide(dipeptide):
    """Sixty coordinates of one frame: the log-determinant of shape-space targets by the derivatives of positions."""
    features, x, _ = dipeptide
    at = features.targets(x[500:501])
    space = ShapeSpace(features.alignment.reference, features.alignment.weights, "superpose")

    def shapes(targets: Tensor) -> Tensor:
        return space.targets(features.positions(targets[None]))[0]

    expected = torch.linalg.slogdet(torch.autograd.functional.jacobian(shapes, at[0])).logabsdet
    assert float(features.log_jacobian(at)) == pytest.approx(float(expected), abs=1e-8)


def test_works_under_inference_mode(dipeptide):
    """Targets, positions and the volume of frames are the same when nothing is recorded."""
    features, x, _ = dipeptide
    targets = features.targets(x[:50])
    positions, volume = features.positions(targets), features.log_jacobian(targets)
    with torch.inference_mode():
        assert torch.equal(features.targets(x[:50]), targets)
        assert torch.equal(features.positions(targets), positions)
        assert torch.equal(features.log_jacobian(targets), volume)
