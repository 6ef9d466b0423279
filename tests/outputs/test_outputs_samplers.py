"""Samplers, and every output of a model with a learned metric."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from trajvae import Model, TrainConfig
from trajvae.errors import OptionError
from trajvae.outputs.drawing.samplers import SAMPLERS, resolve_sampler
from trajvae.outputs.generate import generate
from trajvae.outputs.marginals import marginals
from trajvae.outputs.searching.latent_metrics import posterior_metric
from trajvae.typing import AnyArray

pytestmark = pytest.mark.filterwarnings("ignore:no topology")


@pytest.fixture(scope="module")
def flowing(chain: AnyArray) -> Model:
    """An RHVAE, trained a little on the chain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arrays have no topology
        return Model.train(chain, TrainConfig(backend="rhvae", epochs=20, hidden=(32,)), device="cpu")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_seed_decides(tiny_model: Model, flowing: Model, sampler: str) -> None:
    """Equal seeds give equal bits, other seeds others; the file says which sampler it was."""
    for model in (tiny_model, flowing):
        made = [model.generate(30, seed=seed, sampler=sampler) for seed in (1, 1, 2)]
        assert np.array_equal(made[0].positions, made[1].positions)
        assert not np.array_equal(made[0].latent, made[2].latent)
        assert made[0].figures["sampler"] == sampler and f"'{sampler}'" in made[0].command
        assert made[0].latent.shape == (30, 2)


def test_the_aggregate_is_the_mixture_of_posteriors(tiny_model: Model, chain: AnyArray) -> None:
    """Mean and covariance of its draws are those of training frames' posterior means and variances."""
    z = tiny_model.generate(20_000, sampler="aggregate", redraws=0, geometry="none").latent
    encoded = tiny_model.encode(chain[tiny_model.record.parts.training])
    mean = encoded.latent.mean(axis=0)
    covariance = np.cov(encoded.latent.T) + np.diag(np.square(encoded.latent_scale).mean(axis=0))
    error = 4.0 * np.sqrt(np.diag(covariance) / len(z))
    assert (np.abs(z.mean(axis=0) - mean) < error).all()
    np.testing.assert_allclose(np.cov(z.T), covariance, atol=0.06 * covariance.max())


def test_the_metric_sampler_has_the_density_it_claims(flowing: Model) -> None:
    """Its mean is that of importance sampling from a normal under the same envelope."""
    made = flowing.generate(5000, sampler="metric", seed=3)
    assert 0.5 < made.figures["acceptance"] <= 1.0 and made.figures["effective_sample_size"] > 300
    known = torch.from_numpy(flowing.record.latent)
    mean, covariance = known.mean(dim=0), known.T.cov()
    draws = torch.distributions.MultivariateNormal(mean, covariance).sample((200_000,))
    metric = posterior_metric(flowing.pipeline, flowing.record, 2.0, "")
    weights = torch.softmax(-0.5 * metric.log_det(draws), dim=0)
    exact, spread = weights @ draws, torch.from_numpy(made.latent).std(dim=0)
    error = spread / made.figures["effective_sample_size"] ** 0.5 + spread * float(weights.square().sum()) ** 0.5
    assert bool(((torch.from_numpy(made.latent).mean(dim=0) - exact).abs() <= 4.0 * error).all())


