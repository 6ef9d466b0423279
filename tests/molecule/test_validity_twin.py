"""The reasons of validity are those of a plain program that looks at every term of every frame."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from trajvae.molecule import bonded_terms as terms
from trajvae.molecule.observables import angles_of
from trajvae.molecule.validity import REASONS, Validity
from trajvae.molecule.validity import validity as module
from trajvae.readers.sources import Reading, open_source
from trajvae.topology import Topology
from trajvae.typing import Float64, Int64

pytestmark = pytest.mark.filterwarnings("ignore:no topology")

System = tuple[Float64, Topology]


def _length(v: Float64) -> Float64:
    return np.asarray(np.linalg.norm(v, axis=-1))


def _torsion(x: Float64, four: list[int]) -> Float64:
    """Return the values of one torsion in radians, (T,)."""
    a, b, c = (x[:, four[k + 1]] - x[:, four[k]] for k in range(3))
    first, second = np.cross(a, b), np.cross(b, c)
    return np.asarray(np.arctan2(_length(b) * (a * second).sum(axis=-1), (first * second).sum(axis=-1)))


def _limits(v: Validity) -> Float64:
    """The smallest allowed distance of every pair, 0 of bonded ones; bonds apart by powers of the bond graph."""
    n = len(v.kinds)
    graph = np.zeros((n, n), dtype=bool)
    graph[v.bonds[:, 0], v.bonds[:, 1]] = graph[v.bonds[:, 1], v.bonds[:, 0]] = True
    two = graph | (graph.astype(int) @ graph > 0)
    three = (two.astype(int) @ graph) > 0
    a, b = np.meshgrid(v.kinds, v.kinds, indexing="ij")
    return np.where(two, 0.0, np.where(three, v.contact_14[a, b], v.contact[a, b]))


def _wrong_hand(v: Validity, x: Float64) -> bool:
    """Whether a frame's chain has the wrong handedness at a four, or in the mean of a kind of fours."""
    volumes = []
    for four in v.fours:
        steps = np.diff(x[four], axis=0)
        volumes.append(float(np.linalg.det(steps / np.maximum(_length(steps), 1e-12)[:, None])))
    wrong = any(a * b < 0.0 for a, b in zip(volumes, v.four_sign, strict=True))
    for kind in set(v.four_kind.tolist()):
        mean = np.mean([a for a, b in zip(volumes, v.four_kind, strict=True) if b == kind])
        wrong |= bool(mean < v.chain_low[kind] or mean > v.chain_high[kind])
    return wrong


def slow_reasons(v: Validity, x: Float64) -> Int64:
    """Return the first test that each frame fails, after all tests of all frames."""
    lengths = _length(x[:, v.bonds[:, 0]] - x[:, v.bonds[:, 1]])
    a, b = x[:, v.angles[:, 0]] - x[:, v.angles[:, 1]], x[:, v.angles[:, 2]] - x[:, v.angles[:, 1]]
    cosine = (a * b).sum(axis=-1) / np.maximum(_length(a) * _length(b), 1e-12)
    bends = np.arccos(np.clip(cosine, -1.0, 1.0))
    i, j = np.triu_indices(x.shape[1], 1)
    unit = x[:, v.centres[:, 1:]] - x[:, v.centres[:, :1]]
    unit = unit / np.maximum(_length(unit), 1e-12)[..., None]
    turned = np.empty((len(x), 0)) if not len(v.omega) else np.stack([_torsion(x, k) for k in v.omega.tolist()], axis=1)
    around = x[:, v.planes[:, 1:]] - x[:, v.planes[:, :1]]
    around = around / np.maximum(_length(around), 1e-12)[..., None]
    flat = np.linalg.det(around) if len(v.planes) else np.empty((len(x), 0))
    stretch = ((lengths - v.bond_mean) / v.bond_spread).mean(axis=1)
    bend = np.minimum(np.abs(turned), np.pi - np.abs(turned))
    form = np.where(np.abs(turned) < np.pi / 2, v.omega_forms[:, 0], v.omega_forms[:, 1])
    failed = [
        ~((lengths >= v.bond_low) & (lengths <= v.bond_high)).all(axis=1)
        | ~np.isfinite(x).all(axis=(1, 2))
        | ~((stretch >= v.stretch[0]) & (stretch <= v.stretch[1])),
        ((bends < v.angle_low) | (bends > v.angle_high)).any(axis=1),
        (_length(x[:, i] - x[:, j]) < _limits(v)[i, j]).any(axis=1),
        ((np.linalg.det(unit) if len(v.centres) else np.empty((len(x), 0))) * v.handedness <= 0.0).any(axis=1),
        ((bend > v.omega_bend) | ~form).any(axis=1),
        ((flat < v.plane_low) | (flat > v.plane_high)).any(axis=1),
        np.array([_wrong_hand(v, frame) for frame in x]),
    ]
    return np.where(np.any(failed, axis=0), 1 + np.argmax(failed, axis=0), 0)


