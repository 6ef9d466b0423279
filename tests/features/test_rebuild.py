"""Bonds, angles and torsions: the same molecule comes back, twins agree, derivatives and volumes are right."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import mdtraj
import numpy as np
import pytest
import torch
from MDAnalysis.lib.distances import calc_angles, calc_bonds, calc_dihedrals
from MDAnalysisTests.datafiles import DCD, DCD2, PSF
from torch import Tensor

from trajvae.alignment.align import center, optimal_rotations, pairwise_rmsd
from trajvae.errors import TrajvaeWarning
from trajvae.features.rebuild import Coordinates, RebuildPlan, log_volume, measure, rebuild
from trajvae.features.tree import spanning_tree
from trajvae.readers import Reading, open_source
from trajvae.typing import Float64

SOURCES = {
    "dipeptide": lambda e: (e / "alanine_dipeptide.xtc", Reading(topology=e / "alanine_dipeptide.pdb", select="all")),
    "chain2d": lambda e: (e / "chain2d.npz", Reading()),
    "chain3d": lambda e: (e / "chain3d.npz", Reading()),
    "adk": lambda e: (DCD, Reading(topology=PSF, select="name CA")),
    "adk-back": lambda e: (DCD2, Reading(topology=PSF, select="name CA")),
}
# bonds of five atoms: a chain, a branch at its middle, a star
SMALL = {
    "chain": [(0, 1), (1, 2), (2, 3), (3, 4)],
    "branch": [(0, 1), (1, 2), (2, 3), (1, 4)],
    "star": [(0, 1), (0, 2), (0, 3), (0, 4)],
}


@dataclass(frozen=True, eq=False)
class Molecule:
    """All frames of a trajectory, in Å and float64, and the tree of its atoms."""

    x: Tensor
    plan: RebuildPlan

    @property
    def weights(self) -> Float64:
        """One for every atom."""
        return np.ones(self.x.shape[1])


@pytest.fixture(scope="module", params=SOURCES)
def molecule(request: pytest.FixtureRequest, examples) -> Molecule:
    """Every frame of each trajectory in turn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)  # an array has no topology
        frames = open_source(*SOURCES[request.param](examples))
    x, topology = frames.read().positions, frames.topology
    references = spanning_tree(topology.backbone_bonds(), x, topology.elements != "H")
    return Molecule(torch.from_numpy(x.astype(np.float64)), RebuildPlan(references))


@pytest.fixture(params=[(s, d) for s in SMALL for d in (2, 3)], ids=lambda p: f"{p[0]}-{p[1]}d")
def small(request: pytest.FixtureRequest) -> Molecule:
    """Three frames of five atoms in the plane and in space, nowhere in one line."""
    bonds, dimension = SMALL[request.param[0]], request.param[1]
    rng = np.random.default_rng(7)
    turn = 1.4 * np.arange(5)
    x = np.stack([np.cos(turn), np.sin(turn), 0.4 * turn], axis=1)[:, :dimension] + 0.1 * rng.normal(size=(3, 5, 1))
    x += 0.1 * rng.normal(size=x.shape)
    return Molecule(torch.from_numpy(x), RebuildPlan(spanning_tree(np.array(bonds), x, np.ones(5, dtype=bool))))


def flat(coordinates: Coordinates) -> Tensor:
    """All internal coordinates of frames side by side, (B, F)."""
    return torch.cat(list(coordinates), dim=1)


def split(q: Tensor, plan: RebuildPlan) -> Coordinates:
    """The way back of `flat`."""
    return Coordinates(*q.split([len(plan.bonded), len(plan.angled), len(plan.turned)], dim=1))


def test_every_frame_comes_back(molecule):
    """Rebuilt from its own coordinates each frame is the same to 1e-10 Å, atom by atom, turned properly."""
    x, w = molecule.x.numpy(), molecule.weights
    y = rebuild(measure(molecule.x, molecule.plan), molecule.plan).numpy()
    assert pairwise_rmsd(y, x, w).max() < 1e-10
    a, b = center(y, w), center(x, w)
    assert np.abs(a @ optimal_rotations(a, b, w) - b).max() < 1e-10


def test_handedness_is_kept(molecule):
    """Signed volumes (areas in the plane) of neighbours are those of the frame, and of a mirrored one opposite."""
    dimension = molecule.x.shape[2]

    def signed(x: Tensor) -> Tensor:
        steps = x.diff(dim=1).unfold(1, dimension, 1)
        return torch.linalg.det(steps)

    some = molecule.x[::20]
    mirrored = some * torch.tensor([-1.0, 1.0, 1.0][:dimension], dtype=some.dtype)
    for x in (some, mirrored):
        y = rebuild(measure(x, molecule.plan), molecule.plan)
        torch.testing.assert_close(signed(y), signed(x), rtol=0, atol=1e-9)
    torch.testing.assert_close(signed(mirrored), -signed(some), rtol=0, atol=1e-9)
    assert signed(some).abs().max() > 1.0


