"""Angles and dihedral angles: their values, and gradients that are finite where atoms are in line or coincide."""

from __future__ import annotations

import math
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pytest
import torch
from torch import Tensor

from trajvae.molecule.observables import Function, angle, dihedral

STEP = 1e-5  # Å


def gradient_of(function: Function, x: Tensor) -> Tensor:
    """The derivative of the sum of a function's values, by torch."""
    x = x.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(function(x).sum(), x)
    return found


def differences(function: Function, x: Tensor) -> Tensor:
    """Return the same derivative by central differences."""
    out = torch.zeros_like(x)
    for atom in range(x.shape[1]):
        for axis in range(x.shape[2]):
            shift = torch.zeros_like(x)
            shift[:, atom, axis] = STEP
            out[:, atom, axis] = (function(x + shift) - function(x - shift)) / (2 * STEP)
    return out


@pytest.fixture(scope="module")
def frames(examples: Path) -> Tensor:
    """Twenty frames of alanine dipeptide, all atoms."""
    universe = mda.Universe(str(examples / "alanine_dipeptide.pdb"), str(examples / "alanine_dipeptide.xtc"))
    return torch.from_numpy(np.stack([ts.positions.copy() for ts in universe.trajectory[::500]]).astype(np.float64))


def test_angles_are_those_of_the_arc_cosine(frames: Tensor) -> None:
    """Of every three atoms in a row, away from 0 and 180 degrees, to 1e-10."""
    for i, j, k in [(0, 1, 2), (4, 6, 8), (6, 8, 14), (0, 4, 6), (20, 3, 11)]:
        a, b = frames[:, i] - frames[:, j], frames[:, k] - frames[:, j]
        cosine = (a * b).sum(dim=-1) / (a.norm(dim=-1) * b.norm(dim=-1))
        twin = torch.rad2deg(torch.arccos(cosine))
        ordinary = (twin > 10) & (twin < 170)
        assert ordinary.any()
        torch.testing.assert_close(angle(frames, i, j, k)[ordinary], twin[ordinary], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "function", [lambda x: angle(x, 0, 4, 6), lambda x: dihedral(x, 4, 6, 8, 14)], ids=["angle", "dihedral"]
)
def test_gradients_on_frames(frames: Tensor, function: Function) -> None:
    """Within 1e-6 of finite differences."""
    found = gradient_of(function, frames)
    assert found.abs().max() > 1.0
    torch.testing.assert_close(found, differences(function, frames), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize(("place", "degrees"), [(2.5, 0.0), (-1.3, 180.0)])
def test_the_gradient_of_an_angle_in_line_is_that_of_finite_differences(
    dimension: int, place: float, degrees: float
) -> None:
    """At the minimum and the maximum of the angle, also of lines that are no axis."""
    line = torch.tensor([0.6, 0.8, 0.0][:dimension], dtype=torch.float64)
    x = (torch.tensor([1.0, 0.0, place], dtype=torch.float64)[:, None] * line)[None]
    assert float(angle(x, 0, 1, 2)[0]) == pytest.approx(degrees, abs=1e-6)
    found = gradient_of(lambda x: angle(x, 0, 1, 2), x)
    assert bool(found.isfinite().all())
    axis = torch.tensor([[[1.0, 0, 0], [0.0, 0, 0], [place, 0, 0]]], dtype=torch.float64)[..., :dimension]
    found = gradient_of(lambda x: angle(x, 0, 1, 2), axis)
    torch.testing.assert_close(found, differences(lambda x: angle(x, 0, 1, 2), axis), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("near", [0.0, 1e-30, 1e-20, 1e-12, 1e-7])
def test_gradients_are_finite_where_atoms_coincide(dtype: torch.dtype, near: float) -> None:
    """At the same place and as near to it as numbers go, in the plane and in space; also all four at once."""
    for dimension in (2, 3):
        for moved in ([0], [2], [0, 2], [0, 1, 2, 3]):
            x = torch.randn(1, 4, dimension, generator=torch.Generator().manual_seed(0), dtype=dtype)
            x[:, moved] = x[:, 1:2] * 0 + near * x[:, moved]
            x[:, 1] = 0.0
            assert bool(gradient_of(lambda x: angle(x, 0, 1, 2), x).isfinite().all())
            if dimension == 3:
                assert bool(gradient_of(lambda x: dihedral(x, 0, 1, 2, 3), x).isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_dihedral_is_finite_where_three_atoms_are_in_line(dtype: torch.dtype) -> None:
    """Its value is 0 and so is its gradient, as there is no such angle; almost in line both are finite."""
    for off in (0.0, 1e-30, 1e-15, 1e-7):
        x = torch.tensor([[[-1.0, 0, off], [0, 0, 0], [1, 0, 0], [1, 1, 0.3]]], dtype=dtype)
        assert bool(dihedral(x, 0, 1, 2, 3).isfinite().all())
        found = gradient_of(lambda x: dihedral(x, 0, 1, 2, 3), x)
        assert bool(found.isfinite().all())
        if off in (0.0, 1e-30):
            assert float(dihedral(x, 0, 1, 2, 3)[0]) == 0.0 == float(found.abs().max())


def test_what_is_not_finite_stays_so() -> None:
    """An atom that is nowhere gives no angle of 0 degrees."""
    x = torch.tensor([[[math.nan, 0, 0], [0, 0, 0], [1, 0, 0], [1, 1, 0.3]]], dtype=torch.float64)
    assert bool(angle(x, 0, 1, 2).isnan().all() & dihedral(x, 0, 1, 2, 3).isnan().all())
