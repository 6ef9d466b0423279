"""What latent points say of frames: mutual information of posteriors that are known, and of models that say nothing."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm

from trajvae import Model, TrainConfig
from trajvae.alignment.align import Alignment
from trajvae.errors import TrajvaeWarning
from trajvae.features import PrincipalBaseline
from trajvae.geometry.entropy import normal_entropy
from trajvae.latents import Params
from trajvae.models.evidence import moment_bound, mutual_information, prior_gap
from trajvae.models.pipeline import Pipeline
from trajvae.models.pipeline_parts import ModelSizes, build_vae
from trajvae.topology import Topology
from trajvae.typing import Floats

FRAMES = 800


class Known(torch.nn.Module):
    """An encoder whose posterior parameters are written down frame by frame, whatever the frames."""

    def __init__(self, **params: Floats) -> None:
        super().__init__()
        self.params = {k: torch.from_numpy(np.asarray(v)).float() for k, v in params.items()}

    def forward(self, inputs: torch.Tensor) -> Params:
        """One row a frame."""
        assert len(inputs) == len(next(iter(self.params.values())))
        return self.params


def _pipeline(latent_dim: int, backend: str = "euclidean", **params: Floats) -> tuple[Pipeline, Floats]:
    """A model whose posteriors are given, and as many frames."""
    x = np.random.default_rng(0).normal(size=(len(next(iter(params.values()))), 5, 2))
    config = TrainConfig(backend=backend, latent_dim=latent_dim, hidden=(8,), align="none")
    alignment, sizes = Alignment("none", x.mean(axis=0), np.ones(5)), ModelSizes(10, "isotropic", 1e-3, len(x))
    vae = build_vae(config, alignment, sizes)
    vae.features.set_components(vae.features.targets(torch.from_numpy(x)), 10, 0.1)
    vae.encoder = Known(**params)
    baseline = PrincipalBaseline.empty(alignment, vae.features, 0)
    return Pipeline(config, sizes, Topology.anonymous(5), alignment, vae, baseline, torch.device("cpu")), x


def _normal(loc: Floats, scale: Floats | float) -> tuple[Pipeline, Floats]:
    """Normal posteriors at loc (T, dim)."""
    return _pipeline(loc.shape[1], loc=loc, log_scale=np.log(np.broadcast_to(scale, loc.shape)))


def _exact(loc: Floats, scale: Floats) -> tuple[float, float]:
    """Mutual information of z and which of the normals (T,) it is of, by quadrature in one dimension; its error.

    The second number is the standard error of one draw a component.
    """
    grid = np.linspace((loc - 9 * scale).min(), (loc + 9 * scale).max(), 6_001)
    log_mixture = logsumexp(norm.logpdf(grid, loc[:, None], scale[:, None]), axis=0) - math.log(len(loc))
    step = grid[1] - grid[0]
    nats = -(np.exp(log_mixture) * log_mixture).sum() * step - np.mean(0.5 * np.log(2 * np.pi * np.e * scale**2))
    return float(nats), 1.0 / math.sqrt(len(loc))


@pytest.mark.parametrize("width", [2.0, 0.5, 0.1])
def test_it_is_that_of_known_posteriors(width: float) -> None:
    """Entropy of the mixture less the posteriors' own, by quadrature, within four standard errors.

    Narrower ones hardly overlap: what these very frames say is then less than what frames of their law say, which is
    what is told; see `test_closed_forms_of_normals`.
    """
    loc = np.random.default_rng(1).normal(size=FRAMES)
    exact, error = _exact(loc, np.full(FRAMES, width))
    assert mutual_information(*_normal(loc[:, None], width)) == pytest.approx(exact, abs=4.0 * error)
    draws = [mutual_information(*_normal(loc[:, None], width), seed=seed) for seed in range(8)]
    assert np.mean(draws) == pytest.approx(exact, abs=4.0 * error / math.sqrt(8))


def test_widths_may_differ_from_frame_to_frame_and_by_dimension() -> None:
    """A second dimension that is the same for all adds nothing, one that is independent adds its own."""
    random = np.random.default_rng(2)
    loc, width = random.normal(size=FRAMES), np.exp(random.uniform(-3.0, 0.0, FRAMES))
    exact, error = _exact(loc, width)
    silent = [np.stack([a, np.full(FRAMES, b)], axis=1) for a, b in ((loc, 0.3), (width, 0.7))]
    assert mutual_information(*_normal(*silent)) == pytest.approx(exact, abs=4.0 * error)
    corners = np.array([[-50.0, -50.0], [-50.0, 50.0], [50.0, -50.0], [50.0, 50.0]])[np.arange(FRAMES) % 4]
    assert mutual_information(*_normal(corners, 1.0)) == pytest.approx(math.log(4.0), abs=1e-4)


def test_posteriors_that_are_alike_say_which_kind() -> None:
    """The log of how many kinds there are, and nothing where all are alike."""
    kinds = 10.0 * (np.arange(FRAMES, dtype=float)[:, None] % 8.0)
    assert mutual_information(*_normal(kinds, 0.01)) == pytest.approx(math.log(8.0), abs=1e-6)
    assert mutual_information(*_normal(0.0 * kinds, 0.01)) == pytest.approx(0.0, abs=1e-6)
    assert mutual_information(*_normal(np.zeros((1, 2)), 1.0)) == 0.0


def test_few_frames_tell_the_log_of_their_number_at_most() -> None:
    """Below 20 frames there is no density to tell; log T where no two posteriors overlap."""
    for seed in range(5):
        loc = np.random.default_rng(seed).normal(size=(15, 2))
        assert 0.0 <= mutual_information(*_normal(loc, 0.3 ** (seed + 1)), seed=seed) <= math.log(15) + 1e-9
    apart = 10.0 * np.arange(15, dtype=float)[:, None]
    assert mutual_information(*_normal(apart, 0.01)) == pytest.approx(math.log(15), abs=1e-6)


@pytest.mark.parametrize("width", [2.0, 0.5, 0.1, 0.01])
@pytest.mark.parametrize("dim", [1, 2, 4, 8])
def test_closed_forms_of_normals(dim: int, width: float) -> None:
    """1000 frames: information and divergence of normal distributions, within 4 % or three standard errors.

    Centres have a standard deviation from 1 to 0.3, and the first coordinate is moved by one.
    """
    loc = np.random.default_rng(dim).normal(size=(1000, dim)) * np.linspace(1.0, 0.3, dim) + np.eye(dim)[0]
    variance = np.linspace(1.0, 0.3, dim) ** 2 + width**2
    exact = 0.5 * np.log(variance / width**2).sum()
    gap = 0.5 * (variance.sum() + 1.0 - dim - np.log(variance).sum())
    known = _normal(loc, width)
    error = 3.0 * math.sqrt(dim / 2.0 / 1000) + 0.04 * exact
    assert mutual_information(*known) == pytest.approx(exact, abs=error)
    square = 0.5 * (variance**2).sum() + variance[0]  # of |z|^2 / 2, and of the entropy d / 2
    error = 3.0 * math.sqrt((square + dim / 2.0) / 1000) + 0.04 * gap
    assert prior_gap(*known) == pytest.approx(gap, abs=error)


def test_the_seed_decides() -> None:
    """Equal seeds give the same number, whatever torch's own generator."""
    known = _normal(np.random.default_rng(3).normal(size=(100, 2)), 0.4)
    first = mutual_information(*known, seed=1)
    torch.manual_seed(7)
    assert mutual_information(*known, seed=1) == first != mutual_information(*known, seed=2)


