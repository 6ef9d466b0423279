"""Which structures come first: no middle one in place of better ones, no two alike, a reason for every refusal."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trajvae import Model, TrainConfig
from trajvae.alignment.distances import rmsd_matrix
from trajvae.errors import TrajvaeWarning
from trajvae.molecule.observables import built_in, evaluate
from trajvae.molecule.validity import REASONS, Validity
from trajvae.outputs.optimize import Search
from trajvae.outputs.searching.failures import explain
from trajvae.outputs.searching.ranking import Candidates, rank
from trajvae.outputs.searching.support import Support
from trajvae.readers.reading import Reading
from trajvae.readers.sources import open_source
from trajvae.topology import Topology
from trajvae.typing import Floats

EXAMPLES = Path(__file__).parents[2] / "examples" / "trajectories"
SEARCH = Search(starts=8, steps=20, noise=8, draws=64, keep=6)


@pytest.fixture(scope="module")
def dipeptide() -> Model:
    """Alanine dipeptide, trained for a moment."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        reading = Reading(topology=EXAMPLES / "alanine_dipeptide.pdb", step=40)
        config = TrainConfig(epochs=20, hidden=(32,), seed=0)
        return Model.train(EXAMPLES / "alanine_dipeptide.xtc", config, reading=reading, device="cpu")


def _found(model: Model, positions: Floats, latent: Floats) -> Candidates:
    """Structures as `optimize` judges them for the smallest radius of gyration; none with familiar bonds."""
    value = evaluate(built_in(model.topology)["rg"], positions)
    no = np.zeros(len(positions), dtype=bool)
    inside = Support.of(model.pipeline, model.record).inside(latent)
    reasons = model.record.validity.reasons(positions)
    return Candidates(latent, positions, np.arange(len(positions)), value, value, reasons, inside, no, no.copy())


def test_better_ones_that_were_put_behind_are_told(dipeptide: Model) -> None:
    """A shrunk frame and one out of support are better than the first, and both are told with their reasons."""
    record = dipeptide.record
    frames, latent = record.sample.astype(float), record.latent[record.sample_index]
    train = np.flatnonzero(~record.held_out[record.sample_index])
    order = train[np.argsort(evaluate(built_in(dipeptide.topology)["rg"], frames[train]))]
    few = frames[order[[0, 1, 150]]]
    points = latent[order[[0, 1, 150]]].copy()
    few[0] *= 0.7
    points[1] = 1e3
    found = _found(dipeptide, few, points)
    ranked = rank(found, record, dipeptide.topology, wanted=0.0, keep=3)
    assert ranked.kept.value[0] == found.value[2]
    assert ranked.kept.good[0]
    assert [entry["reason"] for entry in ranked.rejected] == ["bond", "out of support"]
    assert [entry["best"] for entry in ranked.rejected] == found.value[:2].tolist()
    assert "allowed" in ranked.rejected[0]["why"]


def test_a_familiar_structure_from_the_middle_is_not_first(dipeptide: Model) -> None:
    """Bonds that all frames have bring a structure forward only where it reaches what the descent reached."""
    record = dipeptide.record
    frames, latent = record.sample.astype(float)[::5], record.latent[record.sample_index][::5]
    found = _found(dipeptide, frames, latent)
    order = np.argsort(np.where(found.good, found.value, np.inf))
    found.familiar[order[[1, 20]]] = True
    wanted = 0.5 * (found.value[order[5]] + found.value[order[6]])
    ranked = rank(found, record, dipeptide.topology, wanted=float(wanted), keep=3)
    assert ranked.kept.value[0] == found.value[order[1]]
    assert ranked.rejected[0]["reason"] == "unfamiliar"
    found.familiar[order[1]] = False
    assert rank(found, record, dipeptide.topology, float(wanted), 3).kept.value[0] == found.value[order[0]]


@pytest.mark.parametrize("of", ["sample", "mean"])
def test_no_two_structures_are_one(dipeptide: Model, of: str) -> None:
    """All that are given back lie further apart than the radius, and each says how many it stands for."""
    made = dipeptide.optimize("rg", of=of, search=SEARCH)
    f = made.figures
    table = rmsd_matrix(made.positions, made.positions)[~np.eye(len(made), dtype=bool)]
    assert (table > f["merge_radius"]).all()
    merged = made.observables["merged"].value
    assert merged.sum() - len(made) == f["merged"]
    assert f["structures"] == len(made)
    assert merged.min() >= 1
    if of == "mean":  # what descends from different starts ends alike
        assert f["merged"] > 0


def test_the_simulation_s_best_frame_is_named(dipeptide: Model) -> None:
    """By its number, and by file and frame; with a source, by those of that."""
    figures = dipeptide.optimize("rg", goal="max", search=SEARCH).figures
    best = int(np.argmax(dipeptide.record.observables["rg"]))
    assert figures["best_observed_frame"] == best
    assert figures["best_observed_file_frame"] == 40 * best
    assert figures["best_observed_file"].endswith("alanine_dipeptide.xtc")
    frames = dipeptide.record.sample[100:160].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        figures = dipeptide.optimize("rg", goal="max", search=SEARCH, source=frames).figures
    assert figures["best_observed_frame"] == int(np.argmax(dipeptide.record.observables["rg"][100:160]))


