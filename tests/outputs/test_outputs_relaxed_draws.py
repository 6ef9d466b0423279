"""New conformations that are relaxed: energies, verdicts, nearest frames, files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from trajvae import Model, Reading, TrainConfig
from trajvae.alignment.align import pairwise_rmsd
from trajvae.outputs.drawing.relax import Relaxation
from trajvae.results import Conformations


@pytest.fixture(scope="module")
def model(examples: Path) -> Model:
    """A little trained model of alanine dipeptide with all atoms in internal coordinates."""
    reading = Reading(topology=examples / "alanine_dipeptide.pdb", step=25)
    config = TrainConfig(epochs=15, hidden=(16,), features="internal", select="all")
    return Model.train(examples / "alanine_dipeptide.xtc", config, reading=reading, device="cpu")


@pytest.fixture(scope="module")
def made(model: Model) -> Conformations:
    """Eight conformations, relaxed, with their nearest frames."""
    return model.generate(8, seed=1, relax=True, novelty=True)


def test_relaxed_conformations_have_energies(model: Model, made: Conformations) -> None:
    """`energy` and `energy_drawn` are those of the conformations and of the same draws as they were, in kJ/mol."""
    drawn = model.generate(8, seed=1)
    assert np.array_equal(made.latent, drawn.latent) and not {"energy", "nearest_frame"} & set(drawn.observables)
    energy, before = (made.observables[k] for k in ("energy", "energy_drawn"))
    assert energy.unit == before.unit == "kJ/mol"
    assert (energy.value < before.value).all()
    again = Relaxation(model.topology)(drawn.positions)
    np.testing.assert_allclose(before.value, again.before, rtol=1e-3, atol=1.0)
    np.testing.assert_allclose(energy.value, again.after, atol=5.0)
    np.testing.assert_allclose(energy.value, Relaxation(model.topology, steps=1)(made.positions).before, atol=0.1)
    for name in ("energy", "energy_drawn"):
        assert made.figures[name] == pytest.approx(float(np.median(made.observables[name].value)))


def test_relaxed_conformations_are_judged_and_aligned(model: Model, made: Conformations) -> None:
    """Verdicts, observables and places are those after relaxation; at rest most are valid."""
    assert np.array_equal(made.observables["invalid_reason"].value, model.record.validity.reasons(made.positions))
    assert np.array_equal(made.valid, made.observables["invalid_reason"].value == 0)
    assert made.figures["valid"] == made.valid.sum() >= 6
    np.testing.assert_allclose(model.pipeline.alignment.apply(made.positions), made.positions, atol=1e-6)
    ends = np.linalg.norm(made.positions[:, 0] - made.positions[:, -1], axis=-1)
    np.testing.assert_allclose(made.observables["end_to_end"].value, ends)


def test_their_nearest_frames_are_after_relaxation(model: Model, made: Conformations) -> None:
    """RMSD in Å to frames that the model keeps, of the relaxed conformations."""
    frame, rmsd = (made.observables[k] for k in ("nearest_frame", "nearest_rmsd"))
    assert rmsd.unit == "Angstrom" and np.isin(frame.value, model.record.sample_index).all()
    chosen = model.record.sample[np.searchsorted(model.record.sample_index, frame.value)]
    np.testing.assert_allclose(rmsd.value, pairwise_rmsd(made.positions, chosen, np.ones(22)), atol=1e-4)
    assert made.figures["nearest_rmsd"] == pytest.approx(float(np.median(rmsd.value)))


def test_relaxed_conformations_are_the_same_again_and_in_the_file(
    model: Model, made: Conformations, tmp_path: Path
) -> None:
    """The seed decides the bits, whether progress is told or not; energies stand beside the positions."""
    seen: list[tuple[int, int]] = []
    first = model.generate(2, seed=1, relax=True, progress=lambda done, of: seen.append((done, of)))
    again = model.generate(2, seed=1, relax=True)
    assert seen == [(1, 2), (2, 2)]
    assert np.array_equal(first.positions, again.positions)
    assert np.array_equal(first.observables["energy"].value, again.observables["energy"].value)
    made.save(tmp_path / "new.h5md")
    with h5py.File(tmp_path / "new.h5md") as file:
        for name in ("energy", "energy_drawn", "nearest_rmsd", "nearest_frame"):
            assert np.array_equal(file[f"observables/{name}/value"][()], made.observables[name].value)
        assert file["observables/energy/value"].attrs["unit"] == "kJ/mol"


def test_batches_are_relaxed_as_one(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other over the ends of batches; progress tells each conformation once, the first batch is alike."""
    few = model.generate(2, seed=3, relax=True)
    monkeypatch.setattr(model.pipeline.vae.latent, "rows_at_once", 2)
    seen: list[tuple[int, int]] = []
    many = model.generate(5, seed=3, relax=True, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(k + 1, 5) for k in range(5)]
    assert np.array_equal(many.positions[:2], few.positions)
    energies = many.observables["energy"].value
    assert many.figures["energy"] == pytest.approx(float(np.median(energies))) and np.isfinite(energies).all()
    assert (energies < many.observables["energy_drawn"].value).all()
