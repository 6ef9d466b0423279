"""Masses of 0 that the input gives, and unknown masses."""

from __future__ import annotations

import warnings

import MDAnalysis as mda
import numpy as np
import pytest
import torch
from MDAnalysis.analysis.rms import rmsd

from trajvae.alignment.align import Alignment
from trajvae.alignment.differentiable import superpose_tensors
from trajvae.errors import TrajvaeWarning
from trajvae.features.cartesian import ShapeSpace, constraints
from trajvae.molecule.masses import masses_of, warn_of_masses
from trajvae.molecule.observables import radius_of_gyration


def group(names, masses=None):
    """Atoms of given masses, or of masses that MDAnalysis guesses from the names."""
    universe = mda.Universe.empty(len(names), trajectory=True)
    universe.add_TopologyAttr("names", names)
    if masses is not None:
        universe.add_TopologyAttr("masses", masses)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            universe.guess_TopologyAttrs(to_guess=["types", "masses"])
    return universe.atoms


def test_a_given_mass_of_zero_stays():
    """The other atoms keep their masses, and one line counts the massless ones."""
    atoms = group(["CL", "C1", "LP1"], [35.45, 12.011, 0.0])
    assert masses_of(atoms).values.tolist() == [35.45, 12.011, 0.0]
    with pytest.warns(TrajvaeWarning, match="1 of 3 atoms have no mass"):
        warn_of_masses(atoms)


@pytest.mark.parametrize("site", ["MW", "EP", "EPW", "LP1", "LPA", "OM"])
def test_a_guessed_virtual_site_weighs_nothing(site):
    """Virtual sites are recognised by the names that TIP4P, Amber, OPLS and CGenFF use."""
    assert masses_of(group(["O", "H", "H", site])).values.tolist() == [15.999, 1.008, 1.008, 0.0]


def test_an_unknown_mass_makes_all_weigh_one():
    """A guessed 0 of another name is no virtual site, and one line says so."""
    atoms = group(["O", "C", "Q?"])
    assert masses_of(atoms).values.tolist() == [1.0, 1.0, 1.0]
    with pytest.warns(TrajvaeWarning, match="masses of 1 of 3 atoms are unknown"):
        warn_of_masses(atoms)


@pytest.mark.parametrize("masses", [[0.0, 0.0], None])
def test_beads_without_any_mass_weigh_one_silently(masses):
    """Without any mass all atoms have mass 1, and there is no warning."""
    atoms = group(["Q?", "Q!"], masses)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrajvaeWarning)
        warn_of_masses(atoms)
    assert masses_of(atoms).values.tolist() == [1.0, 1.0]


@pytest.fixture
def frames():
    """Forty frames of eight atoms, turned at random, and masses of which two are 0."""
    rng = np.random.default_rng(0)
    turns = np.linalg.qr(rng.normal(size=(40, 3, 3)))[0]
    turns *= np.linalg.det(turns)[:, None, None]
    x = (5 * rng.normal(size=(8, 3)) + 0.2 * rng.normal(size=(40, 8, 3))) @ turns + rng.normal(size=(40, 1, 3))
    return x, np.array([35.45, 12.0, 0.0, 12.0, 16.0, 1.0, 0.0, 14.0])


@pytest.mark.parametrize("kind", ["superpose", "principal"])
def test_alignment_is_that_of_the_atoms_with_mass(frames, kind):
    """Massless atoms follow; the RMSD of the others is MDAnalysis' optimum."""
    x, masses = frames
    heavy = masses > 0
    alignment = Alignment.fit(kind, x, masses)
    aligned = alignment.apply(x)
    alone = Alignment(kind, alignment.reference[heavy], masses[heavy]).apply(x[:, heavy])
    np.testing.assert_allclose(aligned[:, heavy], alone, atol=1e-9)
    if kind == "superpose":
        square = np.square(aligned[:, heavy] - alignment.reference[heavy]).sum(axis=2)
        own = np.sqrt(square @ masses[heavy] / masses.sum())
        best = [
            rmsd(f, alignment.reference[heavy], masses[heavy], center=True, superposition=True) for f in x[:, heavy]
        ]
        np.testing.assert_allclose(own, best, atol=1e-6)


def test_torch_superposition_agrees(frames):
    """The differentiable one, with finite gradients."""
    x, masses = frames
    alignment = Alignment.fit("superpose", x, masses)
    moving = torch.from_numpy(x).requires_grad_()
    out = superpose_tensors(moving, torch.from_numpy(alignment.reference), torch.from_numpy(masses))
    out.square().sum().backward()
    np.testing.assert_allclose(out.detach().numpy(), alignment.apply(x), atol=1e-8)
    assert torch.isfinite(moving.grad).all()


def test_features_of_massless_atoms_come_back(frames):
    """Shape space is an isometry with weights of 0; what comes back obeys the conditions of superposition."""
    x, masses = frames
    alignment = Alignment.fit("superpose", x, masses)
    space = ShapeSpace(alignment.reference, masses, "superpose")
    aligned = torch.from_numpy(alignment.apply(x))
    back = space.positions(space.targets(aligned))
    assert space.rank == 6
    torch.testing.assert_close(back, aligned, atol=1e-7, rtol=0)
    np.testing.assert_allclose(alignment.apply(back.numpy()), back.numpy(), atol=1e-7)


@pytest.mark.parametrize(("massive", "rank"), [(1, 3), (2, 5), (3, 6)])
def test_the_rank_counts_atoms_with_mass(massive, rank):
    """One atom has no orientation, two have all but the turn about their axis; nothing is NaN."""
    x = np.random.default_rng(1).normal(size=(20, 5, 3))
    weights = np.r_[np.arange(1.0, massive + 1), np.zeros(5 - massive)]
    alignment = Alignment.fit("superpose", x, weights)
    assert np.isfinite(alignment.apply(x)).all()
    assert len(constraints(alignment.reference, weights, "superpose")) == rank
    turned = superpose_tensors(*(torch.from_numpy(a) for a in (x, alignment.reference, weights)))
    assert torch.isfinite(turned).all()


def test_radius_of_gyration_is_that_of_mdanalysis(frames):
    """Weighted by masses, of which some are 0."""
    x, masses = frames
    atoms = group(["C"] * 8, masses)
    got = radius_of_gyration(torch.from_numpy(x), torch.from_numpy(masses)).numpy()
    for frame, value in zip(x, got, strict=True):
        atoms.positions = frame
        assert abs(atoms.radius_of_gyration() - value) < 1e-5