@pytest.fixture(scope="module", params=["alanine_dipeptide", "peptide", "chain2d", "chain3d_close"])
def system(request: pytest.FixtureRequest, examples: Path) -> System:
    """Frames of a molecule in float64."""
    stem = request.param
    path, top = (f"{stem}.npz", None) if stem.startswith("chain") else (f"{stem}.xtc", examples / f"{stem}.pdb")
    frames = open_source(examples / path, Reading(topology=top, select="all", step=20))
    return frames.read().positions.astype(np.float64), frames.topology


def _far_side(bonds: list[list[int]], start: int, end: int) -> list[int]:
    """The atoms that hang on `end` where the bond from `start` is cut, without `end` itself."""
    found = [end]
    for atom in found:
        found += [k for pair in bonds if atom in pair for k in pair if k not in (*found, start)]
    return found[1:]


def _swung(x: Float64, topology: Topology, about_bond: bool, random: np.random.Generator) -> Float64:
    """One side of a middle bond turned about that bond, or a little about any axis."""
    bonds = topology.backbone_bonds().tolist()
    start, end = min(bonds, key=lambda b: abs(len(_far_side(bonds, *b)) - x.shape[1] / 2))
    far, axis = _far_side(bonds, start, end), random.normal(size=(len(x), 3))
    flat = np.concatenate([x, np.zeros((*x.shape[:2], 3 - x.shape[2]))], axis=2)
    if about_bond and x.shape[2] == 3:
        axis = flat[:, end] - flat[:, start]
    axis = axis / _length(axis)[:, None] if x.shape[2] == 3 else np.array([[0.0, 0.0, 1.0]])
    turn = Rotation.from_rotvec(random.uniform(-np.pi if about_bond else -1.0, 1.0, (len(x), 1)) * axis).as_matrix()
    out = x.copy()
    out[:, far] = ((flat[:, far] - flat[:, [end]]) @ turn + flat[:, [end]])[..., : x.shape[2]]
    return out


def _distorted(x: Float64, topology: Topology, seed: int) -> Float64:
    """Frames with noise of many sizes, squeezed, swung, mirrored, and some that are no numbers."""
    random = np.random.default_rng(seed)
    size = 10.0 ** random.uniform(-3.0, 0.0, (len(x), 1, 1))
    parts = [x, x + size * random.normal(size=x.shape), x * random.uniform(0.85, 1.1, (len(x), 1, 1))]
    parts += [_swung(x, topology, about, random) for about in (True, False)]
    wrong = x[:3].copy()
    wrong[0, 0, 0], wrong[1, -1, 1], wrong[2] = np.nan, np.inf, 0.0
    return np.concatenate([*parts, x * np.array([1.0, 1.0, -1.0])[: x.shape[2]], wrong])


