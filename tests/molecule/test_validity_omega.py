"""Peptide bonds: which they are, and that a twisted one, or one in a form that the simulation has not, is found."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from trajvae import Model, Reading, TrainConfig
from trajvae.models.partition import partition
from trajvae.molecule.bonded_terms import omegas
from trajvae.molecule.simulated_terms import bend_limit, peptide_bonds, prediction_factor
from trajvae.molecule.validity import REASONS, Validity
from trajvae.readers.sources import open_source
from trajvae.topology import Topology
from trajvae.typing import Floats, Int64

System = tuple[Floats, Topology]
OMEGA = REASONS.index("omega")


def _read(examples: Path, name: str, **options: Any) -> System:
    frames = open_source(examples / f"{name}.xtc", Reading(topology=examples / f"{name}.pdb", **options))
    return frames.read().positions.astype(np.float64), frames.topology


@pytest.fixture(scope="module")
def peptide(examples: Path) -> System:
    """The heptapeptide, heavy atoms, 600 frames over the run; all bonds trans."""
    return _read(examples, "peptide", step=20)


@pytest.fixture(scope="module")
def dipeptide(examples: Path) -> System:
    """Alanine dipeptide, heavy atoms, 2000 frames over the run; the second bond is cis at times."""
    return _read(examples, "alanine_dipeptide", step=5)


@pytest.fixture(scope="module")
def bare(peptide: System) -> Validity:
    """The test learned from the heptapeptide."""
    return Validity.fit(*peptide)


@pytest.fixture(scope="module")
def calm(examples: Path) -> tuple[Floats, Validity]:
    """Frames of the heptapeptide whose bonds are planar within 20 degrees, as at lower temperature; their test."""
    x, topology = _read(examples, "peptide", step=4)
    size = np.abs(omegas(x, peptide_bonds(topology)))
    x = x[(np.pi - size < np.deg2rad(20.0)).all(axis=1)]
    return x, Validity.fit(x, topology)


def _behind(topology: Topology, four: Int64) -> list[int]:
    """The atoms on the nitrogen's side of a peptide bond."""
    found, c = [int(four[2])], int(four[1])
    for atom in found:
        near = [b if a == atom else a for a, b in topology.bonds.tolist() if atom in (a, b)]
        found += [k for k in near if k != c and k not in found]
    return found


def _turned(x: Floats, topology: Topology, four: Int64, angle: float) -> Floats:
    """Frames with all that is behind a peptide bond turned about it, by an angle in radians."""
    out, behind = x.copy(), _behind(topology, four)
    axis = x[:, four[2]] - x[:, four[1]]
    turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis, axis=1, keepdims=True)).as_matrix()
    origin = x[:, four[1], None]
    out[:, behind] = np.einsum("tni,tji->tnj", x[:, behind] - origin, turn) + origin
    return out


# --- which they are


def test_the_peptide_has_six(peptide: System) -> None:
    """CA, C, N and CA of each residue and the next, in the chain's order."""
    topology = peptide[1]
    found = peptide_bonds(topology)
    assert found.shape == (6, 4) and found.dtype == np.int64
    assert (topology.names[found] == ["CA", "C", "N", "CA"]).all()
    assert topology.resids[found].tolist() == [[k, k, k + 1, k + 1] for k in range(1, 7)]


@pytest.mark.parametrize("select", [None, "all"])
def test_caps_have_peptide_bonds_too(examples: Path, select: str | None) -> None:
    """Alanine dipeptide has two; where there is no CA the methyl carbon stands in, and no hydrogen ever does."""
    topology = _read(examples, "alanine_dipeptide", select=select, stop=1)[1]
    found = peptide_bonds(topology)
    assert topology.resnames[found].tolist() == [["ACE"] * 2 + ["ALA"] * 2, ["ALA"] * 2 + ["NME"] * 2]
    assert topology.names[found[:, 1:3]].tolist() == [["C", "N"]] * 2
    assert (topology.elements[found] == "C").sum() == 6
    assert (topology.names[found[0, 3]], topology.names[found[1, 0]]) == ("CA", "CA")