def test_the_first_atoms_lie_on_the_axes(molecule):
    """The root stands at the origin, its first child on the positive x axis, the third atom at y >= 0 and z = 0."""
    y = rebuild(measure(molecule.x[:3], molecule.plan), molecule.plan)
    order = [step[0] for generation in molecule.plan.steps for step in generation]
    root, first = order[0], int(np.flatnonzero((molecule.plan.references >= 0).sum(axis=1) == 1)[0])
    assert not y[:, root].any() and not y[:, first, 1:].any() and (y[:, first, 0] > 0).all()
    if y.shape[2] == 3:
        third = int(np.flatnonzero((molecule.plan.references >= 0).sum(axis=1) == 2)[0])
        assert not y[:, third, 2].any() and (y[:, third, 1] >= 0).all()


def test_bonds_and_angles_equal_mdanalysis_s(molecule):
    """All bonds, and in space all angles, against the twin, in the order of placement."""
    x, plan, r = molecule.x[::50], molecule.plan, molecule.plan.references
    at = np.pad(x.numpy(), [(0, 0), (0, 0), (0, 3 - x.shape[2])])
    mine = measure(x, plan)
    for k, frame in enumerate(at):
        bonds = calc_bonds(frame[plan.bonded], frame[r[plan.bonded, 0]])
        np.testing.assert_allclose(mine.bonds[k], bonds, rtol=0, atol=1e-6)  # the twin subtracts in float32
        angles = calc_angles(*(frame[a] for a in (plan.angled, r[plan.angled, 0], r[plan.angled, 1])))
        size = mine.angles[k].abs()
        np.testing.assert_allclose(size, angles, rtol=0, atol=1e-6)


def test_torsions_equal_mdanalysis_s_and_mdtraj_s(molecule):
    """All torsions with their sign, on the circle; in the plane the signed angle against the headings' difference."""
    x, plan, r = molecule.x[::50], molecule.plan, molecule.plan.references
    mine = measure(x, plan)
    if x.shape[2] == 2:
        u, v = (x[:, plan.angled] - x[:, r[plan.angled, 0]], x[:, r[plan.angled, 1]] - x[:, r[plan.angled, 0]])
        heading = torch.atan2(u[..., 1], u[..., 0]) - torch.atan2(v[..., 1], v[..., 0])
        torch.testing.assert_close(torch.polar(torch.ones_like(heading), heading - mine.angles).real, 1.0 + 0 * heading)
        assert mine.torsions.shape == (len(x), 0) and (mine.angles < 0).any() and (mine.angles > 0).any()
        return
    four = np.stack([plan.turned, *r[plan.turned].T], axis=1)
    twin = np.stack([calc_dihedrals(*(frame[a] for a in four.T)) for frame in x.numpy()])
    assert np.abs(np.exp(1j * mine.torsions.numpy()) - np.exp(1j * twin)).max() < 1e-6
    trajectory = mdtraj.Trajectory(0.1 * x.numpy(), None)
    other = mdtraj.compute_dihedrals(trajectory, four, periodic=False)
    assert np.abs(np.exp(1j * mine.torsions.numpy()) - np.exp(1j * other)).max() < 0.02  # float32, near a line


def test_distances_and_angles_equal_mdtraj_s(examples):
    """Alanine dipeptide's bonds and angles against the other twin, to float32."""
    trajectory = mdtraj.load(str(examples / "alanine_dipeptide.xtc"), top=str(examples / "alanine_dipeptide.pdb"))[
        ::100
    ]
    x = torch.from_numpy(10.0 * trajectory.xyz.astype(np.float64))
    bonds = np.array([(a.index, b.index) for a, b in trajectory.topology.bonds])
    plan = RebuildPlan(
        spanning_tree(bonds, x.numpy(), np.array([a.element.symbol != "H" for a in trajectory.topology.atoms]))
    )
    r, mine = plan.references, measure(x, plan)
    pairs = np.stack([plan.bonded, r[plan.bonded, 0]], axis=1)
    triples = np.stack([plan.angled, r[plan.angled, 0], r[plan.angled, 1]], axis=1)
    distances = 10.0 * mdtraj.compute_distances(trajectory, pairs, periodic=False)
    np.testing.assert_allclose(mine.bonds, distances, rtol=0, atol=1e-5)
    np.testing.assert_allclose(mine.angles, mdtraj.compute_angles(trajectory, triples, periodic=False), atol=1e-4)


def test_torsions_have_the_iupac_sign():
    """Looking along the middle bond, a clockwise turn of the far bond is positive."""
    references = np.array([[-1, -1, -1], [0, -1, -1], [1, 0, -1], [2, 1, 0]])
    c, s = np.cos(np.pi / 3), np.sin(np.pi / 3)
    x = torch.tensor([[[0.0, 1, 0], [0, 0, 0], [1, 0, 0], [1, c, s]]], dtype=torch.float64)
    assert float(measure(x, RebuildPlan(references)).torsions[0, 0]) == pytest.approx(np.pi / 3)


