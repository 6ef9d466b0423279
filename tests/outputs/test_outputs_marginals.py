"""Simulation against model: figures by independent formulas, halves, and the noise floor."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, ks_2samp, wasserstein_distance

from trajvae import Model, Reading, TrainConfig
from trajvae.errors import OutputError, ReadError
from trajvae.models.partition import HELD_OUT, TRAINING
from trajvae.molecule.histogram_divergence import BINS, circular_wasserstein
from trajvae.outputs import marginals as module
from trajvae.outputs.judging.histograms import compare
from trajvae.outputs.marginals import COMPARED, halves
from trajvae.results import Marginals
from trajvae.typing import Float64


def _samples(n: int = 3000, shift: float = 0.3) -> tuple[Float64, Float64, Float64]:
    random = np.random.default_rng(0)
    return random.normal(size=n), random.normal(size=n), random.normal(shift, 1.2, size=n)


# --- the figures of one observable


def test_divergence_is_that_of_the_stored_histograms() -> None:
    """JSD in bits from the stored histograms: scipy's, and by entropies H(m) - (H(p) + H(q)) / 2."""
    m = compare(*_samples(), "Angstrom")
    assert m.jsd == pytest.approx(jensenshannon(m.simulation, m.model, base=2) ** 2)
    middle = (m.simulation + m.model) / 2
    by_entropy = entropy(middle, base=2) - (entropy(m.simulation, base=2) + entropy(m.model, base=2)) / 2
    assert m.jsd == pytest.approx(by_entropy)
    assert 0.005 < m.jsd < 0.2


def test_distances_of_samples_are_scipy_s_and_their_definitions() -> None:
    """W1 is the mean distance of sorted samples, KS the largest gap of the distribution functions."""
    a, b, model = _samples()
    m = compare(a, b, model, "Angstrom")
    assert m.w1 == pytest.approx(wasserstein_distance(a, model))
    assert m.w1 == pytest.approx(np.abs(np.sort(a) - np.sort(model)).mean())
    assert m.ks == pytest.approx(ks_2samp(a, model).statistic)
    at = np.concatenate([a, model])
    gap = np.abs((a[:, None] <= at).mean(axis=0) - (model[:, None] <= at).mean(axis=0)).max()
    assert m.ks == pytest.approx(gap)
    assert m.w1_floor == pytest.approx(wasserstein_distance(a, b))
    assert m.ks_floor == pytest.approx(ks_2samp(a, b).statistic)


def test_histograms_cover_everything() -> None:
    """Histograms sum to one, over the simulation's own range; what the model has beyond it is in the outermost bins."""
    a, b, model = _samples()
    m = compare(a, b, model, "Angstrom")
    assert m.edges.shape == (BINS + 1,)
    assert m.simulation.sum() == pytest.approx(1.0)
    assert m.model.sum() == pytest.approx(1.0)
    everything = np.concatenate([a, b])
    assert (m.edges[0], m.edges[-1]) == pytest.approx((everything.min(), everything.max()))
    outside = (model < everything.min()) | (model > everything.max())
    assert m.beyond == pytest.approx(outside.mean()) and m.beyond > 0.0
    assert m.model[-1] >= (model > everything.max()).mean() > 0.0


@pytest.mark.parametrize("far", [1e3, -1e8])
def test_one_far_draw_counts_by_its_weight(far: float) -> None:
    """However far it is, it changes the divergence by no more than its share of the draws, and bins not at all."""
    a, b, model = _samples(400, shift=0.6)
    hit = model.copy()
    hit[7] = far
    plain, other = compare(a, b, model, "Angstrom"), compare(a, b, hit, "Angstrom")
    np.testing.assert_array_equal(plain.edges, other.edges)
    assert plain.jsd > 0.05 and abs(other.jsd - plain.jsd) <= 1 / 400
    assert other.noise_floor == plain.noise_floor


