"""New conformations: draws of the prior, decoded; counted, tested, reproducible."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from trajvae import Model
from trajvae.errors import OptionError
from trajvae.molecule.validity import REASONS


def test_shapes_and_figures(tiny_model: Model) -> None:
    """n positions, latents and verdicts; the keys of the command line's JSON."""
    made = tiny_model.generate(50, seed=1)
    assert len(made) == 50
    assert made.positions.shape == (50, 12, 2)
    assert made.latent.shape == (50, 2)
    assert made.valid.shape == (50,)
    expected = {"n": 50, "valid": int(made.valid.sum()), "sampler": "prior", "of": "sample"}
    assert {k: made.figures[k] for k in expected} == expected and 0.0 <= made.figures["off_data"] <= 1.0
    assert np.isfinite(made.positions).all()
    assert 0 < tiny_model.generate(2000, seed=1, geometry="none").valid.sum() < 2000


def test_the_seed_decides(tiny_model: Model) -> None:
    """Equal seeds give equal bits whatever torch's own generator; other seeds give others."""
    first = tiny_model.generate(20, seed=5).positions
    torch.manual_seed(1)
    assert np.array_equal(first, tiny_model.generate(20, seed=5).positions)
    assert not np.array_equal(first, tiny_model.generate(20, seed=6).positions)


def test_latents_are_draws_of_the_prior(tiny_model: Model) -> None:
    """Mean and variance of 20 000 latents are the standard normal's within four standard errors."""
    z = tiny_model.generate(20_000, redraws=0, geometry="none").latent
    assert (np.abs(z.mean(axis=0)) < 4 / np.sqrt(len(z))).all()
    assert (np.abs(z.var(axis=0) - 1) < 4 * np.sqrt(2 / len(z))).all()


def test_mean_decodes_and_sample_draws(tiny_model: Model) -> None:
    """`mean` is the decoder's output at the same latents; samples scatter about it by the likelihood's noise."""
    mean = tiny_model.generate(2000, seed=2, mean=True, geometry="none")
    sample = tiny_model.generate(2000, seed=2, redraws=0, geometry="none")
    assert np.array_equal(mean.latent, sample.latent)
    np.testing.assert_allclose(mean.positions, tiny_model.decode(mean.latent), atol=1e-6)
    spread = np.square(sample.positions - mean.positions).sum(axis=(1, 2)).mean()
    covariance = tiny_model.pipeline.vae.likelihood.cholesky
    assert spread == pytest.approx(float(covariance.square().sum()), rel=0.1)
    assert mean.figures["of"] == "mean"


def test_verdicts_are_the_model_s_own_test(tiny_model: Model) -> None:
    """`valid` and the reasons are those of the validity learned from the simulation."""
    made = tiny_model.generate(100)
    reasons = tiny_model.record.validity.reasons(made.positions)
    assert np.array_equal(made.valid, reasons == 0)
    stored = made.observables["invalid_reason"]
    assert np.array_equal(stored.value, reasons)
    assert stored.attributes["meaning"] == ", ".join(REASONS)


def test_observables_are_of_the_positions(tiny_model: Model) -> None:
    """Rg and end-to-end stand beside each conformation, in Å, as MDAnalysis measures them."""
    made = tiny_model.generate(10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = made.universe()
        twin = [universe.atoms.radius_of_gyration() for _ in universe.trajectory]
    np.testing.assert_allclose(made.observables["rg"].value, twin, rtol=1e-5)
    ends = np.linalg.norm(made.positions[:, 0] - made.positions[:, -1], axis=-1)
    np.testing.assert_allclose(made.observables["end_to_end"].value, ends)
    assert {made.observables[k].unit for k in ("rg", "end_to_end")} == {"Angstrom"}


@pytest.mark.parametrize("n", [0, -3])
def test_fewer_than_one_is_refused(tiny_model: Model, n: int) -> None:
    """The message says what came."""
    with pytest.raises(OptionError, match=str(n)):
        tiny_model.generate(n)


def test_one_conformation_can_be_saved(tiny_model: Model, tmp_path: Path) -> None:
    """n = 1 is a set of one, on disk too."""
    made = tiny_model.generate(1)
    made.save(tmp_path / "one.h5md")
    assert made.positions.shape == (1, 12, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.h5md", "one.pdb"]


def test_what_is_not_valid_is_drawn_again_at_its_own_latent_point(tiny_model: Model) -> None:
    """Twice at most; those that were valid are the same bits, none becomes worse, and all of it is counted."""
    raw = tiny_model.generate(200, seed=4, redraws=0, geometry="none")
    for redraws in (1, 2):
        made = tiny_model.generate(200, seed=4, redraws=redraws, geometry="none")
        again = made.observables["redraws"].value
        assert np.array_equal(made.latent, raw.latent)
        assert np.array_equal(made.positions[raw.valid], raw.positions[raw.valid])
        assert made.valid.sum() > raw.valid.sum() and not (raw.valid & ~made.valid).any()
        assert again.max() == redraws and (again[raw.valid] == 0).all() and (again[~raw.valid] > 0).all()
        assert made.figures["valid_raw"] == raw.valid.sum() and made.figures["redrawn"] == (~raw.valid).sum()
    assert raw.figures["redrawn"] == 0 and raw.observables["redraws"].value.max() == 0


def test_projected_draws_are_near_their_own(tiny_model: Model) -> None:
    """Nearly all are valid, by moves that are told; valid draws are not touched."""
    raw = tiny_model.generate(100, seed=4, redraws=0)
    made = tiny_model.generate(100, seed=4, redraws=0, project=True)
    assert made.valid.mean() >= 0.95
    assert np.array_equal(made.positions[raw.valid], raw.positions[raw.valid])
    moved = np.sqrt(np.square(made.positions - raw.positions).sum(axis=-1).mean(axis=-1))
    assert made.figures["moved"] == pytest.approx(moved.mean()) and moved.mean() < 0.5


def test_only_valid_ones_are_given_where_they_are_wanted(tiny_model: Model) -> None:
    """Exactly n, all valid, the same again; and an error that says how many there were within the budget."""
    made, twin = (tiny_model.generate(150, seed=3, valid_only=True) for _ in range(2))
    assert len(made) == 150 and made.valid.all() and made.figures["drawn"] > 150
    assert tiny_model.record.validity.test(made.positions).all()
    assert np.array_equal(made.positions, twin.positions)
    assert len(np.unique(made.latent[:, 0])) == 150
    with pytest.raises(OptionError, match=r"\d+ of 1000 draws were valid, 1000 are wanted: --project"):
        tiny_model.generate(1000, redraws=0, valid_only=True, budget=1)
    with pytest.raises(OptionError, match="redraws"):
        tiny_model.generate(5, redraws=-1)
