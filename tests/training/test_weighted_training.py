"""Training with weights: ones change no bit, whole numbers are repeated frames, and the biased are made good."""

from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
import torch
import weighted_chain as chain

from trajvae import Model, TrainConfig
from trajvae.alignment.align import Alignment, mean_structure
from trajvae.errors import OptionError, ReadError, StoppedError, TrajvaeWarning
from trajvae.features import FittingData
from trajvae.features.cartesian import principal_components
from trajvae.features.internal import Internal
from trajvae.frame_weights import FrameWeights
from trajvae.likelihoods import LIKELIHOODS
from trajvae.models.vae import Terms
from trajvae.testing.likelihoods import UnitBasis
from trajvae.topology import Topology
from trajvae.training.frame_source import StreamedFrames

COUNTS = np.array([1, 2, 0, 3, 1, 2] * 20)


def quietly_trained(*args, **options) -> Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        return Model.train(*args, device="cpu", **options)


def stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings read their frames anew every time, as those that do not fit into memory."""
    monkeypatch.setattr("trajvae.training.session.open_frame_source", lambda frames, *_: StreamedFrames(frames, 500))


def arrays(path) -> dict:
    out = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: out.update({name: item[...]}) if isinstance(item, h5py.Dataset) else None)
    del out["trajvae/checksums"]
    return out


@pytest.mark.parametrize("options", [{}, {"features": "internal"}, {"free_bits": 2.0}, {"streamed": True}], ids=str)
def test_equal_weights_change_no_bit(chain_frames, tmp_path, monkeypatch, options):
    """The model's file has the same arrays, whatever the equal weights are, streamed trainings included."""
    if options.pop("streamed", False):
        stream(monkeypatch)
    config = TrainConfig(epochs=2, hidden=(8,), **options)
    quietly_trained(chain_frames, config).save(tmp_path / "a.h5")
    weighted = quietly_trained(chain_frames, config, weights=np.full(len(chain_frames), 0.3))
    weighted.save(tmp_path / "b.h5")
    a, b = arrays(tmp_path / "a.h5"), arrays(tmp_path / "b.h5")
    np.testing.assert_array_equal(b.pop("trajvae/training/weight"), 1.0)
    assert set(a) == set(b)
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], err_msg=name)
    assert weighted.figures.effective_sample_size == pytest.approx(len(chain_frames))


@pytest.fixture
def chain_frames():
    return chain.biased_chain(240)[0]


@pytest.fixture
def weighted_frames():
    """Frames of a longer chain (120, 7, 3), and the same repeated as `COUNTS` says."""
    x = np.cumsum(np.random.default_rng(3).normal(size=(120, 7, 3)) * 0.2 + [1.5, 0.4, 0.0], axis=1)
    x = x + 0.3 * np.sin(np.arange(7))[None, :, None]
    return x, np.repeat(x, COUNTS, axis=0)


def test_a_whole_weight_is_a_repeated_frame_in_the_reference(weighted_frames):
    x, repeated = weighted_frames
    w = COUNTS / COUNTS.mean()
    ones = np.ones(7)
    expected = mean_structure(repeated, ones, tolerance=1e-13)
    np.testing.assert_allclose(mean_structure(x, ones, tolerance=1e-13, frame_weights=w), expected, atol=1e-9)
    none = Alignment.fit("none", x, ones, w).reference
    np.testing.assert_allclose(none, repeated.mean(axis=0), atol=1e-12)


def test_a_whole_weight_is_a_repeated_frame_in_principal_components(weighted_frames):
    """Mean and axes; deviations up to the factor between the two estimates without bias, both ways of the algebra."""
    x, repeated = (torch.from_numpy(frames.reshape(len(frames), -1)) for frames in weighted_frames)
    w = torch.from_numpy(COUNTS / COUNTS.mean())
    effective = COUNTS.sum() ** 2 / (COUNTS**2).sum()
    for rows in (slice(None), slice(0, 12)):
        own, counts = x[rows], COUNTS[rows]
        wide = torch.from_numpy(np.repeat(own.numpy(), counts, axis=0))
        mean, axes, deviations = principal_components(own, 4, w[rows] / w[rows].mean())
        expected = principal_components(wide, 4)
        torch.testing.assert_close(mean, expected[0])
        torch.testing.assert_close((axes.T @ expected[1]).abs(), torch.eye(4, dtype=torch.float64), atol=1e-8, rtol=0)
        effective = counts.sum() ** 2 / (counts**2).sum()
        factor = ((1.0 - 1.0 / counts.sum()) / (1.0 - 1.0 / effective)) ** 0.5
        torch.testing.assert_close(deviations, expected[2] * factor)
    assert len(repeated) == COUNTS.sum()


