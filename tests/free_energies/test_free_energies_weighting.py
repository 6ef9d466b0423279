"""Weights of embedded frames: those of the embedding, of arrays, and of files whose rows are matched by time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import trajvae
from trajvae.errors import OptionError, ReadError
from trajvae.frame_weights import FrameWeights
from trajvae.results import Embedding, FreeEnergy

N, TEMPERATURE = 4000, 300.0
KT = 8.31446261815324e-3 * TEMPERATURE


def _bias(x: np.ndarray) -> np.ndarray:
    """A bias in kJ/mol that flattens a normal distribution to one of twice its variance."""
    return -0.25 * KT * x**2


@pytest.fixture(scope="module")
def embedding() -> Embedding:
    """Points of standard deviation sqrt(2) every 2 ps: standard normal ones under the bias."""
    x = np.sqrt(2.0) * np.random.default_rng(0).normal(size=(N, 1))
    return Embedding(
        latent=x,
        latent_scale=np.full((N, 1), 0.1),
        rmsd=np.zeros(N),
        frame_jump=np.zeros(N),
        file=np.zeros(N, dtype=np.int64),
        frame=np.arange(N),
        time=10.0 + 2.0 * np.arange(N),
        files=["traj.xtc"],
        tangent=x,
        coordinates="z",
        geometry="e1",
    )


def _estimate(points: Embedding, weights: object = None) -> FreeEnergy:
    return trajvae.free_energy(points, temperature=TEMPERATURE, weights=weights, bins=20, resamples=50)


def _colvar(path: Path, time: np.ndarray, bias: np.ndarray) -> str:
    rows = "".join(f" {t:.4f} {v:.9f}\n" for t, v in zip(time, bias, strict=True))
    path.write_text(f"#! FIELDS time metad.bias\n{rows}")
    return str(path)


def test_a_bias_is_taken_away(embedding: Embedding, tmp_path: Path) -> None:
    """F is kT x^2 / 2 within four standard errors; the file says where weights came from."""
    bias = np.repeat(_bias(embedding.latent[:, 0]), 4)  # a row every 0.5 ps
    time = 10.0 + 0.5 * np.arange(4 * N)
    found = _estimate(embedding, _colvar(tmp_path / "COLVAR", time, bias))
    part = found.maps["z0"]
    x = 0.5 * (part.edges[0][1:] + part.edges[0][:-1])
    off = part.value - 0.5 * KT * x**2
    near = np.isfinite(off) & (np.abs(x) < 2.5)
    off = off - np.average(off[near], weights=np.exp(-0.5 * x[near] ** 2))
    assert near.sum() > 5 and (np.abs(off[near]) < 4.0 * part.error[near] + 0.05).all()
    assert found.weights is not None and found.weights.column == "metad.bias"
    assert found.effective_samples == pytest.approx(found.weights.effective_sample_size, rel=0.2)
    found.save(tmp_path / "free_energy.h5")
    assert FreeEnergy.load(tmp_path / "free_energy.h5").weights == found.weights


def test_weights_that_frames_were_embedded_with_count(embedding: Embedding) -> None:
    """They are the same as an array of them, unless others are given."""
    w = np.exp(_bias(embedding.latent[:, 0]) / KT)
    held = replace(embedding, weights=FrameWeights(w, "COLVAR", "metad.bias"))
    kept, array, none = _estimate(held), _estimate(embedding, w), _estimate(embedding)
    np.testing.assert_allclose(kept.maps["z0"].value, array.maps["z0"].value, rtol=1e-9)
    np.testing.assert_array_equal(_estimate(held, np.ones(N)).maps["z0"].value, none.maps["z0"].value)
    assert kept.weights is not None and kept.weights.file == "COLVAR" and array.weights is none.weights is None


def test_a_time_without_a_row_is_named(embedding: Embedding, tmp_path: Path) -> None:
    """And an array of another length, and a bias among walkers' files."""
    time = 10.0 + 2.0 * np.arange(N)
    keep = np.arange(N) != 700
    path = _colvar(tmp_path / "COLVAR", time[keep], np.zeros(N - 1))
    with pytest.raises(ReadError, match=r"no row at 1410 ps, the time of frame 700 of 'traj.xtc'"):
        _estimate(embedding, path)
    with pytest.raises(OptionError, match="a weight for each of the 4000 frames"):
        _estimate(embedding, np.ones(3))
    with pytest.raises(OptionError, match="expected one file of weights for all trajectories, or one for each"):
        _estimate(embedding, [path, path])