def test_the_elbo_s_divergence_is_information_and_gap() -> None:
    """Posteriors that together are the prior: KL is all information; moved together, the gap is what was added."""
    width = 0.3
    loc = math.sqrt(1.0 - width**2) * norm.ppf((np.arange(FRAMES) + 0.5) / FRAMES)
    for shift, gap in ((0.0, 0.0), (2.0, 2.0)):  # nats: shift^2 / 2
        pipeline, x = _normal(loc[:, None] + shift, width)
        kl = float(pipeline.reconstruct(x.astype(np.float32))[1].kl.sum(axis=1).mean())
        assert kl - mutual_information(pipeline, x) == pytest.approx(gap, abs=4.0 / math.sqrt(FRAMES))


# --- curved latent spaces


def _directions(n: int, seed: int = 0) -> Floats:
    z = np.random.default_rng(seed).normal(size=(n, 3))
    return np.asarray(z / np.linalg.norm(z, axis=1, keepdims=True))


def test_on_a_sphere_too() -> None:
    """Narrow posteriors at different points say log T, at four points log 4, and equal ones nothing."""
    tight = np.full((12, 1), 11.0)  # concentrations are e^11 times the dimension: half a degree
    points = _directions(4)[np.arange(12) % 4]
    assert mutual_information(*_pipeline(2, "hyperspherical", loc=_spread(12), log_concentration=tight)) == (
        pytest.approx(math.log(12.0), abs=1e-3)
    )
    assert mutual_information(*_pipeline(2, "hyperspherical", loc=points, log_concentration=tight)) == (
        pytest.approx(math.log(4.0), abs=1e-3)
    )
    same = np.broadcast_to(_directions(1), (12, 3)).copy()
    assert mutual_information(*_pipeline(2, "hyperspherical", loc=same, log_concentration=tight)) == (
        pytest.approx(0.0, abs=1e-6)
    )