def test_proline_s_is_to_its_ca() -> None:
    """A nitrogen with two carbons beside it: CA is taken, wherever it stands."""
    names = np.array(["CA", "C", "CD", "N", "CA"])
    bonds = np.array([[0, 1], [1, 3], [2, 3], [3, 4]])
    topology = Topology(
        names, np.array([n[0] for n in names]), np.full(5, "PRO"), np.full(5, ""),
        np.array([1, 1, 2, 2, 2]), np.ones(5), bonds,
    )  # fmt: skip
    assert peptide_bonds(topology).tolist() == [[0, 1, 3, 4]]


@pytest.mark.parametrize("kept", [["CA"], ["C", "N", "O"], ["CA", "C", "O"]], ids="-".join)
def test_parts_of_a_backbone_have_none(peptide: System, kept: list[str]) -> None:
    """Where an atom of the torsion is not selected, or no bond is known, there is nothing to look at."""
    x, topology = peptide
    chosen = np.flatnonzero(np.isin(topology.names, kept))
    part = topology.subset(chosen)
    assert peptide_bonds(part).shape == (0, 4)
    assert Validity.fit(x[:, chosen], part).test(x[:, chosen]).all()
    assert peptide_bonds(Topology.anonymous(7)).shape == (0, 4)


def test_adenylate_kinase_has_213(adk: tuple[Path, Path]) -> None:
    """214 residues in one chain, by the backbone alone; every frame of the transition passes."""
    frames = open_source(adk[1], Reading(topology=adk[0], select="backbone", step=7))
    x = frames.read().positions
    learned = Validity.fit(x, frames.topology)
    assert len(learned.omega) == 213
    assert learned.test(x).all()


def test_torsions_are_mdtraj_s(dipeptide: System, examples: Path) -> None:
    """In radians, beside mdtraj's dihedrals of the same atoms."""
    import mdtraj

    x, topology = dipeptide
    frames = mdtraj.load(str(examples / "alanine_dipeptide.xtc"), top=str(examples / "alanine_dipeptide.pdb"))[::5]
    fours = [[frames.topology.select(f"name {n} and resSeq {r}")[0] for n, r in _labels(topology, four)]
             for four in peptide_bonds(topology)]  # fmt: skip
    twin = mdtraj.compute_dihedrals(frames, np.array(fours))
    off = omegas(x, peptide_bonds(topology)) - twin
    assert np.abs((off + np.pi) % (2.0 * np.pi) - np.pi).max() < 1e-3


def _labels(topology: Topology, four: Int64) -> list[tuple[str, int]]:
    return [(str(topology.names[k]), int(topology.resids[k])) for k in four]


# --- what passes and what does not


@pytest.mark.parametrize("name", ["peptide", "alanine_dipeptide"])
def test_held_out_frames_pass(examples: Path, name: str) -> None:
    """Learned from the training blocks, at most one in a thousand held-out frames fails by its peptide bonds."""
    x, topology = _read(examples, name, step=4)
    held = partition(len(x)).held_out
    reasons = Validity.fit(x[~held], topology).reasons(x[held])
    assert (reasons == 0).mean() >= 0.995
    assert (reasons == OMEGA).mean() <= 1e-3


@pytest.mark.parametrize("angle", [90.0, -90.0])
@pytest.mark.parametrize("bond", range(6))
def test_a_twisted_bond_is_found(peptide: System, calm: tuple[Floats, Validity], bond: int, angle: float) -> None:
    """A quarter turn about any of them spoils no bond and no angle: what fails is omega, but for clashes."""
    x, learned = calm
    assert len(x) > 100 and learned.test(x).all()
    reasons = learned.reasons(_turned(x, peptide[1], learned.omega[bond], np.deg2rad(angle)))
    assert set(reasons.tolist()) <= {OMEGA, REASONS.index("contact")}
    assert (reasons == OMEGA).mean() > 0.3


