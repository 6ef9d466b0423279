"""From frames to a trained pipeline: figures, the record, defaults, and frames that cannot be learned from."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from trajvae import Model, TrainConfig
from trajvae.alignment.distances import jumps
from trajvae.errors import OptionError, ReadError, TrajvaeWarning
from trajvae.models.devices import choose_device
from trajvae.models.partition import partition
from trajvae.models.pipeline import Pipeline
from trajvae.models.record import TrainingRecord
from trajvae.molecule.observables import OBSERVABLES
from trajvae.readers.data_set import Chunk
from trajvae.topology import Topology
from trajvae.training.frame_source import InMemoryFrames
from trajvae.training.prepared import prepare_frames
from trajvae.typing import Floats

QUICK = TrainConfig(epochs=3, hidden=(16,))


def fit(
    frames: InMemoryFrames, topology: Topology, config: TrainConfig, *, precision: float = 0.0
) -> tuple[Pipeline, TrainingRecord]:
    """Train on the CPU."""
    return prepare_frames(frames, topology, config, precision=precision, device="cpu").run()[:2]


def _chunk(x: Floats) -> InMemoryFrames:
    return InMemoryFrames(Chunk.of_run(x))


def test_figures_are_the_contract_s(tiny_model: Model) -> None:
    """Every key that scripts rely on is there, is JSON, and has the right number."""
    figures = tiny_model.figures
    wanted = {
        *("frames", "held_out", "atoms", "features", "feature_kind", "backend", "latent_dim"),
        *("elbo", "rmsd", "pca_rmsd", "epochs", "seconds"),
    }
    assert wanted <= set(figures)
    assert json.loads(json.dumps(figures.to_json())) == figures
    expected = {
        "frames": 400,
        "trained": 256,
        "validation": 48,
        "held_out": 48,
        "atoms": 12,
        "features": 21,
        "latent_dim": 2,
        "epochs": 3,
    }
    assert {k: figures[k] for k in expected} == expected


def test_figures_are_means_over_held_out_frames(tiny_model: Model, chain: Floats) -> None:
    """`rmsd` and `pca_rmsd` are those of the held-out frames alone."""
    _, reconstruction, _ = tiny_model.pipeline.reconstruct(chain)
    held = tiny_model.record.held_out
    assert tiny_model.figures["rmsd"] == pytest.approx(reconstruction.rmsd[held].mean(), abs=1e-5)
    assert tiny_model.figures["pca_rmsd"] == pytest.approx(reconstruction.pca_rmsd[held].mean(), abs=1e-5)
    assert abs(tiny_model.figures["rmsd"] - reconstruction.rmsd.mean()) > 1e-5


def test_the_record_keeps_every_training_frame_s_latent(tiny_model: Model, chain: Floats) -> None:
    """Latents, places and built-in observables of all frames; the sample is aligned frames of its index."""
    record = tiny_model.record
    encoded, aligned = tiny_model.pipeline.encode(chain)
    np.testing.assert_allclose(record.latent, encoded.latent, atol=1e-6)
    assert record.frame.tolist() == list(range(400))
    assert set(record.observables) == set(OBSERVABLES)
    np.testing.assert_allclose(
        record.observables["end_to_end"], np.linalg.norm(chain[:, 0] - chain[:, -1], axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(record.sample, aligned[record.sample_index], atol=1e-6)
    assert record.sample.dtype == np.float32


def test_the_sample_is_bounded_and_spread(chain: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more frames than the limit, evenly over the run, the first and the last among them."""
    monkeypatch.setattr("trajvae.training.summary.SAMPLE_FRAMES", 50)
    _, record = fit(_chunk(chain), Topology.anonymous(12), QUICK)
    assert len(record.sample) == len(record.sample_index) == 50
    assert record.sample_index[[0, -1]].tolist() == [0, 399]
    assert np.ptp(np.diff(record.sample_index)) <= 1
    monkeypatch.setattr("trajvae.training.summary.SAMPLE_BYTES", 12 * 2 * 4 * 10)
    assert len(fit(_chunk(chain), Topology.anonymous(12), QUICK)[1].sample) == 10


def test_two_trainings_with_one_seed_agree_to_the_bit(chain: Floats) -> None:
    """Weights, latents and figures of two whole runs are equal; another seed's are not."""
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(runs))
        config = TrainConfig(epochs=3, hidden=(16,), seed=seed)
        runs.append(fit(_chunk(chain), Topology.anonymous(12), config))
    first, again, other = (p.vae.state_dict() for p, _ in runs)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first)
    assert np.array_equal(runs[0][1].latent, runs[1][1].latent)
    assert runs[0][1].figures["elbo"] == runs[1][1].figures["elbo"] != runs[2][1].figures["elbo"]


