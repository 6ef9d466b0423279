"""Differentiable superposition: the optimal proper rotation, and derivatives where a decomposition has none."""

from __future__ import annotations

import MDAnalysis as mda
import numpy as np
import pytest
import torch
from torch import Tensor

from trajvae.alignment.align import mean_structure, rmsd, superpose
from trajvae.alignment.differentiable import superpose_tensors
from trajvae.errors import ModelError
from trajvae.typing import Float64


@pytest.fixture(params=[2, 3], ids=["plane", "space"])
def dimension(request: pytest.FixtureRequest) -> int:
    """Return the number of dimensions."""
    return request.param


@pytest.fixture(params=["geometry", "mass"])
def weights(request: pytest.FixtureRequest) -> Float64:
    """Return weights of six atoms: all one, or unequal."""
    return np.ones(6) if request.param == "geometry" else np.array([1.008, 12.011, 15.999, 1.008, 32.06, 14.007])


def centred(x: Float64, weights: Float64) -> Float64:
    """A structure about its centre."""
    return x - weights @ x / weights.sum()


def rotations(n: int, dimension: int) -> Float64:
    """Proper rotations, (n, D, D)."""
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(n, dimension, dimension)))[0]
    q[:, :, -1] *= np.linalg.det(q)[:, None]
    return q


def structure(dimension: int, weights: Float64) -> Float64:
    """Six atoms, centred, (6, D)."""
    return centred(2.0 * np.random.default_rng(dimension).normal(size=(6, dimension)), weights)


def tumbling(reference: Float64, n: int = 40, noise: float = 0.4) -> Float64:
    """Frames about a reference, turned and shifted anyhow, (n, N, D)."""
    rng = np.random.default_rng(5)
    x = reference + noise * rng.normal(size=(n, *reference.shape))
    return x @ rotations(n, reference.shape[1]) + 5.0 * rng.normal(size=(n, 1, reference.shape[1]))


def on(reference: Float64, weights: Float64, x: Float64 | Tensor) -> Tensor:
    """Frames superposed on a reference, by the function under test."""
    x, reference, weights = (torch.as_tensor(a) for a in (x, reference, weights))
    return superpose_tensors(x, reference, weights)


def turn_of(moved: Float64, x: Float64, weights: Float64) -> Float64:
    """The linear map that took one centred frame to another."""
    return np.linalg.lstsq(centred(x, weights), moved, rcond=None)[0]


def test_equals_its_twin_on_tumbling_frames(dimension, weights):
    """`trajvae.alignment.align.superpose` gives the same frames to 1e-10 Å."""
    reference = structure(dimension, weights)
    x = tumbling(reference)
    np.testing.assert_allclose(on(reference, weights, x), superpose(x, reference, weights), rtol=0, atol=1e-10)


def test_equals_its_twin_on_frames_unlike_the_reference(dimension, weights):
    """Also where frames share nothing with the reference, and the least singular value may be flipped."""
    reference = structure(dimension, weights)
    x = 3.0 * np.random.default_rng(9).normal(size=(200, 6, dimension))
    np.testing.assert_allclose(on(reference, weights, x), superpose(x, reference, weights), rtol=0, atol=1e-8)


def test_equals_its_twin_on_simulations(adk, examples):
    """Every frame of adenylate kinase's C-alpha atoms and of both bead chains."""
    universe = mda.Universe(*map(str, adk))
    sets = [universe.trajectory.timeseries(asel=universe.select_atoms("name CA"), order="fac")]
    sets += [np.load(examples / f"chain{d}d.npz")["positions"] for d in (2, 3)]
    for x in (s.astype(np.float64) for s in sets):
        w = np.ones(x.shape[1])
        reference = mean_structure(x[::20], w)
        np.testing.assert_allclose(on(reference, w, x), superpose(x, reference, w), rtol=0, atol=1e-9)


def test_turning_and_shifting_frames_changes_nothing(dimension, weights):
    """The result depends only on the shape of a frame, not on its position and orientation."""
    reference = structure(dimension, weights)
    x = tumbling(reference)
    other = x @ rotations(1, dimension)[0] - 7.0
    np.testing.assert_allclose(on(reference, weights, other), on(reference, weights, x), rtol=0, atol=1e-10)


def test_half_turns_are_found(dimension, weights):
    """A frame turned by half a turn about any axis, or almost, comes back to the reference."""
    reference = structure(dimension, weights)
    if dimension == 2:
        turns = [-np.eye(2)]
    else:
        axes = np.concatenate([np.eye(3), rotations(4, 3)[:, 0]])
        turns = [2.0 * np.outer(a, a) - np.eye(3) for a in axes]
    x = np.stack([reference @ turn for turn in turns])
    for frames in (x, x + 1e-9):
        np.testing.assert_allclose(on(reference, weights, frames), np.broadcast_to(reference, x.shape), atol=1e-8)