def _spread(n: int) -> Floats:
    """Points far from each other on a sphere, along a spiral."""
    height = 1.0 - (2.0 * np.arange(n) + 1.0) / n
    turn = np.arange(n) * math.pi * (3.0 - math.sqrt(5.0))
    rim = np.sqrt(1.0 - height**2)
    return np.stack([rim * np.cos(turn), rim * np.sin(turn), height], axis=1)


def test_narrow_posteriors_on_a_sphere_are_as_in_the_plane() -> None:
    """Close to one point a sphere is flat: the number is that of normals of the posterior's width there."""
    width = 0.02
    concentration = 2.0 / width**2  # of a power spherical distribution, whose tangent variance is 2 / kappa
    offsets = 3.0 * width * np.random.default_rng(4).normal(size=(FRAMES, 2))
    points = np.concatenate([np.ones((FRAMES, 1)), offsets], axis=1)
    heads = np.full((FRAMES, 1), math.log(concentration / 2.0))
    pipeline, x = _pipeline(2, "hyperspherical", loc=points, log_concentration=heads)
    np.testing.assert_allclose(pipeline.encode(x.astype(np.float32))[0].scale, width, rtol=0.05)
    flat = mutual_information(*_normal(offsets, width))
    assert mutual_information(pipeline, x) == pytest.approx(flat, abs=0.15)


@pytest.mark.parametrize("backend", ["hyperspherical", "product", "rhvae", "embedded"])
def test_every_backend_stays_in_bounds(chain: Floats, backend: str) -> None:
    """Between nothing and the log of the number of frames, and the gap is what is left of the divergence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        model = Model.train(chain[:100].copy(), TrainConfig(backend=backend, epochs=2, hidden=(8,)), device="cpu")
    figures = model.figures
    assert figures["mutual_information"] >= 0.0 and math.isfinite(figures["mutual_information"])
    assert figures["prior_gap"] >= 0.0 and math.isfinite(figures["prior_gap"])


# --- from the prior


def _matched(dim: int, width: float, seed: int = 5) -> Floats:
    """Centres of posteriors of one width that together are the standard normal prior."""
    return np.asarray(math.sqrt(1.0 - width**2) * np.random.default_rng(seed).normal(size=(FRAMES, dim)))


@pytest.mark.parametrize("width", [0.9, 0.3, 0.03, 0.003])
@pytest.mark.parametrize("dim", [1, 2, 4])
def test_posteriors_that_together_are_the_prior_have_no_gap(dim: int, width: float) -> None:
    """However narrow each is: frames are a sample, and what they say cannot be counted as a gap."""
    assert prior_gap(*_normal(_matched(dim, width), width)) < 0.25
    assert prior_gap(*_normal(np.zeros((FRAMES, dim)), 1.0)) < 0.25


@pytest.mark.parametrize("width", [0.5, 0.01])
@pytest.mark.parametrize("dim", [1, 2])
def test_the_gap_is_the_divergence_of_normals(dim: int, width: float) -> None:
    """Moved by s: s^2 / 2 nats; narrower by t: -log t - (1 - t^2) / 2 a dimension."""
    moved = _matched(dim, width) + 1.6 * np.eye(dim)[0]
    assert prior_gap(*_normal(moved, width)) == pytest.approx(1.28, abs=0.3)
    narrow = 0.3 * _matched(dim, width)
    expected = dim * (-math.log(0.3) - (1.0 - 0.3**2) / 2.0)
    assert prior_gap(*_normal(narrow, 0.3 * width)) == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize(("frames", "dim"), [(12, 2), (24, 2), (40, 4), (100, 2), (100, 8)])
def test_the_gap_is_at_least_that_of_the_moments(frames: int, dim: int) -> None:
    """Points on the rim of an ellipse have more even distances than normal ones; their moments say enough."""
    angle = 2.0 * math.pi * np.arange(frames) / frames
    rim = 0.1 * np.random.default_rng(8).normal(size=(frames, dim))
    rim[:, :2] += 3.0 * np.stack([np.cos(angle), 0.1 * np.sin(angle)], axis=1)
    known = _normal(rim, 0.05)
    moments = np.cov(rim.T) + 0.05**2 * np.eye(dim)
    divergence = 0.5 * (np.trace(moments) + (rim.mean(axis=0) ** 2).sum() - dim - np.linalg.slogdet(moments)[1])
    found = np.mean([prior_gap(*known, seed=seed) for seed in range(20)])
    assert found > divergence - dim * (dim + 1) / (2.0 * frames) - 0.1  # the covariance of few points is narrow


def test_the_moments_of_few_draws_of_the_prior_say_nothing() -> None:
    """In the mean over many sets; on a sphere, and of points that do not span the space, nothing at all."""
    latent = _normal(np.zeros((2, 3)), 1.0)[0].vae.latent
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(3000, 12, 3, generator=generator, dtype=torch.float64)
    found = torch.tensor([-float(latent.log_prior(z).mean()) - normal_entropy(z) for z in draws])
    assert abs(float(found.mean())) < 3.0 * float(found.std()) / math.sqrt(len(draws))
    assert moment_bound(latent, draws[0, :4]) == 0.0 <= moment_bound(latent, draws[0])
    sphere = _pipeline(2, "hyperspherical", loc=_spread(12), log_concentration=np.full((12, 1), 9.0))[0].vae.latent
    assert moment_bound(sphere, torch.from_numpy(_spread(12))) == 0.0


def test_the_gap_of_posteriors_on_a_sphere() -> None:
    """All over it none, on one half of it log 2, on a cap of a tenth of it log 10."""
    tight = np.full((FRAMES, 1), 9.0)
    points = np.random.default_rng(6).normal(size=(FRAMES, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    azimuth = np.arctan2(points[:, 1], points[:, 0])
    for share in (1.0, 0.5, 0.1):
        height = 1.0 - 2.0 * share * np.random.default_rng(7).uniform(size=FRAMES)  # areas of zones are heights
        rim = np.sqrt(1.0 - height**2)
        cap = np.stack([rim * np.cos(azimuth), rim * np.sin(azimuth), height], axis=1)
        found = prior_gap(*_pipeline(2, "hyperspherical", loc=cap, log_concentration=tight))
        assert found == pytest.approx(-math.log(share), abs=0.25)


def test_the_gap_is_the_seed_s_and_never_below_nothing() -> None:
    """Equal seeds give the same number, whatever torch's own generator; few frames have one too."""
    known = _normal(_matched(2, 0.5)[:60] + 1.0, 0.5)
    first = prior_gap(*known, seed=1)
    torch.manual_seed(7)
    assert prior_gap(*known, seed=1) == first != prior_gap(*known, seed=2)
    for n in (2, 3, 5, 7):
        assert 0.0 <= prior_gap(*_normal(_matched(2, 0.5)[:n], 0.5)) < math.inf
    assert prior_gap(*_normal(np.zeros((30, 2)) + 3.0, 1e-4)) > 3.0


