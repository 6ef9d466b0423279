"""Shape space: the right number of features, an isometry, and derivatives in both modes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.func import jacfwd, jacrev, jvp, vjp

from trajvae.alignment.align import Alignment, pairwise_rmsd, rmsd
from trajvae.errors import ReadError
from trajvae.features.cartesian import ShapeSpace, constraints, householder, principal_components

# torch itself scripts its decompositions when forward mode is first used
FORWARD_MODE = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


@pytest.fixture(params=[2, 3])
def dimension(request):
    """Of space."""
    return request.param


@pytest.fixture(params=["geometry", "mass"])
def weights(request):
    """Of nine atoms."""
    return np.ones(9) if request.param == "geometry" else np.random.default_rng(5).uniform(1.0, 40.0, 9)


@pytest.fixture
def frames(dimension):
    """60 frames about one structure, tumbling, float64."""
    rng = np.random.default_rng(dimension)
    x = 3 * rng.normal(size=(9, dimension)) + 0.4 * rng.normal(size=(60, 9, dimension))
    q = np.linalg.qr(rng.normal(size=(60, dimension, dimension)))[0]
    q[:, :, -1] *= np.linalg.det(q)[:, None]
    return x @ q + 5 * rng.normal(size=(60, 1, dimension))


def made(frames, weights, kind):
    """Features of an alignment, and aligned frames as a tensor."""
    alignment = Alignment.fit(kind, frames, weights)
    return ShapeSpace(alignment.reference, weights, kind), torch.from_numpy(alignment.apply(frames))


RANKS = {"superpose": {2: 3, 3: 6}, "principal": {2: 2, 3: 3}, "none": {2: 0, 3: 0}}


@pytest.mark.parametrize("kind", RANKS)
def test_rank_is_the_number_of_equations(frames, weights, dimension, kind):
    """Six in space, three in the plane; the centre alone after `principal`; none without alignment."""
    features, x = made(frames, weights, kind)
    rank = RANKS[kind][dimension]
    assert (features.rank, features.size) == (rank, 9 * dimension - rank)
    assert features.targets(x).shape == (60, 9 * dimension - rank)


@pytest.mark.parametrize("n_atoms, dimension, rank", [(5, 3, 5), (2, 3, 5), (5, 2, 3), (2, 2, 3)])
def test_a_linear_reference_has_the_rank_of_a_linear_molecule(n_atoms, dimension, rank):
    """No turn about its own axis in space: five equations; in the plane nothing is special."""
    axis = np.ones(dimension) / np.sqrt(dimension)
    reference = (np.arange(n_atoms) - (n_atoms - 1) / 2)[:, None] * axis
    rows = constraints(reference, np.ones(n_atoms), "superpose")
    assert rows.shape == (rank, n_atoms * dimension)
    np.testing.assert_allclose(rows @ rows.T, np.eye(rank), atol=1e-12)


def test_two_atoms_have_one_feature_their_distance():
    """In space and in the plane: targets differ by the change of distance / sqrt 2."""
    for dimension in (2, 3):
        reference = np.zeros((2, dimension))
        reference[:, 0] = [-0.7, 0.7]
        features = ShapeSpace(reference, np.ones(2), "superpose")
        x = torch.zeros(4, 2, dimension, dtype=torch.float64)
        x[:, 0, 0], x[:, 1, 0] = torch.tensor([[-0.5, -0.6, -0.7, -0.8], [0.5, 0.6, 0.7, 0.8]])
        t = features.targets(x)
        assert t.shape == (4, 1)
        np.testing.assert_allclose(abs(np.diff(t.numpy(), axis=0)), 0.2 / np.sqrt(2), rtol=1e-6)


@pytest.mark.parametrize("dimension, n_atoms", [(3, 1), (2, 1)])
def test_what_has_no_shape_is_refused(dimension, n_atoms):
    """A single atom, after its centre is taken out."""
    with pytest.raises(ReadError, match=f"1 atoms in {dimension} dimensions"):
        ShapeSpace(np.zeros((n_atoms, dimension)), np.ones(n_atoms), "superpose")


@pytest.mark.parametrize("kind", ["superpose", "principal"])
def test_aligned_frames_obey_the_equations(frames, weights, kind):
    """Sum w x = 0 and sum w (x cross r) = 0, exactly: the constraint space holds nothing of them."""
    features, x = made(frames, weights, kind)
    alignment = Alignment.fit(kind, frames, weights)
    rows = constraints(alignment.reference, weights, kind)
    assert abs(rows @ x.flatten(1).numpy().T).max() < 1e-10
    assert features.rank == len(rows)


def test_unaligned_frames_do_not_obey_them(frames, weights):
    """The test above can fail: frames as they come are far from the constraint space's complement."""
    alignment = Alignment.fit("superpose", frames, weights)
    rows = constraints(alignment.reference, weights, "superpose")
    assert abs(rows @ frames.reshape(60, -1).T).max() > 0.1


