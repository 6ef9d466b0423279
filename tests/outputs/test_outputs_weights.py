"""Weights in what is made with a model: histograms, floors, means, quantiles, errors, and what files say of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import weighted_chain as chain
from scipy.stats import ks_2samp, wasserstein_distance

from trajvae import Model, TrainConfig, compare
from trajvae.errors import OptionError, TrajvaeWarning
from trajvae.frame_weights import FrameWeights, WeightSource
from trajvae.molecule import histogram_divergence as divergence
from trajvae.outputs.embed import embed_to
from trajvae.outputs.judging.errors_of_means import influences, mean_error
from trajvae.outputs.judging.histograms import compare as compare_samples
from trajvae.outputs.judging.observable_kinds import divisions, floors
from trajvae.outputs.judging.trials import ComparisonPlan
from trajvae.outputs.searching.best_frame import Observed
from trajvae.outputs.searching.circular_statistics import quantiles
from trajvae.outputs.searching.objectives import parse_objective
from trajvae.results import Comparison, Embedding, Marginals
from trajvae.results.embedding import joined
from trajvae.weighted_samples import effective_size

COUNTS = np.array([1, 2, 0, 3, 1, 2] * 30)


@pytest.fixture(scope="module")
def biased():
    """Frames of a biased simulation, and their weights."""
    x, v = chain.biased_chain(3000)
    return x, np.exp((v - v.max()) / chain.KT)


@pytest.fixture(scope="module")
def model(biased):
    """A model of the weighted frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        config = TrainConfig(epochs=8, hidden=(16,), likelihood="full")
        return Model.train(biased[0], config, weights=biased[1], device="cpu")


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        yield