def test_reasons_are_those_of_the_plain_program(system: System) -> None:
    """Frame by frame, in any batch and layout, for frames that fail by each test there is."""
    x, topology = system
    learned = Validity.fit(x[::2], topology)
    frames = _distorted(x, topology, 1)
    with np.errstate(invalid="ignore"):
        expected = slow_reasons(learned, frames)
        found = learned.reasons(frames)
    assert np.array_equal(found, expected)
    there = {REASONS[k] for k in set(found.tolist())}
    assert {"valid", "bond", "contact"} | ({"angle", "chirality"} if topology.named else set()) <= there, there
    assert np.array_equal(learned.reasons(np.asfortranarray(frames)), expected)
    assert np.array_equal([learned.reasons(frame[None])[0] for frame in frames[::40]], expected[::40])


def test_ranges_without_width_are_met_to_the_bit(system: System) -> None:
    """Ranges of one frame's own values accept that frame, and nothing that is moved by rounding's size times ten."""
    x, topology = system
    learned = Validity.fit(x[:1], topology)
    lengths, bends = terms.bond_lengths(x[:1], learned.bonds), terms.bond_angles(x[:1], learned.angles)
    narrow = {"bond_low": lengths[0], "bond_high": lengths[0], "angle_low": bends[0], "angle_high": bends[0]}
    learned = dataclasses.replace(learned, **narrow)
    assert learned.reasons(x[:1]).tolist() == [0]
    near = x[:1] + 1e-13 * np.random.default_rng(0).normal(size=(200, *x.shape[1:]))
    assert np.array_equal(learned.reasons(near), slow_reasons(learned, near)) and learned.reasons(near).any()


@pytest.mark.parametrize("at_once", [1, 10**9])
def test_reasons_do_not_depend_on_how_many_are_judged_at_once(
    system: System, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Frames tested in small blocks and in one block fail by the same tests."""
    learned = Validity.fit(*system)
    frames = _distorted(*system, 2)[:-3]
    expected = learned.reasons(frames)
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", at_once)
    assert np.array_equal(learned.reasons(frames), expected)


def test_terms_are_those_of_each_frame(system: System) -> None:
    """Lengths and angles are numpy's to the bit, signed volumes are determinants, whatever the layout."""
    x, topology = system
    bonds = topology.backbone_bonds()
    angles = angles_of(bonds, topology.n_atoms)
    centres = np.array([[1, 0, 2, 3], [4, 2, 5, 6]])
    a, b = x[:, angles[:, 0]] - x[:, angles[:, 1]], x[:, angles[:, 2]] - x[:, angles[:, 1]]
    twin = np.arccos(np.clip((a * b).sum(axis=-1) / (_length(a) * _length(b)), -1.0, 1.0))
    for frames in (x, terms.coordinate_major(x), x.astype(np.float32).astype(np.float64)[:, ::-1][:, ::-1]):
        exact = np.array_equal(frames, x)
        lengths = _length(frames[:, bonds[:, 0]] - frames[:, bonds[:, 1]])
        assert np.array_equal(terms.bond_lengths(frames, bonds), lengths)
        assert not exact or np.array_equal(terms.bond_angles(frames, angles), twin)
    if x.shape[2] == 3:
        unit = x[:, centres[:, 1:]] - x[:, centres[:, :1]]
        volumes = np.linalg.det(unit / _length(unit)[..., None])
        np.testing.assert_allclose(terms.signed_volumes(x, centres), volumes, atol=1e-12)


def test_columns_lay_frames_out_by_coordinate() -> None:
    """The numbers stay the same, and are copied only where their order in memory differs."""
    x = np.random.default_rng(0).normal(size=(7, 3, 2)).astype(np.float32)
    laid = terms.coordinate_major(x)
    assert np.array_equal(laid, x) and laid.dtype == np.float64 and laid.T.flags.c_contiguous
    assert np.shares_memory(terms.coordinate_major(laid), laid)