def test_every_turn_is_proper(dimension, weights):
    """What took the frame to the result has determinant +1 and is orthogonal, of mirrored frames too."""
    reference = structure(dimension, weights)
    x = tumbling(reference, 20)
    mirrored = x * np.array([-1.0, 1.0, 1.0][:dimension])
    for frames in (x, mirrored):
        for frame, moved in zip(frames, on(reference, weights, frames).numpy(), strict=True):
            turn = turn_of(moved, frame, weights)
            np.testing.assert_allclose(turn @ turn.T, np.eye(dimension), atol=1e-9)
            assert np.linalg.det(turn) == pytest.approx(1.0, abs=1e-9)


def test_a_mirrored_frame_is_not_mirrored_back(dimension, weights):
    """The reference's mirror image stays far from it, as far as the twin says."""
    reference = structure(dimension, weights)
    mirrored = (reference * np.array([-1.0, 1.0, 1.0][:dimension]))[None]
    apart = rmsd(on(reference, weights, mirrored).numpy(), reference, weights)
    assert apart > 0.5
    np.testing.assert_allclose(apart, rmsd(superpose(mirrored, reference, weights), reference, weights), atol=1e-10)


def test_reverse_derivatives_of_two_orders(dimension, weights):
    """gradcheck and gradgradcheck."""
    reference, w = (torch.from_numpy(a) for a in (structure(dimension, weights), weights))
    x = torch.from_numpy(tumbling(reference.numpy(), 2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: superpose_tensors(t, reference, w), (x,))
    assert torch.autograd.gradgradcheck(lambda t: superpose_tensors(t, reference, w), (x,), fast_mode=True)


def test_forward_derivatives_are_finite_differences(dimension, weights):
    """jvp against central differences, at frames turned by half a turn as well."""
    reference = structure(dimension, weights)
    half = np.diag([-1.0, -1.0, 1.0][:dimension])
    x = torch.from_numpy(np.concatenate([tumbling(reference, 5), (tumbling(reference, 5, 0.2) @ half)]))
    x[5] = torch.from_numpy(reference @ half)
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    numeric = (on(reference, weights, x + 1e-5 * way) - on(reference, weights, x - 1e-5 * way)) / 2e-5
    forward = torch.func.jvp(lambda t: on(reference, weights, t), (x,), (way,))[1]
    torch.testing.assert_close(forward, numeric, rtol=1e-6, atol=1e-8)


SYMMETRIC = {
    "square": [[1, 1], [1, -1], [-1, 1], [-1, -1]],
    "tetrahedron": [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]],
    "planar": [[1, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0]],
}


@pytest.mark.parametrize("name", SYMMETRIC)
def test_derivatives_where_singular_values_meet(name):
    """At a symmetric structure, where those of the decomposition are infinite, both orders are finite and right."""
    reference = torch.tensor(SYMMETRIC[name], dtype=torch.float64)
    x = reference[None].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda t: superpose_tensors(t, reference, torch.ones(4)), (x,))
    assert torch.autograd.gradgradcheck(lambda t: superpose_tensors(t, reference, torch.ones(4)), (x,), fast_mode=True)
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x.detach()
    numeric = (on(reference, torch.ones(4), x + 1e-5 * way) - on(reference, torch.ones(4), x - 1e-5 * way)) / 2e-5
    forward = torch.func.jvp(lambda t: on(reference, torch.ones(4), t), (x,), (way,))[1]
    torch.testing.assert_close(forward, numeric, rtol=1e-6, atol=1e-8)


def test_turning_or_shifting_a_frame_moves_nothing(dimension, weights):
    """The derivative along a rotation or a shift of the frame is zero."""
    reference = structure(dimension, weights)
    x = torch.from_numpy(tumbling(reference, 3))
    spin = np.zeros((dimension, dimension))
    spin[0, 1], spin[1, 0] = 1.0, -1.0
    for way in (x @ torch.from_numpy(spin), torch.ones_like(x)):
        moved = torch.func.jvp(lambda t: on(reference, weights, t), (x,), (way,))[1]
        assert moved.abs().max() < 1e-10


def test_float32_stays_and_is_close(dimension, weights):
    """float32 frames give float32 frames, to 1e-4 Å, and finite gradients."""
    reference = structure(dimension, weights)
    x = torch.from_numpy(tumbling(reference)).float().requires_grad_()
    single = on(reference, weights, x)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.detach().double(), on(reference, weights, x.detach().double()), rtol=0, atol=1e-4)
    single[:, 0].sum().backward()
    assert torch.isfinite(x.grad).all()


def test_positions_that_are_not_finite_are_an_error(dimension, weights):
    """In three dimensions an error names the problem; in two dimensions the result is not finite."""
    reference = structure(dimension, weights)
    x = torch.from_numpy(tumbling(reference))
    x[1] = torch.inf
    if dimension == 3:
        with pytest.raises(ModelError, match="not finite numbers"):
            on(reference, weights, x)
    else:
        assert not torch.isfinite(on(reference, weights, x)[1]).any()
