"""Alignment against MDAnalysis, mdtraj, closed forms, and its own invariants."""

from __future__ import annotations

import itertools

import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
from MDAnalysis.analysis.align import rotation_matrix
from MDAnalysis.analysis.rms import rmsd as mda_rmsd

from trajvae.alignment.align import (
    Alignment,
    center,
    frame_jump,
    mean_structure,
    optimal_rotations,
    pairwise_rmsd,
    principal,
    principal_frame,
    rmsd,
    superpose,
)
from trajvae.errors import OptionError

ALIGNERS = pytest.mark.parametrize("align", [superpose, lambda *a: principal(*a)[0]], ids=["superpose", "principal"])


@pytest.fixture(scope="module")
def adk_ca(adk):
    """C-alpha atoms of adenylate kinase: positions (98, 214, 3) in float64."""
    universe = mda.Universe(*map(str, adk))
    atoms = universe.select_atoms("name CA")
    return universe.trajectory.timeseries(asel=atoms, order="fac").astype(np.float64)


@pytest.fixture(scope="module")
def sets(adk_ca, chain, examples):
    """Return frames of a protein and of bead chains in two and three dimensions, in float64."""
    with np.load(examples / "chain3d.npz") as arrays:
        space = arrays["positions"][:400].astype(np.float64)
    return {"adk": adk_ca, "chain2d": chain.astype(np.float64), "chain3d": space}


@pytest.fixture(params=["adk", "chain2d", "chain3d"])
def frames(request, sets):
    """Each set of frames in turn."""
    return sets[request.param]


@pytest.fixture(params=["geometry", "mass"])
def weights_for(request):
    """Weights of n atoms: one each, or uneven ones."""
    if request.param == "geometry":
        return np.ones
    return lambda n: np.random.default_rng(5).choice([1.008, 12.011, 15.999, 32.06], size=n)


def random_rotations(rng, n, dimension):
    """Uniform proper rotations, (n, D, D)."""
    q, r = np.linalg.qr(rng.normal(size=(n, dimension, dimension)))
    q *= np.sign(np.einsum("nii->ni", r))[:, None, :]
    q[:, :, -1] *= np.linalg.det(q)[:, None]
    return q


def moved_at_random(x, seed=0, shift=20.0):
    """Every frame turned and shifted by a motion of its own."""
    rng = np.random.default_rng(seed)
    n, _, dimension = x.shape
    return x @ random_rotations(rng, n, dimension) + rng.normal(scale=shift, size=(n, 1, dimension))


def test_rmsd_equals_mdanalysis_in_space(sets, weights_for):
    """T10: superposition RMSD of frames far apart in the run, weighted and not, to 1e-6 Å."""
    for name in ("adk", "chain3d"):
        x = sets[name]
        w = weights_for(x.shape[1])
        other = np.roll(x, 13, axis=0)
        expected = [mda_rmsd(a, b, weights=w, center=True, superposition=True) for a, b in zip(x, other, strict=True)]
        np.testing.assert_allclose(pairwise_rmsd(x, other, w), expected, atol=1e-6, rtol=0)


def test_superposed_frames_have_the_rmsd_of_mdanalysis(adk_ca):
    """`superpose` and plain `rmsd` together are the superposition RMSD."""
    w = np.ones(adk_ca.shape[1])
    reference = center(adk_ca[:1], w)[0]
    expected = [mda_rmsd(a, reference, center=True, superposition=True) for a in adk_ca]
    np.testing.assert_allclose(rmsd(superpose(adk_ca, reference, w), reference), expected, atol=1e-6, rtol=0)