@pytest.mark.parametrize("bond", range(6))
def test_cis_is_found_where_the_simulation_has_none(peptide: System, calm: tuple[Floats, Validity], bond: int) -> None:
    """Half a turn leaves the bond planar, and in a form of which nothing is known."""
    x, learned = calm
    assert learned.omega_forms.tolist() == [[False, True]] * 6
    made = _turned(x, peptide[1], learned.omega[bond], np.pi)
    assert (np.abs(omegas(made, learned.omega)[:, bond]) < learned.omega_bend[bond]).all()
    reasons = learned.reasons(made)
    assert (reasons != 0).all() and (reasons == OMEGA).mean() > 0.1


def test_a_bond_that_was_never_twisted_so_far_is_found_at_any_temperature(examples: Path) -> None:
    """At 500 K, where bends reach 62 degrees, a bond at right angles is still none of the simulation's."""
    x, topology = _read(examples, "peptide", step=2)
    learned = Validity.fit(x, topology)
    size = np.abs(omegas(x, learned.omega))
    assert np.deg2rad(45.0) < np.minimum(size, np.pi - size).max() < np.deg2rad(65.0)
    assert (learned.omega_bend < np.pi / 2).all()


def test_cis_is_allowed_where_the_simulation_has_it(dipeptide: System) -> None:
    """Frames with the second bond cis pass; learned without them they fail, as the first bond does when turned."""
    x, topology = dipeptide
    learned = Validity.fit(x, topology)
    assert learned.omega_forms.tolist() == [[False, True], [True, True]]
    cis = np.abs(omegas(x, learned.omega)[:, 1]) < np.pi / 2
    assert 20 < cis.sum() < 200 and learned.test(x).all()
    strict = Validity.fit(x[~cis], topology)
    assert strict.omega_forms.tolist() == [[False, True], [False, True]]
    assert (strict.reasons(x[cis]) != 0).all() and (strict.reasons(x[cis]) == OMEGA).any()
    first = learned.reasons(_turned(x, topology, learned.omega[0], np.pi))
    assert (first != 0).all() and (first == OMEGA).any()


def test_the_bend_is_the_simulation_s_own(peptide: System, calm: tuple[Floats, Validity]) -> None:
    """A bond may be 15 degrees farther from planar than in any frame, or its prediction interval, up to 45 degrees."""
    x, learned = calm
    bend = np.pi - np.abs(omegas(x, learned.omega))
    terms = len(learned.bonds) + len(learned.angles) + x.shape[1]
    reach = prediction_factor(len(x), terms) * np.sqrt(np.square(bend).mean(axis=0))
    wanted = np.minimum(np.maximum(bend.max(axis=0) + np.deg2rad(15.0), reach), np.deg2rad(45.0))
    np.testing.assert_allclose(learned.omega_bend, wanted)
    assert (learned.omega_bend > bend.max(axis=0)).all()
    flattest = x[bend[:, 0].argmin()][None]
    start = omegas(flattest, learned.omega)[0, 0]
    for side in (-1.0, 1.0):
        for share, wanted in ((0.98, False), (1.02, True)):
            target = np.pi + side * share * learned.omega_bend[0]
            made = _turned(flattest, peptide[1], learned.omega[0], target - start)
            assert (learned.reasons(made)[0] == OMEGA) == wanted


def test_mirrors_are_told_before_omega(peptide: System, bare: Validity) -> None:
    """Omega is looked at after chirality: planar bonds are planar in a mirror, whose handedness is another."""
    assert REASONS.index("chirality") < OMEGA
    assert {REASONS[k] for k in bare.reasons(-peptide[0])} == {"chirality"}