def test_disjoint_samples_are_one_bit_apart() -> None:
    """Samples apart have KS 1 and W1 the distance; the divergence is 1 but for simulated frames in the open bins."""
    a = np.linspace(0.0, 1.0, 500)
    m = compare(a, a, a + 10.0, "Angstrom")
    assert (m.ks, m.beyond) == pytest.approx((1.0, 1.0))
    assert m.jsd == pytest.approx(1.0, abs=0.1)
    assert m.w1 == pytest.approx(10.0)
    assert (m.noise_floor, m.w1_floor, m.ks_floor) == pytest.approx((0.0, 0.0, 0.0))
    one = np.full(100, 1.09)
    assert compare(one, one, one + np.linspace(-0.1, 0.1, 100), "Angstrom").jsd == pytest.approx(1.0)


def test_identical_distributions_reach_the_noise_floor() -> None:
    """A model that draws from the simulation's own distribution has the floor's figures, a wrong one not."""
    random = np.random.default_rng(1)
    ratios = []
    for _ in range(20):
        a, b, model = random.normal(size=(3, 2000))
        m = compare(a, b, model, "Angstrom")
        ratios.append((m.jsd / m.noise_floor, m.w1 / m.w1_floor, m.ks / m.ks_floor))
    assert (np.abs(np.log(np.median(ratios, axis=0))) < np.log(1.6)).all()
    wrong = compare(*_samples(2000), "Angstrom")
    assert wrong.jsd > 3 * wrong.noise_floor


def test_a_constant_observable_is_no_error() -> None:
    """Constraints make bonds constant: equal values have divergence 0 and no NaN."""
    one = np.full(100, 1.09)
    m = compare(one, one, one, "Angstrom")
    assert (m.jsd, m.w1, m.ks, m.noise_floor) == (0.0, 0.0, 0.0, 0.0)
    assert (np.diff(m.edges) > 0).all()


# --- angles


def test_circular_distance_is_optimal_transport() -> None:
    """It equals the best assignment of samples by the shorter way round."""
    random = np.random.default_rng(0)
    for spread in (20.0, 60.0, 180.0):
        a, b = random.normal(170, spread, 60), random.normal(-120, spread, 60)
        cost = np.abs((a[:, None] - b + 180) % 360 - 180)
        rows, columns = linear_sum_assignment(cost)
        assert circular_wasserstein(a, b, 360.0) == pytest.approx(cost[rows, columns].mean(), rel=1e-9)


def test_circular_distance_does_not_depend_on_the_origin() -> None:
    """Turning both samples by any angle, or adding whole turns, changes nothing."""
    random = np.random.default_rng(0)
    a, b = random.normal(0, 50, 300), random.normal(40, 30, 200)
    plain = circular_wasserstein(a, b, 360.0)
    for turn in (17.0, 180.0, 200.0, 360.0, -725.0):
        assert circular_wasserstein(a + turn, b + turn, 360.0) == pytest.approx(plain)
    assert circular_wasserstein(b, a, 360.0) == pytest.approx(plain)


def test_circular_distance_of_concentrated_samples_is_the_plain_one() -> None:
    """Far from the seam it is scipy's, and it is across the seam what scipy's is after turning."""
    random = np.random.default_rng(0)
    a, b = random.normal(0, 10, 300), random.normal(15, 5, 500)
    plain = wasserstein_distance(a, b)
    assert circular_wasserstein(a, b, 360.0) == pytest.approx(plain)
    across = [(x + 180 + 180) % 360 - 180 for x in (a, b)]
    assert circular_wasserstein(*across, 360.0) == pytest.approx(plain)
    assert wasserstein_distance(*across) > 5 * plain


@pytest.mark.parametrize("shift", [0.0, 5.0, 90.0, 250.0, 355.0])
def test_circular_distance_of_shifted_samples(shift: float) -> None:
    """A cloud turned by s is s away, or 360 - s where that is shorter."""
    a = np.random.default_rng(0).normal(0, 3, 400)
    assert circular_wasserstein(a, a + shift, 360.0) == pytest.approx(min(shift, 360 - shift), abs=1e-9)


def test_an_angle_s_histogram_is_one_period() -> None:
    """Edges run from -180 to 180, and W1 goes the shorter way round."""
    random = np.random.default_rng(0)
    a, b, model = (((random.normal(m, 5, 500)) + 180) % 360 - 180 for m in (179, 179, -179))
    m = compare(a, b, model, "degree", 360.0)
    assert (m.edges[0], m.edges[-1]) == (-180.0, 180.0)
    assert m.simulation.sum() == pytest.approx(1.0)
    assert m.w1 == pytest.approx(2.0, abs=1.0)