def test_a_tree_from_the_end_comes_back():
    """References that no spanning tree chooses: the third atom hangs on the second, away from the root."""
    for dimension in (2, 3):
        plan = RebuildPlan(np.array([[-1, -1, -1], [0, -1, -1], [1, 0, -1], [2, 1, 0], [3, 2, 1]])[:, :dimension])
        x = np.random.default_rng(0).normal(size=(20, 5, dimension))
        y = rebuild(measure(torch.from_numpy(x), plan), plan).numpy()
        assert pairwise_rmsd(y, x, np.ones(5)).max() < 1e-10


def test_measure_of_rebuild_is_the_same(small):
    """Any bonds, angles and torsions whatever make a molecule with just those."""
    generator = torch.Generator().manual_seed(0)
    plan, wide = small.plan, 3.0 if small.x.shape[2] == 2 else 0.0
    bonds = 0.5 + torch.rand(40, 4, generator=generator, dtype=torch.float64)
    angles = torch.rand(40, 3, generator=generator, dtype=torch.float64)
    angles = wide * (2.0 * angles - 1.0) if wide else 0.3 + 2.5 * angles
    torsions = 6.2 * torch.rand(40, len(plan.turned), generator=generator, dtype=torch.float64) - 3.1
    q = flat(Coordinates(bonds, angles, torsions))
    torch.testing.assert_close(flat(measure(rebuild(split(q, plan), plan), plan)), q, rtol=0, atol=1e-10)


def test_reverse_derivatives(small):
    """gradcheck of measure and of rebuild, of first and second order."""
    plan = small.plan
    q = flat(measure(small.x, plan))
    for function, at in ((lambda x: flat(measure(x, plan)), small.x), (lambda t: rebuild(split(t, plan), plan), q)):
        point = at[:1].clone().requires_grad_()
        assert torch.autograd.gradcheck(function, (point,))
        assert torch.autograd.gradgradcheck(function, (point,), fast_mode=True)


def test_forward_derivatives_are_finite_differences(small):
    """jvp of measure and of rebuild against central differences."""
    plan = small.plan
    q = flat(measure(small.x, plan))
    for function, at in ((lambda x: flat(measure(x, plan)), small.x), (lambda t: rebuild(split(t, plan), plan), q)):
        way = torch.randn(at.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        numeric = (function(at + 1e-5 * way) - function(at - 1e-5 * way)) / 2e-5
        torch.testing.assert_close(torch.func.jvp(function, (at,), (way,))[1], numeric, rtol=1e-6, atol=1e-7)


def placed_anywhere(q: Tensor, plan: RebuildPlan) -> Tensor:
    """(internal, rotation, translation) to all coordinates of one frame, (N D,)."""
    dimension = plan.dimension
    size = len(plan.bonded) + len(plan.angled) + len(plan.turned)
    internal, turn, shift = q[:size], q[size:-dimension], q[-dimension:]
    generators = torch.zeros(len(turn), dimension, dimension, dtype=q.dtype)
    for k, (i, j) in enumerate(zip(*np.triu_indices(dimension, 1), strict=True)):
        generators[k, i, j], generators[k, j, i] = 1.0, -1.0
    rotation = torch.linalg.matrix_exp(torch.einsum("k,kij->ij", turn, generators))
    return (rebuild(split(internal[None], plan), plan)[0] @ rotation + shift).flatten()


def test_log_volume_is_the_full_determinant(small):
    """All 3N (2N) coordinates by internal coordinates, rotation about the origin and translation."""
    coordinates = measure(small.x, small.plan)
    dimension = small.x.shape[2]
    for k, q in enumerate(flat(coordinates)):
        at = torch.cat([q, torch.zeros(dimension * (dimension + 1) // 2, dtype=q.dtype)])
        jacobian = torch.autograd.functional.jacobian(lambda t: placed_anywhere(t, small.plan), at)
        assert jacobian.shape == (5 * dimension, 5 * dimension)
        expected = torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(log_volume(coordinates, dimension)[k], expected, rtol=0, atol=1e-10)


def test_frames_do_not_see_each_other(molecule):
    """A batch is rebuilt as its frames are one by one, and an empty one is empty."""
    coordinates = measure(molecule.x[:4], molecule.plan)
    whole = rebuild(coordinates, molecule.plan)
    for k in range(4):
        alone = rebuild(Coordinates(*(c[k : k + 1] for c in coordinates)), molecule.plan)
        torch.testing.assert_close(alone[0], whole[k], rtol=0, atol=1e-11)
    assert rebuild(Coordinates(*(c[:0] for c in coordinates)), molecule.plan).shape == (0, *whole.shape[1:])


def test_float32_stays_and_is_close(molecule):
    """float32 frames come back in float32, to 1e-3 Å over the longest chain."""
    x = molecule.x[:50]
    y = rebuild(measure(x.float(), molecule.plan), molecule.plan)
    assert y.dtype == torch.float32
    assert pairwise_rmsd(y.numpy(), x.numpy(), molecule.weights).max() < 1e-3
