"""The embedded latent space: density correction, gradients, learned maps in models, a user's own manifold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trajvae import Model, TrainConfig
from trajvae.errors import OptionError, TrajvaeError
from trajvae.geometry.cube_maps import wasserstein
from trajvae.geometry.cube_maps.cube_map import LearnedMap, jacobian, log_stretch, smoothest
from trajvae.geometry.cube_maps.map_quality import Quality, measure
from trajvae.geometry.manifolds import Spheres
from trajvae.latents import Context, Embedded, embedded, latent_options, make_latent

pytestmark = pytest.mark.filterwarnings("ignore:no topology")


class Uneven(LearnedMap):
    """A map to the circle whose density is known: denser near half a turn, one-to-one."""

    def points(self, u: Tensor) -> Tensor:
        """See `Embedding`."""
        angle = 2.0 * torch.pi * u + 0.6 * torch.sin(2.0 * torch.pi * u)
        return torch.cat([angle.cos(), angle.sin()], dim=-1)


def _made(**settings: Any) -> Embedded:
    latent = make_latent("embedded", settings.pop("dim", 1), settings)
    assert isinstance(latent, Embedded)
    return latent


def _params(latent: Embedded, n: int = 1, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        k: 0.6 * torch.randn(n, size, generator=generator, dtype=torch.float64)
        for k, size in latent.param_sizes.items()
    }


def _evidence(latent: Embedded, counted: bool, draws: int = 200_000) -> tuple[float, float]:
    """Importance-weighted log evidence of a made-up likelihood, and its standard error."""
    params = {k: v.expand(draws, -1) for k, v in _params(latent).items()}
    params["log_scale"] = torch.full_like(params["log_scale"], 0.3)
    with torch.no_grad():
        z, ratio = latent.rsample(params, Context(torch.Generator().manual_seed(1)))
        if not counted:
            u = latent.hidden.draw(latent._inner(params), torch.Generator().manual_seed(1)).u
            ratio = ratio - latent.map.log_density_ratio(u)[:, None]
    weights = _likelihood(z) - ratio[:, 0]
    bound = float(torch.logsumexp(weights, dim=0)) - math.log(draws)
    return bound, float(torch.exp(weights - bound).std()) / draws**0.5


def _likelihood(z: Tensor) -> Tensor:
    return 2.0 * z[:, 0] + torch.sin(3.0 * z[:, 1])


def test_with_a_group_the_evidence_is_that_of_the_exact_circle() -> None:
    """An uneven map under a group action: only with the density correction is the bound one; T5 cannot see it."""
    angle = torch.linspace(0.0, 2.0 * torch.pi, 20_001, dtype=torch.float64)[:-1]
    exact = float(torch.logsumexp(_likelihood(torch.stack([angle.cos(), angle.sin()], 1)), 0)) - math.log(20_000)
    latent = _made(map="learned")
    latent.map = Uneven(Spheres((1,)))
    found, error = _evidence(latent, counted=True)
    assert abs(found - exact) <= 4.0 * error
    wrong, _ = _evidence(latent, counted=False)
    assert abs(wrong - exact) > 0.05


def test_without_a_group_the_prior_is_the_map_s_own() -> None:
    """The bound is the evidence under draws of the map, which `prior_sample` gives."""
    latent = _made(map="learned", group=False)
    latent.map = Uneven(Spheres((1,)))
    z = latent.prior_sample(400_000, torch.Generator().manual_seed(3)).double()
    plain = torch.exp(_likelihood(z))
    found, error = _evidence(latent, counted=True)
    expected = float(plain.mean().log())
    assert abs(found - expected) <= 4.0 * math.hypot(error, float(plain.std() / plain.mean()) / 400_000**0.5)


@pytest.mark.parametrize(
    "settings",
    [
        {"map": "learned"},
        {"map": "learned", "group": False},
        {"dim": 2, "manifold": "sphere:2"},
        {"dim": 3, "manifold": "so3"},
        {"dim": 2, "manifold": "torus:2", "map": "learned"},
    ],
    ids=str,
)
def test_gradients_through_map_hidden_posterior_and_group(settings: dict[str, Any]) -> None:
    """T1: of a draw's ELBO with one seed to every head, against finite differences: 1e-4 of the largest entry."""
    latent = _made(**settings)
    torch.manual_seed(0)
    for name, buffer in latent.map.named_buffers():
        buffer.copy_(torch.randn_like(buffer) * (0.3 if "weight" in name else 0.5))
    latent = latent.double()
    params = _params(latent, 4)

    def elbo(heads: dict[str, Tensor]) -> Tensor:
        z, kl, _ = latent.draw(heads, Context(torch.Generator().manual_seed(5)))
        return (torch.sin(z @ torch.linspace(-1.0, 2.0, z.shape[1]).to(z)) - kl.sum(dim=-1)).sum()

    heads = {k: v.requires_grad_() for k, v in params.items()}
    gradients = dict(zip(heads, torch.autograd.grad(elbo(heads), list(heads.values())), strict=True))
    for name, at in heads.items():
        numeric = torch.zeros_like(at)
        for i in range(at.numel()):
            shift = torch.zeros(at.numel(), dtype=at.dtype)
            shift[i] = 1e-5
            up, down = (elbo({**heads, name: (at + s * shift.view_as(at)).detach()}).detach() for s in (1, -1))
            numeric.view(-1)[i] = (up - down) / 2e-5
        assert float(numeric.abs().max()) > 1e-3
        assert float((gradients[name] - numeric).abs().max()) <= 1e-4 * float(numeric.abs().max()), name


