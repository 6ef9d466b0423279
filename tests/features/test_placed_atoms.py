"""Atoms as flexible torsions place them: which depend on which, and how torsions see them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.stats import special_ortho_group
from torch import Tensor

from trajvae.alignment.align import Alignment
from trajvae.features import FittingData, Internal
from trajvae.features.placed_atoms import PlacedAtoms
from trajvae.features.rebuild import measure
from trajvae.topology import Topology

ATOMS = 8


def walk(dimension: int, frames: int = 60, atoms: int = ATOMS) -> np.ndarray:
    """Chains of unit bonds with wide turns, (T, N, D)."""
    random = np.random.default_rng(0)
    if dimension == 2:
        heading = np.cumsum(random.uniform(-1.6, 1.6, size=(frames, atoms)), axis=1)
        steps = np.stack([np.cos(heading), np.sin(heading)], axis=2)
    else:
        turns = [Rotation.from_rotvec([[0.0, 0.0, 1.1]] * frames)]
        spin = Rotation.from_rotvec(np.array([1.0, 0.0, 0.0]) * random.uniform(-math.pi, math.pi, size=(frames, 1)))
        for _ in range(atoms - 1):
            turns.append(turns[-1] * spin * turns[0])
            spin = Rotation.from_rotvec(np.array([1.0, 0.0, 0.0]) * random.uniform(-math.pi, math.pi, size=(frames, 1)))
        steps = np.stack([t.apply([1.0, 0.0, 0.0]) for t in turns], axis=1)
    return np.asarray(np.cumsum(steps, axis=1) + 0.02 * random.normal(size=(frames, atoms, dimension)))


def fitted(dimension: int) -> tuple[Internal, Tensor]:
    """Internal coordinates of such chains, and flexible torsions of five of them."""
    x = walk(dimension)
    alignment = Alignment.fit("superpose", x, np.ones(x.shape[1]))
    features = Internal.fit(FittingData(alignment, Topology.anonymous(x.shape[1]), alignment.apply(x), 1e-3, 2))
    return features, features.targets(torch.from_numpy(x[:5]))[:, features.n_linear :]


@pytest.fixture(params=[2, 3], ids=["plane", "space"])
def chain(request: pytest.FixtureRequest) -> tuple[PlacedAtoms, Tensor]:
    """Placed atoms of a chain in the plane or in space."""
    features, torsions = fitted(request.param)
    return PlacedAtoms(features), torsions


def test_positions_have_the_torsions_and_mean_bonds(chain: tuple[PlacedAtoms, Tensor]) -> None:
    """What is measured of placed atoms is the torsions that placed them, and everything else at its mean."""
    placed, torsions = chain
    x = placed.positions(torsions)
    targets = placed.features.targets(x)
    n = placed.features.n_linear
    torch.testing.assert_close(targets[:, n:], torsions)
    torch.testing.assert_close(targets[:, :n], placed.features.middle.expand(len(x), -1))
    assert float(placed.bond) == pytest.approx(float(measure(x, placed.features.plan).bonds.mean()))


def test_known_atoms_are_those_that_later_torsions_do_not_move(chain: tuple[PlacedAtoms, Tensor]) -> None:
    """An atom is known to a torsion exactly if neither this torsion nor a later one changes its position."""
    placed, torsions = chain
    slope = torch.autograd.functional.jacobian(placed.positions, torsions[:1])[0, :, :, 0].abs().amax(dim=1)
    for k in range(torsions.shape[1]):
        still = (slope[:, k:] < 1e-12).all(dim=1)
        assert torch.equal(placed.known[k], still), k
    assert bool(placed.known[1:].any(dim=1).all())


def test_frames_of_the_references(chain: tuple[PlacedAtoms, Tensor]) -> None:
    """The first reference is the origin, the second on the negative first axis, the third in the first two axes."""
    placed, torsions = chain
    seen = placed.seen_from(placed.positions(torsions), slice(None))
    for k, (first, second, *third) in enumerate(placed._references.tolist()):
        assert float(seen[k, :, first].abs().max()) < 1e-9
        assert float(seen[k, :, second, 0].max()) < 0.0
        assert float(seen[k, :, second, 1:].abs().max()) < 1e-9
        assert all(float(seen[k, :, atom, 2:].abs().max()) < 1e-9 for atom in third)
    assert bool((seen[~placed.known[:, None, :, None].expand_as(seen)] == 0.0).all())


def test_frames_move_with_the_molecule(chain: tuple[PlacedAtoms, Tensor]) -> None:
    """What torsions see is the same of a turned and shifted molecule; a part of them sees what it sees among all."""
    placed, torsions = chain
    x = placed.positions(torsions)
    turn = torch.from_numpy(special_ortho_group.rvs(x.shape[2], random_state=1))
    seen = placed.seen_from(x, slice(None))
    torch.testing.assert_close(placed.seen_from(x @ turn + 3.0, slice(None)), seen)
    torch.testing.assert_close(placed.seen_from(x, slice(1, 3)), seen[1:3])


def test_closeness(chain: tuple[PlacedAtoms, Tensor]) -> None:
    """A half at 2.2 mean bonds, by the sixth power, for atoms of the chain that are four bonds apart or more."""
    placed, torsions = chain
    x = placed.positions(torsions)
    i, j = np.triu_indices(ATOMS, 1)
    away = torch.linalg.vector_norm(x[:, i] - x[:, j], dim=2) / (2.2 * float(placed.bond))
    expected = torch.from_numpy(np.where(j - i > 3, 1.0, 0.0)) / (1.0 + away**6)
    torch.testing.assert_close(placed.closeness(x), expected)