# --- figures of training


@pytest.fixture(scope="module")
def trained(chain: Floats) -> dict[str, Model]:
    """A model that says something, and one whose divergence costs so much that it says nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        return {
            name: Model.train(
                chain.copy(),
                TrainConfig(epochs=30, hidden=(32,), beta=beta, free_bits=0.0, likelihood="isotropic"),
                device="cpu",
            )
            for name, beta in (("good", 1.0), ("collapsed", 1000.0))
        }


def test_a_collapsed_model_says_nothing(trained: dict[str, Model]) -> None:
    """No information, no gap: its posteriors are the prior."""
    figures = trained["collapsed"].figures
    assert figures["collapsed"] and figures["mutual_information"] < 0.02 and figures["prior_gap"] < 0.05
    assert trained["good"].figures["mutual_information"] > 0.5


def test_figures_add_up(trained: dict[str, Model], chain: Floats) -> None:
    """Information is that of the frames, at most the log of their number; the gap is that of the frames too."""
    for model in trained.values():
        figures = model.figures
        told = mutual_information(model.pipeline, chain)
        assert figures["mutual_information"] == pytest.approx(told, abs=1e-5)
        assert figures["prior_gap"] == pytest.approx(prior_gap(model.pipeline, chain), abs=1e-5)
        assert told >= 0.0


def test_figures_are_json_and_stay_in_the_file(trained: dict[str, Model], tmp_path: Path) -> None:
    """Plain floats, the same after save and load."""
    model = trained["good"]
    model.save(tmp_path / "model.h5")
    again = Model.load(tmp_path / "model.h5").figures
    for name in ("mutual_information", "prior_gap"):
        assert type(model.figures[name]) is float
        assert json.loads(json.dumps(model.figures.to_json()))[name] == model.figures[name] == again[name]