def test_no_better_than_the_simulation_is_said(dipeptide: Model) -> None:
    """Towards the mean itself some frame comes nearer than any draw; `better_than_observed` is told by the figures."""
    for goal in ("min", "2.3"):
        f = dipeptide.optimize("rg", goal=goal, search=SEARCH).figures
        cost = {"min": lambda v: v, "2.3": lambda v: abs(v - 2.3)}[goal]
        better = cost(f["optimum"]) < cost(f["best_observed"]) and f["valid"] and f["in_support"]
        assert f["better_than_observed"] == better


def test_invalid_draws_are_mended_where_no_valid_one_comes_as_far() -> None:
    """C-alphas of a protein from 98 frames: no draw is valid, and what comes first is, and lies at the optimum."""
    datafiles = pytest.importorskip("MDAnalysisTests.datafiles")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reading, config = (
            Reading(topology=datafiles.PSF),
            TrainConfig(select="name CA", epochs=60, hidden=(32,), likelihood="isotropic"),
        )
        model = Model.train(datafiles.DCD, config, reading=reading, device="cpu")
        made = model.optimize("rg", search=SEARCH, geometry="none")
    f = made.figures
    assert f["valid"]
    assert f["projected"]
    assert f["optimum"] < f["expected"] + 0.1
    assert made.observables["projected"].value[0] == 1


def _mirrored(x: Floats) -> Floats:
    return x * np.array([-1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("reason", "words"),
    [("bond", "bond ACE1:"), ("angle", "degrees, allowed"), ("contact", "apart"), ("chirality", "handedness")],
)
def test_the_failing_term_is_named(dipeptide: Model, reason: str, words: str) -> None:
    """Of structures of each kind of failure the worst term is named with atoms; a valid one has none."""
    validity, frame = dipeptide.record.validity, dipeptide.record.sample[0].astype(float)
    assert explain(validity, dipeptide.topology, frame) == ""
    bad = frame.copy()
    if reason == "bond":
        bad[0] += 0.3 * (bad[0] - bad.mean(axis=0))
    elif reason == "chirality":
        bad = _mirrored(frame)
    else:
        draws = dipeptide.generate(4000, seed=1, redraws=0, geometry="none")
        wide = {"bond_low": validity.bond_low - 1.0, "bond_high": validity.bond_high + 1.0}  # what is looked at before
        wide |= {"angle_low": np.zeros(len(validity.angles))} if reason == "contact" else {}
        validity = replace(validity, **wide, stretch=np.empty(0))
        kinds = validity.reasons(draws.positions)
        bad = draws.positions[np.flatnonzero(kinds == REASONS.index(reason))[0]]
    assert REASONS[int(validity.reasons(bad[None])[0])] == reason
    assert words in explain(validity, dipeptide.topology, bad)


def test_new_terms_are_named_too() -> None:
    """A plane, a chain and a ring by an atom, and bonds that are all long together by how far they are."""
    datafiles = pytest.importorskip("MDAnalysisTests.datafiles")
    frames = open_source(datafiles.DCD, Reading(topology=datafiles.PSF, select="name N CA C O"))
    x = frames.read().positions.astype(float)
    validity, topology = Validity.fit(x, frames.topology), frames.topology
    assert re.match(r"the chain from \w+:CA to \w+:CA has the other", explain(validity, topology, _mirrored(x[0])))
    floppy = replace(validity, four_sign=np.zeros_like(validity.four_sign))
    assert explain(floppy, topology, _mirrored(x[0])).startswith("the chain as a whole has the other handedness")
    c, i, j, k = validity.planes[7]
    normal = np.cross(x[0, j] - x[0, i], x[0, k] - x[0, i])
    lifted = x[0].copy()
    lifted[c] += 0.4 * normal / np.linalg.norm(normal)
    named = replace(validity, bond_high=validity.bond_high + 1.0, angle_low=validity.angle_low - 1.0)
    label = f"{topology.resnames[c]}{topology.resids[c]}:C is out of the plane"
    assert label in explain(named, topology, lifted)
    wide = replace(validity, bond_low=validity.bond_low - 1.0, bond_high=validity.bond_high + 1.0)
    assert "all bonds together are" in explain(wide, topology, 1.1 * x[0])


def test_a_bond_through_a_ring_is_named() -> None:
    """By both of its atoms and one of the ring's."""
    way = 2.0 * np.pi * np.arange(6) / 6
    corners = np.stack([5.0 * np.cos(way), 5.0 * np.sin(way), np.zeros(6)], axis=1)
    bonds = np.array([*([k, (k + 1) % 6] for k in range(6)), [6, 7]])
    base = np.concatenate([corners, [[12.0, 0.0, -2.0], [12.0, 0.0, 2.0]]])
    x = base + 0.05 * np.random.default_rng(0).normal(size=(200, 8, 3))
    topology = replace(Topology.anonymous(8), bonds=bonds)
    validity = replace(Validity.fit(x, topology), contact=np.zeros((1, 1)))
    inside = x[0].copy()
    inside[6:, 0] -= 12.0
    assert explain(validity, topology, inside) == "bond atom 6-atom 7 passes through the ring of atom 1"