def test_wrong_samplers_are_refused(tiny_model: Model, chain: AnyArray) -> None:
    """A name that is none; a metric on a curved space."""
    with pytest.raises(OptionError, match=r"no sampler 'gibbs'.*prior, aggregate, metric.*auto"):
        tiny_model.generate(3, sampler="gibbs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curved = Model.train(chain, TrainConfig(backend="hyperspherical", epochs=2, hidden=(8,)), device="cpu")
    assert len(curved.generate(3, sampler="aggregate")) == 3
    with pytest.raises(OptionError, match=r"flat latent space.*prior or aggregate.*hyperspherical"):
        curved.generate(3, sampler="metric")


def test_save_load_embed_is_bit_identical(flowing: Model, chain: AnyArray, tmp_path: Path) -> None:
    """T6, with the metric and what follows from it."""
    flowing.save(tmp_path / "model.h5")
    loaded = Model.load(tmp_path / "model.h5")
    first, again = loaded.encode(chain), flowing.encode(chain)
    np.testing.assert_array_equal(first.latent, again.latent)
    assert first.figures == again.figures
    made = [m.generate(40, seed=3, sampler="metric").positions for m in (loaded, flowing)]
    np.testing.assert_array_equal(*made)


def test_training_reports_how_the_flow_fared(flowing: Model) -> None:
    """Residuals, cut rows, step and metric at the data stand in the model's figures; kl has its two parts."""
    found = flowing.figures["diagnostics"]
    assert found["residual"] <= 1e-8 and 0.0 <= found["cut"] < 0.2
    assert found["metric_at_data"] >= found["regularisation"] > 0.0 and 0.0 < found["step"] <= 0.5
    assert flowing.figures["kl"].keys() == {"position", "momentum"}


@pytest.mark.parametrize("metric", ["learned", "posterior"])
def test_paths_follow_its_metrics(flowing: Model, metric: str) -> None:
    """Never longer than the straight line in the metric that was minimised."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the learned metric is nearly flat")
        found = flowing.path(3, 200, metric=metric, frames=10)
    assert found.positions.shape == (10, 12, 2)
    assert 0.0 < found.figures["length"] <= found.figures["straight_length"] * (1.0 + 1e-6)


def test_float64_under_inference_mode(flowing: Model, chain: AnyArray, tmp_path: Path) -> None:
    """T6: a model made, copied and asked inside the mode works there and afterwards."""
    expected = flowing.encode(chain.astype(float))
    flowing.save(tmp_path / "model.h5")
    with torch.inference_mode():
        loaded = Model.load(tmp_path / "model.h5")
        inside = loaded.encode(chain.astype(float))
    np.testing.assert_array_equal(inside.latent, expected.latent)
    assert inside.figures == expected.figures == loaded.encode(chain.astype(float)).figures


def test_a_few_draws_claim_no_more_than_they_are(tiny_model: Model) -> None:
    """The chains run long enough to know their autocorrelation, and n draws are worth n at most."""
    for n in (1, 7, 150):
        made = tiny_model.generate(n, sampler="metric")
        assert len(made) == n and 0.0 < made.figures["effective_sample_size"] <= n


GAPS = [(0.0, "prior"), (0.6, "prior"), (0.8, "aggregate"), (40.0, "aggregate"), (None, "prior")]


@pytest.mark.parametrize(("gap", "expected"), GAPS)
def test_auto_is_settled_by_the_gap(tiny_model: Model, gap: float | None, expected: str) -> None:
    """The prior, but where posteriors together are 0.7 nats from it; files of before the figure know of none."""
    record = dataclasses.replace(tiny_model.record, figures=dataclasses.replace(tiny_model.figures, prior_gap=gap))
    assert resolve_sampler(record, "auto") == expected
    for name in (*SAMPLERS, "gibbs"):
        assert resolve_sampler(record, name) == name


@pytest.mark.parametrize(("gap", "expected"), [(0.1, "prior"), (3.0, "aggregate")])
def test_outputs_follow_what_was_settled(tiny_model: Model, gap: float, expected: str) -> None:
    """`generate` draws as that sampler does and says so, as `marginals` do; a sampler that is named is taken."""
    pipeline = tiny_model.pipeline
    record = dataclasses.replace(tiny_model.record, figures=dataclasses.replace(tiny_model.figures, prior_gap=gap))
    made = generate(pipeline, record, 30, seed=1)
    assert made.figures["sampler"] == expected and f"sampler='{expected}'" in made.command
    assert np.array_equal(made.latent, tiny_model.generate(30, seed=1, sampler=expected).latent)
    assert marginals(pipeline, record, seed=1).figures["sampler"] == expected
    for name in ("prior", "aggregate"):
        assert generate(pipeline, record, 5, sampler=name).figures["sampler"] == name


def test_training_says_what_auto_is(tiny_model: Model, tmp_path: Path) -> None:
    """The gap stands in the model's figures and in its file."""
    tiny_model.save(tmp_path / "model.h5")
    loaded = Model.load(tmp_path / "model.h5")
    assert loaded.figures["prior_gap"] == tiny_model.figures["prior_gap"] >= 0.0
    assert resolve_sampler(loaded.record, "auto") == resolve_sampler(tiny_model.record, "auto") == "prior"


@pytest.mark.parametrize("sampler", ["aggregate", "metric"])
def test_held_out_frames_are_not_drawn_from(tiny_model: Model, sampler: str) -> None:
    """Whatever stands in the place of frames that did not train, draws are the same."""
    record, trained = tiny_model.record, tiny_model.record.parts.training
    sample, latent = record.sample.copy(), record.latent.copy()
    sample[~trained[record.sample_index]] *= 3.0
    latent[~trained] += 9.0
    other = dataclasses.replace(record, sample=sample, latent=latent)
    made = [generate(tiny_model.pipeline, r, 40, seed=2, sampler=sampler).latent for r in (record, other)]
    assert np.array_equal(*made)