def test_validity_is_learned_from_training_frames_alone(chain: Floats) -> None:
    """A held-out frame with a broken bond does not widen what is valid."""
    x = chain.copy()
    held = fit(_chunk(x), Topology.anonymous(12), QUICK)[1].held_out
    odd = int(np.flatnonzero(held)[0])
    x[odd, -1] += 3.0 * (x[odd, -1] - x[odd, -2])
    _, record = fit(_chunk(x), Topology.anonymous(12), QUICK)
    assert record.figures["held_out_valid"] < 1.0
    assert record.validity.test(x[held]).sum() < held.sum()


def test_masses_weigh_the_centre_where_asked(chain: Floats) -> None:
    """`center="mass"` centres on the centre of mass, the default on that of geometry."""
    masses = np.linspace(1.0, 20.0, 12)
    topology = Topology(**{**Topology.anonymous(12).to_arrays(), "masses": masses})  # type: ignore[arg-type]
    for center, weights in (("mass", masses), ("geometry", np.ones(12))):
        config = TrainConfig(epochs=3, hidden=(16,), center=center)
        pipeline, record = fit(_chunk(chain), topology, config)
        middle = np.einsum("tnd,n->td", record.sample, weights) / weights.sum()
        assert np.abs(middle).max() < 1e-5
        assert np.array_equal(pipeline.alignment.weights, weights)


def test_few_frames_get_few_inputs(examples: Path) -> None:
    """One input for four training frames at most, and springs where a full covariance cannot be learned."""
    x = np.load(examples / "chain3d.npz")["positions"][:40]
    pipeline, _ = fit(_chunk(x), Topology.anonymous(12), QUICK)
    assert pipeline.sizes.n_inputs == 6
    assert pipeline.sizes.likelihood == "springs"


def test_the_floor_is_the_file_s_precision(chain: Floats) -> None:
    """The likelihood's noise is never below the precision given, nor below 1e-3 Å."""
    for precision, floor in ((0.0, 1e-3), (0.01, 0.01)):
        pipeline, _ = fit(_chunk(chain), Topology.anonymous(12), QUICK, precision=precision)
        assert pipeline.vae.likelihood.floor == floor


def test_degenerate_axes_are_counted_and_warned_of(chain: Floats) -> None:
    """Frames whose principal moments agree are counted, and a warning says so."""
    x = chain.copy()
    square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]] * 3, dtype=np.float32) * np.repeat([1, 2, 3], 4)[:, None]
    x[10:13] = square * np.array([1.0, 1.1, 1.2], dtype=np.float32)[:, None, None]  # no copies
    with pytest.warns(TrajvaeWarning, match="nearly degenerate"):
        _, record = fit(_chunk(x), Topology.anonymous(12), TrainConfig(epochs=3, hidden=(16,), align="principal"))
    assert 3 <= record.figures["degenerate"] < 100


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.random.default_rng(0).normal(size=(4, 5, 3)), "at least 5 frames, got 4"),
        (np.tile(np.random.default_rng(0).normal(size=(1, 5, 3)), (20, 1, 1)), "all 20 frames are equal"),
        (np.random.default_rng(0).normal(size=(20, 1, 3)) * np.ones((1, 5, 1)), "stand at one point"),
        (np.random.default_rng(0).normal(size=(20, 1, 3)), "stand at one point|no shape"),
    ],
)
def test_frames_that_cannot_be_learned_from_are_refused(frames: Floats, message: str) -> None:
    """Too few frames, equal frames, atoms on one point: ReadError in one line."""
    with pytest.raises(ReadError, match=message) as caught:
        fit(_chunk(frames), Topology.anonymous(frames.shape[1]), QUICK)
    assert "\n" not in str(caught.value)


def test_the_fewest_frames_that_can_be_learned_from() -> None:
    """Five frames of two atoms train, and give finite figures."""
    x = np.random.default_rng(0).normal(size=(5, 3, 3))
    _, record = fit(_chunk(x), Topology.anonymous(3), QUICK)
    assert np.isfinite([record.figures[k] for k in ("elbo", "rmsd", "pca_rmsd")]).all()
    assert np.isfinite(record.latent).all()