@pytest.mark.parametrize("kind", RANKS)
def test_features_of_aligned_frames_are_an_isometry(frames, weights, kind):
    """Distances between features are distances between aligned frames, and norms are norms: log Jacobian 0."""
    features, x = made(frames, weights, kind)
    f, flat = features.targets(x), x.flatten(1)
    np.testing.assert_allclose(torch.cdist(f, f), torch.cdist(flat, flat), atol=1e-6)
    np.testing.assert_allclose(f.norm(dim=1), flat.norm(dim=1), rtol=1e-12)
    assert not features.log_jacobian(f).any()


@pytest.mark.parametrize("kind", RANKS)
def test_positions_undo_targets(frames, weights, kind):
    """To 1e-10 in float64, and to float32's own in float32."""
    features, x = made(frames, weights, kind)
    np.testing.assert_allclose(features.positions(features.targets(x)), x, atol=1e-10, rtol=0)
    single = features.positions(features.targets(x.float()))
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, x, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", RANKS)
def test_targets_undo_positions(frames, weights, kind):
    """For any targets, near data or not: the map is onto the complement."""
    features, _ = made(frames, weights, kind)
    targets = 100 * torch.randn(20, features.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(features.targets(features.positions(targets)), targets, atol=1e-10, rtol=0)


def test_decoded_frames_near_the_data_are_superposed(frames, weights):
    """Frames of any nearby targets are centred, and turning them on to the reference again gains nothing."""
    features, x = made(frames, weights, "superpose")
    reference = Alignment.fit("superpose", frames, weights).reference
    noise = torch.randn(60, features.size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    decoded = features.positions(features.targets(x) + 0.2 * noise).numpy()
    np.testing.assert_allclose(np.einsum("tnd,n->td", decoded, weights), 0.0, atol=1e-9)
    best = pairwise_rmsd(decoded, np.broadcast_to(reference, decoded.shape), weights)
    np.testing.assert_allclose(rmsd(decoded, reference, weights), best, atol=1e-10)


@pytest.mark.parametrize("rank", [0, 1, 3, 6])
def test_householder_is_orthogonal_and_spans_the_rows(rank):
    """Q from the compact form: Q Q^T = 1, and its first columns span what was given."""
    rng = np.random.default_rng(rank)
    rows = np.linalg.qr(rng.normal(size=(27, rank)))[0].T
    v, t = householder(rows)
    q = np.eye(27) - v @ t @ v.T
    np.testing.assert_allclose(q @ q.T, np.eye(27), atol=1e-13)
    np.testing.assert_allclose(q[:, :rank] @ q[:, :rank].T, rows.T @ rows, atol=1e-13)
    assert np.linalg.matrix_rank(q - np.eye(27)) <= rank


@FORWARD_MODE
@pytest.mark.parametrize("kind", RANKS)
def test_derivatives_in_both_modes_agree(frames, weights, kind):
    """jvp and vjp of targets and positions: one matrix, the transpose of the other's, and orthonormal."""
    features, x = made(frames, weights, kind)
    forward, backward = jacfwd(features.positions), jacrev(features.positions)
    f = features.targets(x[:1])
    j = forward(f).reshape(-1, features.size)
    np.testing.assert_allclose(j, backward(f).reshape(-1, features.size), atol=1e-13)
    np.testing.assert_allclose(j.T @ j, np.eye(features.size), atol=1e-12)
    back = jacfwd(features.targets)(x[:1]).reshape(features.size, -1)
    np.testing.assert_allclose(back, j.T, atol=1e-12)


@FORWARD_MODE
@pytest.mark.parametrize("kind", RANKS)
def test_directional_derivatives_are_finite_differences(frames, weights, kind):
    """The whole way inputs -> expand -> positions, forward and reverse, against a central difference."""
    features, x = made(frames, weights, kind)
    features, targets = refit(features, features.targets(x), min(features.size, 12))

    def through(u):
        return features.positions(features.expand(u))

    g = torch.Generator().manual_seed(2)
    u = features.inputs(targets)[:3]
    du = torch.randn(u.shape, dtype=torch.float64, generator=g)
    dx = torch.randn(3, *x.shape[1:], dtype=torch.float64, generator=g)
    _, ahead = jvp(through, (u,), (du,))
    numeric = (through(u + 1e-3 * du) - through(u - 1e-3 * du)) / 2e-3
    np.testing.assert_allclose(ahead, numeric, atol=1e-8)
    (back,) = vjp(through, u)[1](dx)
    np.testing.assert_allclose((back * du).sum(), (dx * ahead).sum(), rtol=1e-10)


def refit(features, targets, n_inputs, floor=1e-9):
    """Set the inputs of features up; the features, and the targets anew."""
    return features, features.set_components(targets, n_inputs, floor)


def test_inputs_are_centred_uncorrelated_and_of_unit_size(frames, weights):
    """With a floor that none of the components reaches."""
    features, x = made(frames, weights, "superpose")
    features, targets = refit(features, features.targets(x), 10)
    inputs = features.inputs(targets).numpy()
    np.testing.assert_allclose(inputs.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(np.cov(inputs.T), np.eye(10), atol=1e-8)


def test_scales_have_a_floor(frames, weights):
    """Stiff components are not blown up to unit size."""
    features, x = made(frames, weights, "superpose")
    refit(features, features.targets(x), features.size, floor=0.5)
    assert features.scale.min() == pytest.approx(0.5 * features.scale.max().item())
    assert features.scale.max() > features.scale.min()


@pytest.mark.parametrize("floor", [1e-9, 0.3])
def test_expand_undoes_inputs_when_all_components_are_kept(frames, weights, floor):
    """For data and for any other targets, whatever the floor."""
    features, x = made(frames, weights, "superpose")
    features, targets = refit(features, features.targets(x), features.size, floor)
    other = targets + torch.randn(targets.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    for t in (targets, other):
        np.testing.assert_allclose(features.expand(features.inputs(t)), t, atol=1e-10)


def test_fewer_components_project(frames, weights):
    """expand after inputs is the orthogonal projection on the kept components: PCA's reconstruction."""
    features, x = made(frames, weights, "superpose")
    features, targets = refit(features, features.targets(x), 4)
    centred = targets.numpy() - targets.numpy().mean(axis=0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    expected = (u[:, :4] * s[:4]) @ vt[:4] + targets.numpy().mean(axis=0)
    np.testing.assert_allclose(features.expand(features.inputs(targets)), expected, atol=1e-9)


@pytest.mark.parametrize("n_frames, size", [(200, 12), (12, 12), (13, 12), (9, 40), (2, 5), (30, 300)])
def test_principal_components_equal_numpys(n_frames, size):
    """Against an SVD of the centred data, up to signs, on both sides of T = F."""
    rng = np.random.default_rng(size)
    x = rng.normal(size=(n_frames, size)) * np.geomspace(5, 0.5, size) + 10
    k = min(n_frames - 1, size, 6)
    mean, axes, deviations = principal_components(torch.from_numpy(x), k)
    _, s, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(deviations, s[:k] / np.sqrt(n_frames - 1), rtol=1e-8)
    np.testing.assert_allclose(abs((axes.numpy() * vt[:k].T).sum(axis=0)), 1.0, atol=1e-8)
    np.testing.assert_allclose(axes.T @ axes, np.eye(k), atol=1e-10)


@pytest.mark.parametrize("n_frames, size, k", [(5, 40, 5), (50, 10, 10), (5, 40, 40)])
def test_principal_components_stay_orthonormal_past_the_rank(n_frames, size, k):
    """Data whose rank is below the components asked for: no NaN, orthonormal axes, deviations near zero at the end."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(n_frames, 3)) @ rng.normal(size=(3, size)))
    _, axes, deviations = principal_components(x, k)
    np.testing.assert_allclose(axes.T @ axes, np.eye(axes.shape[1]), atol=1e-8)
    assert (deviations[3:] < 1e-6 * deviations[0]).all() and axes.shape[1] == len(deviations)


def test_randomised_principal_components_equal_exact_ones(monkeypatch):
    """Where frames and features are both many (here: above 50), and the global random numbers stay as they were."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(200, 120)) * np.geomspace(10, 0.01, 120) + 3)
    exact = principal_components(x, 6)
    monkeypatch.setattr("trajvae.features.cartesian._EXACT", 50)
    state = torch.get_rng_state()
    mean, axes, deviations = principal_components(x, 6)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(deviations, exact[2])
    np.testing.assert_allclose(mean, exact[0], rtol=1e-12)
    np.testing.assert_allclose(deviations, exact[2], rtol=1e-6)
    np.testing.assert_allclose(abs((axes * exact[1]).sum(dim=0)), 1.0, atol=1e-5)


def test_buffers_travel_with_the_weights(frames, weights):
    """A model file holds everything: a fresh object takes another's state and gives the same numbers."""
    features, x = made(frames, weights, "superpose")
    features, _ = refit(features, features.targets(x), 5)
    targets = features.targets(x)
    alignment = Alignment.fit("superpose", frames, weights)
    again = ShapeSpace(alignment.reference, weights, "superpose", 5)
    again.load_state_dict(features.state_dict())
    assert torch.equal(again.inputs(again.targets(x)), features.inputs(targets))
    assert (again.input_size, again.size) == (5, features.size)


def test_rounding_is_no_sixth_equation():
    """A line that is straight to 1e-16 has five equations: turning it about itself is no motion."""
    reference = np.zeros((5, 3))
    reference[:, 0] = np.arange(5.0) - 2.0
    reference[2, 1] = 3e-16
    assert len(constraints(reference, np.ones(5), "superpose")) == 5


@pytest.mark.parametrize("kind", RANKS)
def test_inputs_are_affine_in_aligned_frames(frames, weights, dimension, kind):
    """The frame less the mean one, times one matrix: the same inputs to 1e-10."""
    features, x = made(frames, weights, kind)
    features.set_components(features.targets(x), 7, 0.1)
    matrix, mean = features.affine()
    assert matrix.shape == (9 * dimension, 7)
    wanted = features.inputs(features.targets(x))
    torch.testing.assert_close((x.flatten(1) - mean) @ matrix, wanted, atol=1e-10, rtol=0)