def test_rmsd_equals_mdtraj(adk_ca):
    """T10: mdtraj works in float32 and nm, so to 1e-3 Å."""
    n = adk_ca.shape[1]
    top = mdtraj.Topology()
    chain = top.add_chain()
    for _ in range(n):
        top.add_atom("CA", mdtraj.element.carbon, top.add_residue("ALA", chain))
    trajectory = mdtraj.Trajectory(adk_ca / 10.0, top)
    expected = 10.0 * mdtraj.rmsd(trajectory, trajectory, frame=40)
    got = pairwise_rmsd(adk_ca, np.broadcast_to(adk_ca[40], adk_ca.shape), np.ones(n))
    np.testing.assert_allclose(got, expected, atol=1e-3, rtol=0)


def test_rmsd_in_the_plane_equals_the_closed_form(sets, weights_for):
    """As complex numbers the best turn is the phase of sum w conj(x) y; no turning over, unlike in space."""
    x = sets["chain2d"]
    w = weights_for(x.shape[1])
    a, b = center(x, w) @ [1.0, 1.0j], center(np.roll(x, 7, axis=0), w) @ [1.0, 1.0j]
    square = (w * (abs(a) ** 2 + abs(b) ** 2)).sum(1) - 2 * abs((w * a.conj() * b).sum(1))
    got = pairwise_rmsd(x, np.roll(x, 7, axis=0), w)
    np.testing.assert_allclose(got, np.sqrt(square / w.sum()), atol=1e-7, rtol=0)


def test_rotations_equal_mdanalysis(adk_ca, weights_for):
    """The rotation itself, not only its RMSD, weighted and not."""
    w = weights_for(adk_ca.shape[1])
    x = center(adk_ca, w)
    expected = [rotation_matrix(frame, x[0], weights=w)[0].T for frame in x[1:]]
    np.testing.assert_allclose(optimal_rotations(x[1:], x[0], w), expected, atol=1e-7)