def test_a_whole_weight_is_a_repeated_value():
    """In histograms, their edges, divergences, Wasserstein and Kolmogorov-Smirnov distances, and floors."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=180), random.normal(size=50) + 0.3
    w, wide = COUNTS / 7.0, np.repeat(a, COUNTS)
    edges = divergence.bin_edges([wide])
    np.testing.assert_allclose(divergence.bin_edges([a], 0.0, [w]), edges)
    np.testing.assert_allclose(divergence.histogram(a, edges, w), divergence.histogram(wide, edges))
    pair = (w, None)
    expected = divergence.histogram_divergence(wide, b)
    assert divergence.histogram_divergence(a, b, weights=pair) == pytest.approx(expected)
    assert divergence.kolmogorov_smirnov(a, b, pair) == pytest.approx(ks_2samp(wide, b).statistic)
    expected = divergence.circular_wasserstein(wide, b, 5.0)
    assert divergence.circular_wasserstein(a, b, 5.0, pair) == pytest.approx(expected)
    found = compare_samples(a, a[::-1], b, "", weights=(w, w[::-1]))
    other = compare_samples(wide, wide[::-1], b, "")
    assert found.w1 == pytest.approx(wasserstein_distance(wide, b))
    assert (found.jsd, found.ks, found.beyond) == pytest.approx((other.jsd, other.ks, other.beyond))
    block, first = np.arange(180) * 20 // 180, divisions(20, 0)
    expected = floors(wide, np.repeat(block, COUNTS), edges, first)
    np.testing.assert_allclose(floors(a, block, edges, first, w), expected, atol=1e-12)


def test_quantiles_on_a_line_and_on_a_circle():
    random = np.random.default_rng(0)
    values = random.normal(size=180) * 0.4 + 3.1
    wide = np.repeat(values, COUNTS)
    low, high = quantiles(values, [0.1, 0.9], 0.0, COUNTS / 3.0)
    np.testing.assert_array_equal([low, high], np.quantile(wide, [0.1, 0.9], method="inverted_cdf"))
    turned = np.angle(np.exp(1j * values))
    around = np.array(quantiles(turned, [0.1, 0.9], 2 * np.pi, COUNTS / 3.0))
    np.testing.assert_allclose(np.angle(np.exp(1j * (around - [low, high]))), 0.0, atol=1e-9)


def test_errors_of_weighted_means_are_right():
    """The error of a weighted mean is the deviation of such means over repeats, of correlated values too."""
    random, n, repeats = np.random.default_rng(0), 400, 300
    noise = random.normal(size=(repeats, n + 4))
    values = sum(noise[:, k : n + k] for k in range(5)) / 5**0.5
    w = random.exponential(size=(repeats, n)) ** 2
    w /= w.mean(axis=1, keepdims=True)
    means = np.array([influences(v, u).mean() for v, u in zip(values, w, strict=True)])
    np.testing.assert_allclose(means, (values * w).mean(axis=1))
    found = [mean_error(v, np.arange(n), u) for v, u in zip(values, w, strict=True)]
    assert np.mean([e.value for e in found]) == pytest.approx(means.std(), rel=0.15)
    assert all(e.independent <= effective_size(u) for e, u in zip(found, w, strict=True))


def test_reweighted_histograms_are_the_exact_ones(model, biased):
    """Müller-Brown in one dimension: the double well, biased by a known potential, within four standard errors."""
    x, w = biased
    found = model.marginals(x, weights=w, seed=0)
    marginal = found.table["distance_0-1"]
    edges, exact = marginal.edges, chain.exact(marginal.edges)
    length = np.clip(np.linalg.norm(x[:, 1] - x[:, 0], axis=1), edges[0], edges[-1])
    error = np.sqrt(2.0 * np.histogram(length, edges, weights=w**2)[0]) / w.sum()  # of each half of the frames
    for mine in (marginal.simulation, marginal.second):
        assert (np.abs(mine - exact) < 4.0 * error + 0.02 * exact.max()).all()
    plain = np.histogram(length, edges)[0] / len(x)
    assert np.abs(plain - exact).sum() > 5.0 * np.abs(marginal.simulation - exact).sum()
    # free energies of all well-filled bins, below 15 kJ/mol
    both, seen = 0.5 * (marginal.simulation + marginal.second), exact > np.exp(-15.0 / chain.KT) * exact.max()
    seen[[0, -1]] = False
    error = chain.KT * np.abs(np.log(both[seen] / both.max()) - np.log(exact[seen] / exact.max()))
    assert error.max() < 1.0
    assert found.figures.effective_sample_size == pytest.approx(effective_size(w))
    assert found.figures.draws < found.n
    assert marginal.jsd < 4.0 * marginal.noise_floor


def test_marginals_take_the_weights_of_the_training(model, biased, tmp_path):
    x, w = biased
    given, own = model.marginals(x, weights=w, seed=0), model.marginals(x, seed=0)
    kept = model.marginals(seed=0)
    for name, marginal in given.table.items():
        np.testing.assert_array_equal(marginal.simulation, own.table[name].simulation)
    assert kept.weights.effective_sample_size == pytest.approx(effective_size(w[model.record.sample_index]))
    given.save(tmp_path / "marginals.h5")
    again = Marginals.load(tmp_path / "marginals.h5")
    assert again.weights == given.weights == WeightSource("", "", pytest.approx(effective_size(w)))
    assert again.figures.draws == given.figures.draws
    with pytest.raises(OptionError, match="none is given"):
        model.marginals(weights=w)
    # other frames than those of the training have none unless they are given
    assert model.marginals(chain.biased_chain(500, seed=5)[0]).weights is None


def test_equal_weights_change_no_figure(model, biased):
    x = chain.biased_chain(400, seed=7)[0]
    a, b = model.marginals(x), model.marginals(x, weights=np.full(400, 3.0))
    assert {**b.figures} == {**a.figures, "draws": a.n, "effective_sample_size": pytest.approx(400.0)}
    assert all(np.array_equal(m.simulation, b.table[name].simulation) for name, m in a.table.items())
    assert a.kinds == b.kinds
    a, b = model.encode(x), model.encode(x, weights=np.full(400, 3.0))
    assert {**b.figures} == {**a.figures, "effective_sample_size": pytest.approx(400.0)}


def test_an_embedding_keeps_weights_and_means(model, biased, tmp_path):
    x, w = biased
    found, plain = model.encode(x, weights=w), model.encode(x)
    np.testing.assert_array_equal(found.latent, plain.latent)
    assert found.figures.rmsd == pytest.approx(np.average(plain.rmsd, weights=w))
    assert found.figures.effective_sample_size == pytest.approx(effective_size(w))
    found.save(tmp_path / "a.h5")
    streamed = model.encode_to(tmp_path / "b.h5", x, weights=w)
    assert streamed.rmsd == pytest.approx(found.figures.rmsd) and streamed.elbo == pytest.approx(found.figures.elbo)
    a, b = (Embedding.load(tmp_path / name) for name in ("a.h5", "b.h5"))
    for again in (a, b):
        np.testing.assert_array_equal(again.weights.values, w / w.max())
        assert again.weights.source == found.weights.source
        assert set(again.columns) == set(found.columns) and "weight" in again.columns
    assert Embedding.load(tmp_path / "a.h5").weights.effective_size == pytest.approx(effective_size(w))
    assert joined([a, b]).weights is None and joined([a]).weights is not None


def test_an_embedding_comes_in_pieces_without_weight(model, biased, tmp_path, monkeypatch):
    """A chunk whose frames all have the weight 0 is written like any other."""
    x, _ = biased
    w = np.where(np.arange(3000) < 1500, 0.0, 1.0)
    frames = model.open(x)
    whole = frames.chunks
    monkeypatch.setattr(type(frames), "chunks", lambda self, size=None: whole(500))
    found = embed_to(tmp_path / "c.h5", model.pipeline, frames, command="", seed=0, weights=FrameWeights(w))
    again = Embedding.load(tmp_path / "c.h5")
    np.testing.assert_array_equal(again.weights.values, w)
    assert found.rmsd == pytest.approx(again.rmsd[1500:].mean())


def test_quantiles_of_an_objective_are_weighted(model, biased):
    x, w = biased
    objective = parse_objective("distance:0,1", model.pipeline, None)
    seen = Observed.of_record(model.record, objective, [])
    assert seen.weights is not None
    low, high = quantiles(seen.value, [0.01, 0.5], 0.0, seen.weights)
    assert high == pytest.approx(quantiles(np.linalg.norm(x[:, 1] - x[:, 0], axis=1), [0.5], 0.0, w)[0], abs=0.05)
    assert low < high


def test_candidates_are_compared_with_weights(biased, tmp_path):
    x, w = biased
    x, w = x[:400], w[:400]
    config = TrainConfig(epochs=2, hidden=(8,), likelihood="full")
    plan = ComparisonPlan(draws=10)
    found = compare(x, {"a": config}, plan=plan, weights=w, device="cpu")
    entry = found.entries["a"]
    own = w[found.rows]
    assert entry.figures.elbo == pytest.approx(np.average(entry.elbo, weights=own))
    assert entry.figures.rmsd == pytest.approx(np.average(entry.rmsd, weights=own))
    np.testing.assert_allclose(entry.figures.bounds, np.average(entry.bounds, axis=0, weights=own))
    assert found.figures.effective_sample_size == pytest.approx(effective_size(w))
    found.save(tmp_path / "compare.h5")
    again = Comparison.load(tmp_path / "compare.h5")
    assert again.weights == found.weights
    np.testing.assert_allclose(again.entries["a"].figures.bounds, entry.figures.bounds)
    plain, ones = (compare(x, {"a": config}, plan=plan, weights=u, device="cpu") for u in (None, np.ones(400)))
    np.testing.assert_array_equal(plain.entries["a"].iwae, ones.entries["a"].iwae)
    assert plain.entries["a"].figures.iwae == ones.entries["a"].figures.iwae != entry.figures.iwae