def test_the_group_reaches_every_place_alike() -> None:
    """A rotation of the head rotates draws, mean, and nothing of the divergence."""
    latent = _made()
    params = _params(latent, 20)
    turned = {**params, "group": torch.stack([-params["group"][:, 1], params["group"][:, 0]], dim=1)}
    a, b = (latent.rsample(p, Context(torch.Generator().manual_seed(2))) for p in (params, turned))
    torch.testing.assert_close(a.log_ratio, b.log_ratio)
    torch.testing.assert_close(b.z, torch.stack([-a.z[:, 1], a.z[:, 0]], dim=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("settings", [{"dim": 11, "manifold": "sphere:11"}, {"dim": 2, "manifold": "torus:2"}])
def test_gradients_are_finite_in_float32_at_the_cube_s_faces(settings: dict[str, Any]) -> None:
    """T7: hidden numbers next to 0 and 1 on spheres of many dimensions."""
    latent = _made(**settings)
    params = {k: (3.0 * v.float()).requires_grad_() for k, v in _params(latent, 256).items()}
    z, kl, _ = latent.draw(params, Context(torch.Generator().manual_seed(1)))
    gradients = torch.autograd.grad((z.sum() + kl.sum()), list(params.values()))
    assert all(bool(g.isfinite().all()) for g in gradients)


def test_projecting_on_rotations_has_a_gradient() -> None:
    """Of a function along a curve through rotations, by finite differences; what optimize and path descend on."""
    latent = _made(dim=3, manifold="so3")
    z = latent.prior_sample(4, torch.Generator().manual_seed(0)).double()
    z = latent.manifold.project(z).requires_grad_()
    weights = torch.linspace(-1.0, 2.0, 9, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((latent.manifold.project(z) @ weights).sum(), z)
    for k in range(9):
        step = torch.zeros(9, dtype=torch.float64)
        step[k] = 1e-6
        with torch.no_grad():
            numeric = ((latent.manifold.project(z + step) - latent.manifold.project(z - step)) @ weights) / 2e-6
        torch.testing.assert_close(gradient[:, k], numeric, rtol=1e-5, atol=1e-6)
    assert bool(torch.autograd.grad(latent.manifold.retract(z, -gradient).sum(), z)[0].isfinite().all())


def test_dimensions_and_names() -> None:
    """The default is a torus of the latent dimension; a named manifold says its own."""
    assert [TrainConfig(backend="embedded", settings={"manifold": m}).latent_dim for m in ("circle", "so3")] == [1, 3]
    assert [_made(dim=d).name for d in (1, 2)] == ["circle", "torus:2"]
    with pytest.raises(OptionError, match="exclude"):
        TrainConfig(backend="embedded", latent_dim=2, settings={"manifold": "circle"})
    for wrong in ("klein", "torus", "torus:0", "circle:2", "sphere:x", ""):
        with pytest.raises(OptionError, match="manifold"):
            TrainConfig(backend="embedded", settings={"manifold": wrong or " "})
    with pytest.raises(OptionError, match="map=learned"):
        _made(dim=4, manifold="sphere:4", map="exact")
    assert "ambient" not in {o["name"] for o in latent_options("embedded")}


def _ring(n: int = 300) -> np.ndarray[Any, Any]:
    """Frames on a circle, mapped linearly to four atoms, with noise."""
    random = np.random.default_rng(0)
    angle = random.uniform(0.0, 2.0 * np.pi, n)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ random.normal(size=(2, 12))
    return (x + 0.05 * random.normal(size=x.shape)).reshape(n, 4, 3)


@pytest.fixture(scope="module")
def circle() -> tuple[LearnedMap, Quality]:
    """A map to the circle, learned as a user's is."""
    return wasserstein.learn_well(Spheres((1,)), 0)


class Torn(Uneven):
    """Two halves of a circle, one forwards and one backwards; between them half of it is crossed in a thousandth."""

    def points(self, u: Tensor) -> Tensor:
        """See `Embedding`."""
        share = torch.sigmoid((u - 0.5) / 1e-4)
        turn = (1.0 - share) * u + share * (0.5 - u)
        return torch.cat([(2.0 * torch.pi * turn).cos(), (2.0 * torch.pi * turn).sin()], dim=-1)


def test_the_hidden_posterior_keeps_away_from_a_tear() -> None:
    """No test of the law sees it; the place about which the map is most even lies elsewhere."""
    torn = Torn(Spheres((1,)))
    quality = measure(Spheres((1,)), torn, torch.Generator().manual_seed(0))
    assert abs(quality.prior_kl) < 0.05 and quality.coverage >= 0.99
    place = float(smoothest(torn, 1, torch.Generator().manual_seed(0)))
    assert abs(place - 0.5) > 0.2


def test_a_learned_circle_passes(circle: tuple[LearnedMap, Quality]) -> None:
    """T9: all four tests, and the exact circle's speed all round."""
    quality = circle[1]
    assert quality.failures() == []
    assert 2.0 < quality.singular_low and quality.singular_high < 12.0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, circle: tuple[LearnedMap, Quality]) -> None:
    """The circle's map is at hand."""
    monkeypatch.setattr(embedded, "learn_well", lambda manifold, seed: circle)


def test_a_model_with_a_learned_map_is_kept_whole(tmp_path: Path, quick: None) -> None:
    """T6: its map, its figures and its latents come back bit for bit; nothing is learned again."""
    x = _ring()
    config = TrainConfig(backend="embedded", latent_dim=1, epochs=5, settings={"map": "learned"})
    model = Model.train(x, config)
    assert model.figures["diagnostics"]["coverage"] >= 0.99
    model.save(tmp_path / "m.h5")
    again = Model.load(tmp_path / "m.h5")
    assert np.array_equal(again.encode(x).latent, model.encode(x).latent)
    assert again.figures["diagnostics"] == model.figures["diagnostics"]
    assert np.array_equal(again.generate(5, seed=1).positions, model.generate(5, seed=1).positions)


def test_a_poor_map_is_an_error_that_says_which_figure_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map that has not learned is not trained upon."""
    poor = wasserstein.learn(Spheres((1,)), 0, wasserstein.Recipe(steps=2, batch=16))
    quality = measure(Spheres((1,)), poor, torch.Generator().manual_seed(0))
    monkeypatch.setattr(embedded, "learn_well", lambda manifold, seed: (poor, quality))
    with pytest.raises(TrajvaeError, match=r"circle.*coverage 0\.\d+ is below 0.99"):
        Model.train(_ring(), TrainConfig(backend="embedded", latent_dim=1, epochs=5, settings={"map": "learned"}))


MODULE = """
import torch

def ellipse(n, generator):
    t = torch.linspace(0, 2 * torch.pi, 20001)
    curve = torch.stack([2 * t.cos(), t.sin()], dim=1)
    length = torch.cat([torch.zeros(1), (curve[1:] - curve[:-1]).norm(dim=1).cumsum(0)])
    at = torch.rand(n, generator=generator) * length[-1]
    k = torch.searchsorted(length, at).clamp(1, 20000)
    share = ((at - length[k - 1]) / (length[k] - length[k - 1]))[:, None]
    return curve[k - 1] + share * (curve[k] - curve[k - 1])

def flat(n, generator):
    return torch.zeros(n)

def broken(n, generator):
    raise RuntimeError("no such curve")
"""


def test_a_user_s_manifold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, circle: tuple[LearnedMap, Quality]) -> None:
    """Samples of a function give a latent space; the file keeps it without the module, which loading never imports.

    Its map is barely learned, which the charts forgive; `benchmarks/embedding.py` learns it whole.
    """
    short = wasserstein.Recipe(steps=60, batch=32)
    monkeypatch.setattr(embedded, "learn_well", lambda m, seed: (wasserstein.learn(m, seed, short), circle[1]))
    (tmp_path / "curves.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    x = _ring()
    config = TrainConfig(backend="embedded", latent_dim=1, epochs=5, settings={"manifold": "curves:ellipse"})
    model = Model.train(x, config)
    assert model.config.settings["ambient"] == 2
    model.save("m.h5")
    (tmp_path / "curves.py").write_text("raise SystemExit('imported')")
    monkeypatch.delitem(__import__("sys").modules, "curves")
    again = Model.load("m.h5")
    assert np.array_equal(again.encode(x).latent, model.encode(x).latent)
    made = again.generate(50, seed=0).latent
    assert float(np.abs((made[:, 0] / 2.0) ** 2 + made[:, 1] ** 2 - 1.0).max()) < 0.01


@pytest.mark.parametrize(
    ("name", "words"),
    [("curves:flat", "points"), ("curves:broken", "no such curve"), ("curves:none", "none"), ("nowhere:x", "nowhere")],
)
def test_wrong_functions_are_one_line_errors(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that are not there, failures and wrong shapes."""
    (tmp_path / "curves.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OptionError, match=words):
        Model.train(_ring(50), TrainConfig(backend="embedded", latent_dim=1, settings={"manifold": name}))
    with pytest.raises(OptionError, match="coordinates"):
        _made(manifold=name)


def test_the_map_s_jacobian_is_that_of_finite_differences() -> None:
    """And its volume element that of the Gram matrix."""
    torch.manual_seed(0)
    mapped = LearnedMap(Spheres((2,))).double()
    for _, buffer in mapped.named_buffers():
        buffer.copy_(0.4 * torch.randn_like(buffer))
    u = torch.rand(6, 2, dtype=torch.float64) * 0.8 + 0.1
    columns = jacobian(mapped, u)
    for k in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[k] = 1e-6
        numeric = (mapped.points(u + step) - mapped.points(u - step)) / 2e-6
        torch.testing.assert_close(columns[..., k], numeric, rtol=1e-6, atol=1e-7)
    area = torch.linalg.vector_norm(torch.linalg.cross(columns[..., 0], columns[..., 1]), dim=-1)
    torch.testing.assert_close(log_stretch(columns), area.log())
    assert isinstance(mapped, nn.Module) and not list(mapped.parameters())