def test_one_reference_a_frame_is_the_same_as_one_at_a_time(frames):
    """The (T, N, D) form of the reference means frame by frame."""
    w = np.ones(frames.shape[1])
    x, y = center(frames[:20], w), center(frames[20:40], w)
    single = [optimal_rotations(a[None], b, w)[0] for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(optimal_rotations(x, y, w), single, atol=1e-12)


def odd_frames(dimension):
    """Return frames with degenerate rotations: mirror images, planar and straight frames, two atoms, a single point."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 7, dimension))
    flat, straight, point = x.copy(), x.copy(), np.zeros_like(x)
    flat[..., -1] = 0.0
    straight[..., 1:] = 0.0
    mirrored = x * np.r_[np.ones(dimension - 1), -1.0]
    return {"any": x, "mirror": mirrored, "flat": flat, "straight": straight, "two atoms": x[:, :2], "point": point}


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("kind", ["any", "mirror", "flat", "straight", "two atoms", "point"])
def test_rotations_are_proper(dimension, kind):
    """det = +1 and orthogonal, whatever the frames and against a reference of the same or of a general kind."""
    everything = odd_frames(dimension)
    n = everything[kind].shape[1]
    w = np.ones(n)
    x = center(everything[kind], w)
    for reference in (x[3], center(everything["any"][:1, :n], w)[0]):
        r = optimal_rotations(x, reference, w)
        np.testing.assert_allclose(np.linalg.det(r), 1.0, atol=1e-12)
        np.testing.assert_allclose(r @ np.swapaxes(r, 1, 2), np.broadcast_to(np.eye(dimension), r.shape), atol=1e-12)


@pytest.mark.parametrize("kind", ["mirror", "flat", "straight"])
def test_odd_frames_have_the_rmsd_of_mdanalysis(kind):
    """Against a general reference; a mirror image is not superposed on its original."""
    everything = odd_frames(3)
    x = everything[kind]
    other = everything["any"][:, : x.shape[1]]
    expected = [mda_rmsd(a, b, center=True, superposition=True) for a, b in zip(x, other, strict=True)]
    got = pairwise_rmsd(x, other, np.ones(x.shape[1]))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert kind != "mirror" or got.min() > 0.05


@pytest.mark.parametrize("dimension", [2, 3])
def test_two_atoms_differ_by_their_distance_alone(dimension):
    """RMSD of two pairs of atoms is half the difference of their distances (MDAnalysis gives NaN here)."""
    x = odd_frames(dimension)["two atoms"]
    lengths = np.linalg.norm(x[:, 0] - x[:, 1], axis=1)
    got = pairwise_rmsd(x, np.roll(x, 1, axis=0), np.ones(2))
    np.testing.assert_allclose(got, abs(lengths - np.roll(lengths, 1)) / 2, atol=1e-12)


@ALIGNERS
@pytest.mark.parametrize("dimension", [2, 3])
def test_alignment_never_mirrors(align, dimension):
    """The linear map from a frame to its aligned form, found by least squares, has det = +1 for mirror images too."""
    everything = odd_frames(dimension)
    x = np.concatenate([everything["any"], everything["mirror"]])
    w = np.ones(x.shape[1])
    moved = center(x, w)
    aligned = align(x, moved[0], w)
    maps = np.linalg.pinv(moved) @ aligned
    np.testing.assert_allclose(moved @ maps, aligned, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(maps), 1.0, atol=1e-12)


@ALIGNERS
@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("kind", ["flat", "straight", "two atoms", "point"])
def test_odd_frames_keep_their_distances(align, dimension, kind):
    """Alignment of flat, straight and single-point frames is still rigid, and finite."""
    x = odd_frames(dimension)[kind]
    w = np.ones(x.shape[1])
    aligned = align(x, center(x[:1], w)[0], w)
    np.testing.assert_allclose(
        np.linalg.norm(aligned[:, :, None] - aligned[:, None], axis=-1),
        np.linalg.norm(x[:, :, None] - x[:, None], axis=-1),
        atol=1e-12,
    )


@pytest.mark.parametrize("kind", ["superpose", "principal"])
def test_turned_and_shifted_frames_align_alike(frames, weights_for, kind):
    """T10's root: a rigid motion of every frame changes nothing, to 1e-10 in float64, in two dimensions and three."""
    alignment = Alignment.fit(kind, frames, weights_for(frames.shape[1]))
    np.testing.assert_allclose(alignment.apply(moved_at_random(frames)), alignment.apply(frames), atol=1e-10, rtol=0)


def test_alignment_none_leaves_frames_as_they_are(frames):
    """Frames are returned unchanged, without centring."""
    assert np.array_equal(Alignment.fit("none", frames, np.ones(frames.shape[1])).apply(frames), frames)


def test_unknown_alignment_is_an_option_error():
    """The message lists the kinds of alignment."""
    with pytest.raises(OptionError, match="superpose, principal, none"):
        Alignment("procrustes", np.zeros((3, 3)), np.ones(3))


@pytest.mark.parametrize("kind", ["superpose", "principal", "none"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_aligned_frames_keep_their_precision(chain, kind, dtype):
    """float32 stays float32, float64 stays float64, and both agree."""
    alignment = Alignment.fit(kind, chain, np.ones(12))
    assert alignment.reference.dtype == np.float64
    aligned = alignment.apply(chain.astype(dtype))
    assert aligned.dtype == dtype
    np.testing.assert_allclose(aligned, alignment.apply(chain.astype(np.float64)), atol=1e-4)


def test_float32_far_from_the_origin_loses_only_what_it_lost_already(adk_ca):
    """The centre is taken in float64: frames 1000 Å away align to float32's own spacing there."""
    far = (adk_ca + 1000.0).astype(np.float32)
    alignment = Alignment.fit("superpose", adk_ca, np.ones(adk_ca.shape[1]))
    np.testing.assert_allclose(alignment.apply(far), alignment.apply(adk_ca), atol=3e-4)


def test_centre_is_weighted(frames, weights_for):
    """The weighted mean of every frame is zero, and the unweighted one is not unless weights are equal."""
    w = weights_for(frames.shape[1])
    moved = center(frames + 30.0, w)
    np.testing.assert_allclose(np.average(moved, axis=1, weights=w), 0.0, atol=1e-12)
    assert np.ptp(w) == 0 or abs(moved.mean(axis=1)).max() > 1e-3


def test_superposition_is_optimal_in_its_own_weights(frames, weights_for):
    """No small turn of a superposed frame lowers the weighted RMSD; the other weights' optimum is another one."""
    n, dimension = frames.shape[1:]
    w = weights_for(n)
    reference = center(frames[:1], w)[0]
    aligned = superpose(frames[1:], reference, w)
    best = rmsd(aligned, reference, w)
    for seed in range(5):
        generator = np.random.default_rng(seed).normal(scale=0.05, size=(dimension, dimension))
        turn = np.linalg.qr(np.eye(dimension) + generator - generator.T)[0]
        turn *= np.sign(np.diag(turn))
        assert (rmsd(aligned @ turn, reference, w) >= best - 1e-12).all()
    plain = superpose(frames[1:], center(frames[:1], np.ones(n))[0], np.ones(n))
    assert np.ptp(w) == 0 or (rmsd(center(plain, w), reference, w) > best + 1e-9).mean() > 0.9


def test_principal_axes_are_those_of_the_gyration_tensor(frames, weights_for):
    """In its own frame the tensor is diagonal and descending, with the moments that numpy finds."""
    w = weights_for(frames.shape[1])
    turned, moments = principal_frame(frames, w)
    tensor = np.einsum("tni,tnj,n->tij", turned, turned, w)
    moved = center(frames, w)
    expected = np.linalg.eigvalsh(np.einsum("tni,tnj,n->tij", moved, moved, w))[:, ::-1]
    diagonal = np.einsum("tii->ti", tensor)
    np.testing.assert_allclose(diagonal, expected, rtol=1e-9)
    np.testing.assert_allclose(moments, expected, rtol=1e-9)
    off = tensor - np.einsum("ti,ij->tij", diagonal, np.eye(frames.shape[2]))
    assert (abs(off).max(axis=(1, 2)) < 1e-10 * diagonal[:, 0]).all()


def test_principal_signs_are_the_nearest_to_the_reference(frames):
    """Of all proper sign choices none is nearer."""
    w = np.ones(frames.shape[1])
    reference = mean_structure(frames, w)
    aligned = principal(frames, reference, w)[0]
    best = rmsd(aligned, reference)
    for signs in np.ndindex(*[2] * frames.shape[2]):
        factors = 1.0 - 2.0 * np.array(signs)
        if factors.prod() > 0:
            assert (rmsd(aligned * factors, reference) >= best - 1e-12).all()


def test_principal_on_adk_flips_no_sign_and_jumps_little(adk_ca):
    """On the DIMS run the largest jump is at most 1.6 times the optimal one; eigenvectors as they come: 50 times."""
    w = np.ones(adk_ca.shape[1])
    alignment = Alignment.fit("principal", adk_ca, w)
    aligned = alignment.apply(adk_ca)
    optimal = pairwise_rmsd(adk_ca[1:], adk_ca[:-1], w)
    ratio = np.nanmax(frame_jump(aligned)) / optimal.max()
    assert ratio <= 1.6
    assert (np.einsum("tnd,tnd->td", aligned[1:], aligned[:-1]) > 0).all()
    raw = principal_frame(adk_ca, w)[0]
    assert np.nanmax(frame_jump(raw)) > 10 * optimal.max()


@pytest.mark.parametrize("ratio, near", [(0.99, True), (0.92, True), (0.85, False), (0.3, False)])
@pytest.mark.parametrize("dimension", [2, 3])
def test_near_degenerate_axes_are_counted(ratio, near, dimension):
    """Two moments within 10 % of each other count, and only for `principal`."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(12, 20, dimension))
    w = np.ones(20)
    turned, moments = principal_frame(x, w)
    wanted = np.array([1.0, ratio, 0.2])[-dimension:] if dimension == 3 else np.array([1.0, ratio])
    x[:5] = (turned * np.sqrt(wanted / moments)[:, None, :])[:5]
    x[5:] = (turned * np.sqrt(np.array([1.0, 0.5, 0.2])[:dimension] / moments)[:, None, :])[5:]
    x = moved_at_random(x)
    reference = center(x[:1], w)[0]
    np.testing.assert_array_equal(principal(x, reference, w)[1], [near] * 5 + [False] * 7)
    assert Alignment("principal", reference, w).degenerate(x) == (5 if near else 0)
    assert Alignment("superpose", reference, w).degenerate(x) == 0


def test_superposed_close_chain_jumps_little(examples):
    """On the 2-D chain close in time the largest jump is at most 1.15 times that of pairwise superposition."""
    with np.load(examples / "chain2d_close.npz") as arrays:
        x = arrays["positions"]
    w = np.ones(12)
    jump = frame_jump(Alignment.fit("superpose", x, w).apply(x))[1:]
    optimal = pairwise_rmsd(x[1:], x[:-1], w)
    assert jump.max() <= 1.15 * optimal.max()
    assert (jump >= optimal - 1e-5).all()


def test_frame_jump_is_the_plain_rmsd_between_neighbours_and_nan_at_file_starts(frames):
    """Jumps equal those of plain numpy; they are NaN between frames of two files."""
    follows = np.ones(len(frames), dtype=bool)
    follows[[0, 30, 31, 77]] = False
    jump = frame_jump(frames, follows)
    np.testing.assert_array_equal(np.isnan(jump), ~follows)
    by_hand = [np.sqrt(((b - a) ** 2).sum() / len(a)) for a, b in itertools.pairwise(frames)]
    np.testing.assert_allclose(jump[follows], np.array(by_hand)[follows[1:]], rtol=1e-12)


@pytest.mark.parametrize("count", [0, 1])
def test_frame_jump_of_one_frame_or_none_is_nan(chain, count):
    """The first frame has no frame before it, so its jump is NaN."""
    jump = frame_jump(chain[:count])
    assert jump.shape == (count,) and np.isnan(jump).all()


def test_mean_structure_is_a_fixed_point_in_its_own_axes(adk_ca, weights_for):
    """The mean of the frames superposed on it is itself, centred and with a diagonal gyration tensor."""
    w = weights_for(adk_ca.shape[1])
    mean = mean_structure(adk_ca, w)
    again = superpose(adk_ca, mean, w).mean(axis=0)
    assert rmsd(again, mean) < 1e-7
    np.testing.assert_allclose(w @ mean, 0.0, atol=1e-6)
    tensor = mean.T @ (w[:, None] * mean)
    np.testing.assert_allclose(tensor, np.diag(np.diag(tensor)), atol=1e-8 * tensor[0, 0])
    assert (np.diff(np.diag(tensor)) < 0).all()


def test_mean_structure_forgets_order_and_motion(adk_ca):
    """Frames shuffled, turned and shifted have the same mean structure, the signs of its axes included."""
    w = np.ones(adk_ca.shape[1])
    shuffled = moved_at_random(adk_ca)[np.random.default_rng(3).permutation(len(adk_ca))]
    a, b = mean_structure(adk_ca, w), mean_structure(shuffled, w)
    assert pairwise_rmsd(a[None], b[None], w)[0] < 1e-6
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_reference_of_a_floppy_chain_is_one_of_its_frames(sets):
    """A mean much thinner than the frames would not determine their orientation."""
    x = sets["chain3d"]
    w = np.ones(x.shape[1])
    reference = mean_structure(x, w)
    distance = pairwise_rmsd(x, np.broadcast_to(reference, x.shape), w)
    assert distance.min() < 1e-6
    assert np.sum(distance < 0.1) == 1