def test_a_whole_weight_is_a_repeated_frame_in_internal_coordinates(weighted_frames):
    x, repeated = weighted_frames
    alignment = Alignment("superpose", mean_structure(repeated, np.ones(7)), np.ones(7))
    w = COUNTS / COUNTS.mean()
    topology = Topology.anonymous(7)
    one = Internal.fit(FittingData(alignment, topology, alignment.apply(x), 1e-3, 2, w))
    other = Internal.fit(FittingData(alignment, topology, alignment.apply(repeated), 1e-3, 2))
    assert torch.equal(one.references, other.references) and torch.equal(one.flexible, other.flexible)
    torch.testing.assert_close(one.middle, other.middle)
    torch.testing.assert_close(one.centre, other.centre)
    effective = COUNTS.sum() ** 2 / (COUNTS**2).sum()
    factor = ((1.0 - 1.0 / COUNTS.sum()) / (1.0 - 1.0 / effective)) ** 0.5  # of two estimates without bias
    torch.testing.assert_close(one.spread, other.spread * factor)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_moments_and_misfits_are_products_of_residuals(name):
    """So that residuals times the roots of weights have the weighted means, in every likelihood."""
    likelihood = LIKELIHOODS[name].load()(UnitBasis(6), 1e-3, 1000)
    residual = torch.randn(120, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w = torch.from_numpy(COUNTS / COUNTS.mean())
    repeated = residual.repeat_interleave(torch.from_numpy(COUNTS), dim=0)
    zeros = torch.zeros(120)
    scaled = Terms(zeros, zeros[:, None], residual).weighted(w).residual
    torch.testing.assert_close(likelihood.moment(scaled), likelihood.moment(repeated))
    likelihood.set_moment(likelihood.moment(repeated))
    torch.testing.assert_close(likelihood.misfit(scaled), likelihood.misfit(repeated))


@pytest.mark.parametrize("free_bits", [0.0, 3.0])
def test_the_loss_is_that_of_repeated_frames(free_bits):
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randn(120, *shape, generator=generator, dtype=torch.float64) for shape in ((), (2,), (5,), (2,))]
    counts = torch.from_numpy(COUNTS)
    weighted = Terms(draw[0], draw[1].abs(), draw[2], draw[3].abs()).weighted(counts / counts.double().mean())
    repeated = [x.repeat_interleave(counts, dim=0) for x in draw]
    expected = Terms(repeated[0], repeated[1].abs(), repeated[2], repeated[3].abs())
    torch.testing.assert_close(weighted.loss(0.7, free_bits), expected.loss(0.7, free_bits))
    torch.testing.assert_close(weighted.elbo(0.7).mean(), expected.elbo(0.7).mean())
    assert weighted.weighted(None) is weighted


def test_a_biased_simulation_is_made_good(tmp_path):
    """Reference, principal components, draws and ELBO of weighted frames are those of unbiased frames."""
    x, v = chain.biased_chain(4000)
    w = np.exp((v - v.max()) / chain.KT)
    config = TrainConfig(epochs=12, latent_dim=2, hidden=(16,), likelihood="full")
    weighted, plain = quietly_trained(x, config, weights=w), quietly_trained(x, config)
    length = [float(np.linalg.norm(np.diff(m.pipeline.alignment.reference[:2], axis=0))) for m in (weighted, plain)]
    assert abs(length[0] - chain.exact_mean()) < 0.03 < abs(length[1] - chain.exact_mean())
    drawn = weighted.generate(2000, seed=0, sampler="aggregate").positions
    bonds = np.linalg.norm(drawn[:, 1] - drawn[:, 0], axis=1)
    assert abs(bonds.mean() - chain.exact_mean()) < 0.08
    assert weighted.figures.effective_sample_size == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert weighted.figures.elbo > plain.figures.elbo  # the unbiased density is the narrower one
    weighted.save(tmp_path / "model.h5")
    again = Model.load(tmp_path / "model.h5", "cpu")
    np.testing.assert_array_equal(again.record.frame_weights.values, w / w.max())
    np.testing.assert_array_equal(again.generate(5, seed=1).positions, weighted.generate(5, seed=1).positions)


def test_a_streamed_training_has_the_weights_too(monkeypatch):
    x, v = chain.biased_chain(600)
    w = np.exp((v - v.max()) / chain.KT)
    config = TrainConfig(epochs=4, hidden=(8,), likelihood="full")
    at_once = quietly_trained(x, config, weights=w)
    stream(monkeypatch)
    streamed, plain = quietly_trained(x, config, weights=w), quietly_trained(x, config)
    a, b, c = (m.figures.elbo for m in (streamed, at_once, plain))
    assert abs(a - b) < 0.5 * abs(c - b)


def test_a_stopped_training_goes_on_with_its_weights(tmp_path):
    x, v = chain.biased_chain(240)
    np.save(tmp_path / "x.npy", x)
    source, path = str(tmp_path / "x.npy"), tmp_path / "model.h5"
    w = np.exp((v - v.max()) / chain.KT)
    config = TrainConfig(epochs=3, hidden=(8,))
    whole = quietly_trained(source, config, weights=w)
    steps = iter(range(100))
    with pytest.raises(StoppedError):
        quietly_trained(source, config, weights=w, checkpoint=path, asked=lambda: next(steps) > 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        from trajvae.training.session import prepare_to_resume

        with pytest.raises(OptionError, match="began with weights of an array: 240 frames are worth"):
            prepare_to_resume(path, source, weights=np.ones(240), device="cpu")
        model = Model.resume(path, device="cpu")
    for name, value in whole.pipeline.vae.state_dict().items():
        assert torch.equal(value, model.pipeline.vae.state_dict()[name]), name
    np.testing.assert_array_equal(model.record.frame_weights.values, whole.record.frame_weights.values)
    np.testing.assert_array_equal(model.record.latent, whole.record.latent)


def test_a_use_without_weight_is_refused():
    x, _ = chain.biased_chain(240)
    held = quietly_trained(x, TrainConfig(epochs=1, hidden=(8,))).record.held_out
    with pytest.raises(ReadError, match="held-out frames have the weight 0"):
        quietly_trained(x, TrainConfig(epochs=1, hidden=(8,)), weights=np.where(held, 0.0, 1.0))


def test_few_effective_frames_get_a_model_of_few_frames():
    """How much is learned is decided by the effective number of training frames."""
    x, _ = chain.biased_chain(600)
    w = np.where(np.arange(600) % 10 == 0, 1.0, 1e-9)
    model = quietly_trained(x, TrainConfig(epochs=1, hidden=(8,)), weights=FrameWeights(w))
    heavy = int((w[model.record.parts.training] == 1.0).sum())
    assert heavy < 60 and model.pipeline.sizes.n_train == heavy
    assert model.figures.trained == int(model.record.parts.training.sum())