# --- two sets of the simulation


@pytest.mark.parametrize("n", [10, 11, 16, 39, 40, 41, 57, 400, 1999, 2000, 10_000])
def test_halves_are_disjoint_equal_and_interleaved(n: int) -> None:
    """No frame is in both, none is twice in one; they are equally large, ordered, and each spans the run."""
    a, b = halves(n)
    assert len(a) == len(b) > 0
    assert len(np.unique(a)) == len(a)
    assert len(np.unique(b)) == len(b)
    assert not set(a) & set(b)
    assert (np.diff(a) > 0).all()
    assert (np.diff(b) > 0).all()
    assert min(a.min(), b.min()) == 0
    assert len(a) >= 0.35 * n
    assert max(a.min(), b.min()) <= n / 3
    assert min(a.max(), b.max()) >= 2 * n / 3 - 1


def test_halves_are_blocks() -> None:
    """Sets change only between blocks: neighbours in time, which are alike, stand in one set."""
    a, b = halves(2000)
    member = np.full(2000, -1)
    member[a], member[b] = 0, 1
    assert (np.diff(member[member >= 0]) != 0).sum() == 19


def test_large_halves_are_thinned_evenly() -> None:
    """No more than the limit is taken, evenly."""
    a, b = halves(10_000, most=500)
    assert len(np.unique(a)) == len(np.unique(b)) == 500
    assert max(a.max(), b.max()) >= 9900


def test_too_few_frames_have_no_halves() -> None:
    """The message says how many came."""
    with pytest.raises(ReadError, match="at least 10 simulated frames, got 9"):
        halves(9)


# --- the table


@pytest.fixture(scope="module")
def found(tiny_model: Model) -> Marginals:
    """The tiny model's marginals on the frames it keeps."""
    return tiny_model.marginals(seed=3)


def test_the_table_has_every_observable(found: Marginals) -> None:
    """Rg, end-to-end and all pair distances; means over the pairs."""
    pairs = {f"distance_{i}-{j}" for i in range(12) for j in range(i + 1, 12)}
    assert set(found.table) == {"rg", "end_to_end", *pairs}
    assert found.figures["mean_jsd"] == pytest.approx(np.mean([found.table[p].jsd for p in pairs]))
    assert found.figures["mean_noise_floor"] == pytest.approx(np.mean([found.table[p].noise_floor for p in pairs]))
    assert found.n == 200
    assert found.figures["mean_jsd"] > found.figures["mean_noise_floor"] > 0.0


def test_bonds_and_angles_are_compared_where_known(examples: Path) -> None:
    """A topology with bonds adds each bond and angle."""
    reading = Reading(topology=examples / "chain.pdb", stop=200)
    model = Model.train(examples / "chain2d.dcd", TrainConfig(epochs=3, hidden=(16,)), reading=reading, device="cpu")
    names = set(model.marginals().table)
    assert sum(n.startswith("bond_") for n in names) == 11
    assert sum(n.startswith("angle_") for n in names) == 10


def test_the_seed_decides(tiny_model: Model, found: Marginals) -> None:
    """Equal seeds give equal figures, others others."""
    assert tiny_model.marginals(seed=3).figures == found.figures
    assert tiny_model.marginals(seed=4).figures["mean_jsd"] != found.figures["mean_jsd"]


@pytest.mark.filterwarnings("ignore:no topology")
def test_given_frames_are_compared_instead(tiny_model: Model, chain: Float64) -> None:
    """With a source it is the simulation; its halves are as large as its frames allow."""
    assert tiny_model.marginals(chain[:100].copy()).n == 50
    with pytest.raises(ReadError, match="at least 10"):
        tiny_model.marginals(chain[:6].copy())