def test_the_limit_is_45_degrees_where_the_simulation_stays_below() -> None:
    """Bonds bent further by the simulation, or as a rule, may be bent further; others never beyond 45 degrees."""
    random = np.random.default_rng(0)
    usual = np.abs(random.normal(0.0, np.deg2rad(8.0), (2000, 1)))
    strained = np.abs(random.normal(0.0, np.deg2rad(18.0), (2000, 1)))
    once = usual.copy()
    once[7] = np.deg2rad(50.0)
    limits = np.degrees(bend_limit(np.concatenate([usual, strained, once], axis=1), 100)).tolist()
    assert 35.0 < limits[0] <= 45.0
    assert limits[1] > 60.0 and 50.0 < limits[2] < 56.0
    mild = np.abs(random.normal(0.0, np.deg2rad(14.0), (200, 1))).clip(max=np.deg2rad(44.0))
    assert 45.0 < np.degrees(bend_limit(mild, 100))[0] < 50.0


def test_a_peptide_bond_bent_by_50_degrees_is_found(adk: tuple[Path, Path]) -> None:
    """Each bond of adenylate kinase set to 130 or -130 degrees, with all behind it turned: 99 % at least."""
    frames = open_source(adk[1], Reading(topology=adk[0], select="name N CA C O"))
    x = frames.read().positions.astype(np.float64)
    learned = Validity.fit(x, frames.topology)
    bent = x[np.arange(len(learned.omega)) % len(x)]
    for k, (frame, four) in enumerate(zip(bent, learned.omega, strict=True)):
        start = omegas(frame[None], four[None])[0, 0]
        axis, behind = frame[four[2]] - frame[four[1]], np.arange(four[2], len(frame))  # in the chain's order
        angle = np.deg2rad(130.0 if k % 2 else -130.0) - start
        turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
        bent[k, behind] = turn.apply(frame[behind] - frame[four[1]]) + frame[four[1]]
        assert abs(abs(np.degrees(omegas(bent[k][None], four[None])[0, 0])) - 130.0) < 1e-6
    assert (learned.reasons(bent) != 0).mean() >= 0.99


# --- files


def test_they_survive_arrays(peptide: System, bare: Validity) -> None:
    """As arrays they give the same verdicts; arrays of before they were looked at have none, and say no such reason."""
    again = Validity.from_arrays(bare.to_arrays())
    twisted = _turned(peptide[0], peptide[1], bare.omega[2], np.pi)
    assert np.array_equal(again.reasons(twisted), bare.reasons(twisted)) and OMEGA in bare.reasons(twisted)
    old = {k: v for k, v in bare.to_arrays().items() if not k.startswith("omega")}
    former = Validity.from_arrays(old)
    assert former.omega.shape == (0, 4) and former.test(peptide[0]).all()
    assert OMEGA not in former.reasons(twisted) and former.test(twisted).any()


def test_old_model_files_load(examples: Path, tmp_path: Path, edited) -> None:
    """Written whole they know two peptide bonds, in their own types; without the arrays none, and judge all else."""
    reading = Reading(topology=examples / "alanine_dipeptide.pdb", step=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Model.train(
            examples / "alanine_dipeptide.xtc", TrainConfig(epochs=1, hidden=(8,)), reading=reading, device="cpu"
        )
    model.save(tmp_path / "model.h5")
    kept = Model.load(tmp_path / "model.h5").record.validity
    assert kept.omega_forms.dtype == bool and kept.omega_forms.tolist() == [[False, True], [True, True]]
    for name in ("omega", "omega_bend", "omega_forms"):
        assert np.array_equal(getattr(kept, name), getattr(model.record.validity, name))
    with edited(tmp_path / "model.h5") as file:
        group = file["trajvae/validity"]
        assert group["omega_bend"].attrs["unit"] == "radian"
        for name in ("omega", "omega_bend", "omega_forms"):
            del group[name]
    former = Model.load(tmp_path / "model.h5")
    assert former.record.validity.omega.shape == (0, 4)
    assert former.record.validity.test(model.record.sample).all()
    assert len(former.generate(5)) == 5
