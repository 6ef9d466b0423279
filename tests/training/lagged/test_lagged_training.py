"""Trainings with a lag time: they follow what is slow, go on after a stop, stream, and say what they did."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from double_well import double_well

from trajvae import Model, TrainConfig, TrajVAE
from trajvae.choices import LATENTS
from trajvae.errors import OptionError, ReadError, StoppedError, TrajvaeWarning
from trajvae.training.lagged import slowness
from trajvae.training.lagged.pairs import LaggedPairs

SMALL = {"epochs": 2, "hidden": (8,), "align": "none", "device": "cpu", "likelihood": "isotropic"}


@pytest.fixture(scope="module")
def frames():
    return double_well(300, seed=1).positions


def trained(frames, **options) -> Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        return Model.train(frames, **{**SMALL, **options})


def weights_of(model: Model) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in model.pipeline.vae.state_dict().items()}


def equal(a: Model, b: Model) -> bool:
    one, other = weights_of(a), weights_of(b)
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("backend", LATENTS)
def test_every_latent_space_takes_a_lag(frames, backend, tmp_path):
    settings = {"settings": {"centroids": 10}} if backend == "rhvae" else {}
    model = trained(frames, latent=backend, lag=5, **settings)
    f = model.figures
    assert (f.lag, f.lag_frames, f.slowness) == (None, 5, slowness.SLOWNESS)
    assert 1.0 <= f.vamp2 <= 1.0 + model.pipeline.vae.latent.ambient_dim
    assert len(model.history["vamp2"]) == len(model.history["epoch"])
    model.save(tmp_path / "model.h5")
    again = Model.load(tmp_path / "model.h5")
    assert again.figures.to_json() == f.to_json() and again.config.lag == "5"


def test_without_a_lag_nothing_of_it_is_used(frames, monkeypatch):
    """The same code runs as before there were lags: neither pairs nor scores are made, and no figure is added."""
    for kind in (slowness.Slowness, LaggedPairs):
        monkeypatch.setattr(kind, "__init__", lambda *_: pytest.fail("made without a lag"))
    model = trained(frames)
    assert {"lag", "lag_frames", "slowness", "vamp2"}.isdisjoint(model.figures)
    assert "vamp2" not in model.history
    assert (model.record.part == 2).sum() == round(0.12 * len(frames))


def test_no_weight_is_a_plain_training_whose_score_is_told(frames, monkeypatch):
    """With slowness 0 the objective is the ELBO alone; with one it is not."""
    scored = trained(frames, lag=5, slowness=0.0)
    assert scored.figures.vamp2 is not None and scored.figures.slowness == 0.0
    assert not equal(scored, trained(frames, lag=5))
    monkeypatch.setattr("trajvae.training.run._slowness", lambda *_, **__: None)
    assert equal(scored, trained(frames, lag=5, slowness=0.0))


def test_a_training_that_stopped_goes_on_to_the_same_bits(frames, tmp_path):
    """In memory and streamed; pairs of a step depend on the step alone."""
    np.save(tmp_path / "traj.npy", frames)
    options = {**SMALL, "lag": 5, "memory": "10MB"}
    whole = trained(str(tmp_path / "traj.npy"), lag=5, memory="10MB")
    steps = iter(range(1000))
    with warnings.catch_warnings(), pytest.raises(StoppedError):
        warnings.simplefilter("ignore", TrajvaeWarning)
        Model.train(
            str(tmp_path / "traj.npy"), checkpoint=tmp_path / "m.h5", asked=lambda: next(steps) == 20, **options
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        again = Model.resume(tmp_path / "m.h5", device="cpu")
    assert equal(whole, again)
    assert np.array_equal(whole.history["vamp2"], again.history["vamp2"])


def test_equal_weights_change_no_bit_and_others_do(frames):
    plain = trained(frames, lag=5)
    assert equal(plain, trained(frames, lag=5, weights=np.full(len(frames), 0.5)))
    other = trained(frames, lag=5, weights=np.random.default_rng(0).uniform(0.5, 2.0, len(frames)))
    assert not equal(plain, other) and other.figures.vamp2 > 0.9


def test_in_python_by_analysis_class(frames):
    import MDAnalysis as mda

    universe = mda.Universe.empty(10, trajectory=True)
    universe.load_new(frames.astype(np.float32), dt=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = TrajVAE(universe, select="all", lag="10ps", align="none", epochs=2, hidden=(8,), device="cpu").run()
    assert (run.model.figures.lag, run.model.figures.lag_frames) == (pytest.approx(10.0), 5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lag": 700}, ReadError, "a lag of 700 frames leaves no pair of frames: the longest trajectory has 300"),
        ({"lag": "10ps"}, ReadError, "a lag of 10 ps needs frames with times, and the trajectories have none"),
        ({"lag": 40}, OptionError, "needs 10 pairs of validation frames or more, got 0"),
        ({"slowness": 3.0}, OptionError, "none is given .slowness 3.0.: give --lag TIME"),
    ],
)
def test_what_is_refused_in_one_line(frames, options, error, message):
    with pytest.raises(error, match=message) as found:
        trained(frames, **options)
    assert "\n" not in str(found.value)


def test_one_frame_and_other_strides(tmp_path):
    x = double_well(60).positions
    np.savez(tmp_path / "a.npz", positions=x[:40], time=2.0 * np.arange(40))
    np.savez(tmp_path / "b.npz", positions=x[40:], time=5.0 * np.arange(20))
    np.savez(tmp_path / "one.npz", positions=x[:1], time=[3.0])
    with pytest.raises(ReadError, match=r"the same time between frames, got 2 ps in .*a.npz' and 5 ps in .*b.npz'"):
        trained([str(tmp_path / "a.npz"), str(tmp_path / "b.npz")], lag="10ps")
    with pytest.raises(ReadError, match="a lag of 1 frame leaves no pair of frames: the longest trajectory has 1"):
        trained(str(tmp_path / "one.npz"), lag=1)


def test_the_model_follows_what_is_slow():
    """Along the narrow, slow direction with a lag, along the wide, fast one without."""
    known = double_well(2000, seed=0)
    found = {}
    for lag in (None, 5):
        model = trained(known.positions, lag=lag, likelihood=None, latent_dim=1, epochs=10, hidden=(32, 32))
        z = model.record.latent[:, 0]
        found[lag] = [abs(np.corrcoef(z, x)[0, 1]) for x in (known.process, known.fast)]
    assert found[5][0] > 0.9 > 0.5 > found[5][1]
    assert found[None][1] > 0.9 > 0.5 > found[None][0]


def test_options_are_stored(tmp_path):
    assert TrainConfig.from_dict(TrainConfig(lag="10ps", slowness=3.0).to_dict()) == TrainConfig(
        lag="10ps", slowness=3.0
    )
    older = {k: v for k, v in TrainConfig().to_dict().items() if k not in ("lag", "slowness")}
    assert TrainConfig.from_dict(older) == TrainConfig()


def test_noise_that_hides_what_is_slow_is_lowered(monkeypatch):
    """The slow direction of the well is a tenth of the fast one: noise of the usual size hides a third of its score."""
    begin, noises = slowness.Slowness.begin, []

    def watched(self, vae):
        begin(self, vae)
        noises.append(self.noise)

    monkeypatch.setattr(slowness.Slowness, "begin", watched)
    trained(double_well(2000, seed=0).positions, latent_dim=1, lag=5, epochs=1, hidden=(32,))
    assert noises[0] < slowness._NOISES[0]