def test_the_simulation_against_itself_is_at_the_floor(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the model's draws are replaced by other frames of the simulation, the mean divergence is the floor's."""
    aligned = tiny_model.record.sample
    monkeypatch.setattr(module, "draw_positions", lambda *a, **k: aligned[halves(400)[1]].astype(float))
    figures = module.marginals(tiny_model.pipeline, tiny_model.record).figures
    assert figures["mean_jsd"] == pytest.approx(figures["mean_noise_floor"])


def test_the_file_has_histograms_and_figures(found: Marginals, tmp_path: Path) -> None:
    """`/marginals/<name>` holds edges and both histograms; the figures are its attributes and fit them."""
    path = tmp_path / "marginals.h5"
    found.save(path)
    with h5py.File(path) as file:
        assert set(file["marginals"]) == set(found.table)
        for name, group in file["marginals"].items():
            assert {"jsd", "w1", "ks", "noise_floor", "unit"} <= set(group.attrs)
            twin = jensenshannon(group["simulation"][()], group["model"][()], base=2) ** 2
            assert group.attrs["jsd"] == pytest.approx(twin)
            assert group["edges"].attrs["unit"] == group.attrs["unit"] == found.table[name].unit
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists"):
        found.save(path)
    assert path.read_bytes() == before


# --- what stands beside the model


def test_floors_and_baselines_are_told(found: Marginals, tmp_path: Path) -> None:
    """Divergences of every other pair of sets in the table, their means in the figures, both in the file."""
    names = set(COMPARED)
    assert names == {"random_floor", "held_out_floor", "jsd_train", "jsd_held_out", "jsd_pca", "jsd_resampled"}
    for m in found.table.values():
        assert set(m.others) == names and all(0.0 <= v <= 1.0 for v in m.others.values())
    for name in names:
        pairs = [m.others[name] for k, m in found.table.items() if k.startswith("distance_")]
        assert found.figures[f"mean_{name}"] == pytest.approx(np.mean(pairs))
    assert (figures := found.figures)["held_out"] == 48 and figures["sampler"] == "prior"
    assert figures["nearest"] > figures["nearest_held_out"] > 0.0  # of a model that is no good
    assert 0.0 < figures["coverage"] <= 1.0 and 0.0 < figures["coverage_train"] <= 1.0
    assert json.loads(json.dumps(figures.to_json())) == figures
    found.save(tmp_path / "marginals.h5")
    with h5py.File(tmp_path / "marginals.h5") as file:
        for name, group in file["marginals"].items():
            assert {k: group.attrs[k] for k in names} == found.table[name].others
        assert {k: file["trajvae"].attrs[k] for k in figures} == figures


def test_each_is_of_its_own_sets(tiny_model: Model, found: Marginals, chain: Float64) -> None:
    """Held-out against training frames by numpy, in the model's bins; learning by heart is at the floor."""
    held, train = tiny_model.record.held_out, tiny_model.record.parts.training
    few = chain[train][np.linspace(0, train.sum() - 1, 48).astype(int)]
    a, b = (np.linalg.norm(x[:, 2].astype(float) - x[:, 7], axis=1) for x in (chain[held], few))
    edges = found.table["distance_2-7"].edges
    twin = jensenshannon(*(np.histogram(np.clip(v, edges[0], edges[-1]), edges)[0] for v in (a, b)), base=2) ** 2
    assert found.table["distance_2-7"].others["held_out_floor"] == pytest.approx(twin, abs=1e-3)
    resampled, floor, own = (found.figures[f"mean_{k}"] for k in ("jsd_resampled", "random_floor", "jsd"))
    assert 0.0 < floor < own and resampled < 2.0 * floor


def test_equal_sets_are_at_no_distance(tiny_model: Model) -> None:
    """Where each held-out frame has its twin among the training frames, all that tells them apart is nothing."""
    twice = np.repeat(tiny_model.record.sample[:100], 2, axis=0)
    part = np.where(np.arange(200) % 2 == 1, HELD_OUT, TRAINING).astype(np.int8)
    record = dataclasses.replace(tiny_model.record, sample=twice, sample_index=np.arange(200), part=part)
    made = module.marginals(tiny_model.pipeline, record)
    assert made.figures["mean_held_out_floor"] == 0.0 and made.figures["nearest_held_out"] < 1e-4
    for others in (m.others for m in made.table.values()):
        assert others["held_out_floor"] == 0.0 and others["jsd_train"] == others["jsd_held_out"] > 0.0