def test_jumps_do_not_cross_files(chain: Floats) -> None:
    """The largest jump is between neighbours of one file; without neighbours there is none."""
    x = chain[:10].astype(np.float64)
    x[5:] += 100.0
    follows = np.arange(10) % 5 > 0
    within, least = jumps(x, follows)
    assert within is not None
    assert least is not None
    assert least <= within < 50.0
    assert jumps(x, np.arange(10) > 0)[0] > 50.0  # type: ignore[operator]
    assert jumps(x[:2], np.array([False, False])) == (None, None)


def test_devices_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another name, and CUDA where none is, are OptionErrors; `auto` falls back to the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(OptionError, match="--device cpu"):
        choose_device("cuda")
    with pytest.raises(OptionError, match="tpu"):
        choose_device("tpu")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": -1}, "batch_size"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"signature": "h2"}, "product"),
        ({"backend": "product", "signature": "h2", "latent_dim": 3}, "latent_dim 3"),
        ({"beta": -0.1}, "beta"),
        ({"beta": float("nan")}, "beta"),
        ({"center": "origin"}, "center"),
        ({"seed": -1}, "seed"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, object], named: str) -> None:
    """The config refuses what no training could use."""
    with pytest.raises(OptionError, match=named):
        TrainConfig(**options)  # type: ignore[arg-type]


def test_an_unknown_alignment_is_refused(chain: Floats) -> None:
    """The message names the alignments there are."""
    with pytest.raises(OptionError, match="superpose, principal, none"):
        fit(_chunk(chain), Topology.anonymous(12), TrainConfig(epochs=1, align="sideways"))


def test_config_survives_json() -> None:
    """A config comes back from its JSON; names of another version are ignored."""
    config = TrainConfig(latent_dim=3, hidden=(8, 9), beta=0.5, settings={"min_scale": 0.01})
    stored = json.loads(json.dumps(config.to_dict()))
    assert TrainConfig.from_dict({**stored, "of_another_version": 1}) == config
    signed = TrainConfig(backend="product", signature="h2,s1:0.5")
    assert signed.latent_dim == 3
    assert TrainConfig.from_dict(json.loads(json.dumps(signed.to_dict()))) == signed


def test_alignment_none_trains(chain: Floats) -> None:
    """Frames that are not aligned are modelled as they stand: all D N coordinates are features."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "draws fluctuate")  # so they do after three epochs
        pipeline, _ = fit(_chunk(chain), Topology.anonymous(12), TrainConfig(epochs=3, hidden=(16,), align="none"))
    assert pipeline.vae.features.size == 24
    shifted, there = (pipeline.reconstruct(x)[1].elbo for x in (chain + np.float32(1.0), chain))
    assert np.abs(shifted - there).min() > 1.0


def test_the_reference_sees_training_frames_alone(chain: Floats) -> None:
    """Other validation and held-out frames leave alignment and features as they are."""
    held = ~partition(len(chain)).training
    other = chain.copy()
    other[held] = other[held][::-1, ::-1] * np.float32(1.3)
    config = TrainConfig(epochs=2, hidden=(8,))
    pipelines = [fit(_chunk(x), Topology.anonymous(12), config)[0] for x in (chain, other)]
    np.testing.assert_array_equal(pipelines[0].alignment.reference, pipelines[1].alignment.reference)
    assert torch.equal(pipelines[0].vae.features.v, pipelines[1].vae.features.v)


def test_a_collapsed_latent_says_so(chain) -> None:
    """With a KL that weighs a thousandfold nothing passes; a warning, and the figures; a plain model uses both."""
    topology = Topology.anonymous(12)
    chunk = InMemoryFrames(Chunk.of_run(chain.copy()))
    with pytest.warns(TrajvaeWarning, match="collapsed: none of its 2 dimensions.*--beta below 1"):
        _, record = fit(chunk, topology, TrainConfig(beta=1000.0, epochs=40, hidden=(16,)))
    assert record.figures["collapsed"] is True and record.figures["active_units"] == 0
    assert sum(record.figures["kl"].values()) < 0.05
    noise = _chunk(np.random.default_rng(0).normal(size=(300, 5, 3)))
    with pytest.warns(TrajvaeWarning, match="collapsed"):  # its mean direction wanders, and says nothing
        _, record = fit(noise, Topology.anonymous(5), TrainConfig("hyperspherical", beta=50.0, epochs=40, hidden=(16,)))
    assert record.figures["collapsed"] is True and record.figures["active_units"] == 0
    _, record = fit(chunk, topology, TrainConfig(epochs=40, hidden=(16,)))
    assert record.figures["collapsed"] is False and record.figures["active_units"] == 2
