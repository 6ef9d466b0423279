"""The Riemannian Hamiltonian latent inside a VAE: gradients, limits, cut rows, warm-up, what is kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trajvae import TrainConfig
from trajvae.alignment.align import Alignment
from trajvae.geometry.medoids import medoids
from trajvae.latents import Context, RiemannianHamiltonian, make_latent
from trajvae.latents.densities import MOMENTA
from trajvae.models.pipeline_parts import ModelSizes, build_vae
from trajvae.models.vae import VAE


def _made(backend: str = "rhvae", frames: int = 60, **settings: Any) -> tuple[VAE, Tensor, Tensor]:
    """A small VAE in float64 with heads that matter, its inputs and targets; the flow is on."""
    x = np.random.default_rng(0).normal(size=(frames, 3, 2)) * [2.0, 0.5]
    config = TrainConfig(backend=backend, hidden=(8,), settings=settings)
    vae = build_vae(
        config, Alignment("none", x.mean(axis=0), np.ones(3)), ModelSizes(6, "isotropic", 1e-3, frames)
    ).double()
    targets = vae.features.targets(torch.from_numpy(x))
    targets = vae.features.set_components(targets, 6, 0.1)
    inputs = vae.features.inputs(targets)
    with torch.no_grad():
        for network in (vae.encoder, vae.decoder):
            network.head.weight.mul_(8.0)
        vae.encoder.head.bias[2:4] = -1.0
    vae.latent.prepare(inputs, 0)
    vae.latent.update(Context(encode=vae.encode, progress=1.0))
    return vae, inputs, targets


def _elbo(vae: VAE, inputs: Tensor, targets: Tensor, seed: int = 3) -> Tensor:
    return vae.terms(inputs, targets, torch.Generator().manual_seed(seed)).elbo().mean()


@pytest.mark.parametrize("settings", [{}, {"step_per_dimension": True, "tempering": "none", "steps": 2}])
def test_gradients_to_every_network_equal_finite_differences(settings: dict[str, Any]) -> None:
    """T1: encoder with the metric's head, decoder and step: 1e-4 of the largest entry of each tensor."""
    vae, inputs, targets = _made(**settings)
    parameters = dict(vae.named_parameters())
    gradients = torch.autograd.grad(_elbo(vae, inputs[:5], targets[:5]), list(parameters.values()))
    assert vae.latent.diagnostics()["cut"] == 0.0
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        numeric = torch.zeros_like(gradient).view(-1)
        for i in range(len(numeric)):
            start, sides = float(parameter.data.view(-1)[i]), []
            for sign in (1, -1):
                parameter.data.view(-1)[i] = start + sign * 1e-5
                sides.append(float(_elbo(vae, inputs[:5], targets[:5]).detach()))
            parameter.data.view(-1)[i] = start
            numeric[i] = (sides[0] - sides[1]) / 2e-5
        assert float(numeric.abs().max()) > 1e-6, name
        assert float((gradient.view(-1) - numeric).abs().max()) <= 1e-4 * float(numeric.abs().max()), name


def test_without_steps_it_is_the_euclidean_vae() -> None:
    """T5: the same weights and random numbers give the same ELBO, in training and out of it; also in the warm-up."""
    euclidean, inputs, targets = _made("euclidean")
    expected = _elbo(euclidean, inputs, targets)
    for settings in ({"steps": 0}, {"warmup": 0.9}):
        vae, _, _ = _made(**settings)
        vae.latent.active.fill_(False)
        own = vae.state_dict()
        for name, value in euclidean.state_dict().items():
            (own[name][: len(value)] if value.ndim else own[name]).copy_(value)
        torch.testing.assert_close(_elbo(vae, inputs, targets), expected, rtol=0, atol=1e-6)


def test_weights_of_terms_change_what_is_minimised_and_not_the_bound() -> None:
    """The objective has the user's weights; by finite differences of each weight its terms are the bound's own."""
    plain, inputs, targets = _made()
    expected = plain.terms(inputs, targets, torch.Generator().manual_seed(3))
    assert expected.penalty is None
    seen, sums = [], torch.zeros(len(inputs), 2, dtype=torch.float64)
    for log_p, log_q in (("2,1", "1,1"), ("1,2", "1,1"), ("1,1", "2,1"), ("1,1", "1,2")):
        vae, _, _ = _made(log_p=log_p, log_q=log_q)
        terms = vae.terms(inputs, targets, torch.Generator().manual_seed(3))
        torch.testing.assert_close(terms.elbo(), expected.elbo(), rtol=0, atol=1e-12)
        assert terms.penalty is not None
        sums += terms.penalty - expected.kl
        seen.append(float((terms.objective() - terms.elbo()).detach().abs().mean()))
    torch.testing.assert_close(sums, expected.kl, rtol=0, atol=1e-9)
    assert min(seen) > 0.1
    silent, _, _ = _made(log_p="0,0", log_q="0,0")
    terms = silent.terms(inputs, targets, torch.Generator().manual_seed(3))
    torch.testing.assert_close(terms.objective(), terms.log_likelihood, rtol=0, atol=1e-12)


def test_a_momentum_density_of_ones_own_enters_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any normalised density of the last momentum is allowed; the change of the ratio is that of its logarithm."""
    plain, inputs, targets = _made()
    monkeypatch.setitem(MOMENTA, "wide", lambda place, rho: MOMENTA["riemannian"](place, 0.5 * rho) - math.log(4.0))
    own, _, _ = _made(momentum="wide")
    a, b = (v.terms(inputs, targets, torch.Generator().manual_seed(3)).kl for v in (plain, own))
    torch.testing.assert_close(a[:, 0], b[:, 0], rtol=0, atol=1e-12)
    assert float((a[:, 1] - b[:, 1]).detach().abs().min()) > 1e-3


@torch.no_grad()
def test_the_bound_is_below_the_evidence() -> None:
    """T5: ELBO <= importance-weighted bound + 3 standard errors, and the flow gains where the posterior is wrong."""
    vae, inputs, targets = _made()
    flat, _, _ = _made(steps=0)
    flat.load_state_dict(vae.state_dict())
    weights = {name: v.log_weights(inputs, targets, 2000, torch.Generator().manual_seed(1)) for name, v in
               (("flow", vae), ("flat", flat))}  # fmt: skip
    evidence = {name: torch.logsumexp(w, dim=1) - math.log(2000) for name, w in weights.items()}
    error = {name: torch.exp(w - evidence[name][:, None]).std(dim=1) / 2000**0.5 for name, w in weights.items()}
    assert bool((weights["flow"].mean(dim=1) <= evidence["flow"] + 3.0 * error["flow"]).all())
    assert float(weights["flow"].mean()) > float(weights["flat"].mean()) + 0.01
    both = (error["flow"].square() + error["flat"].square()).sqrt()
    apart = (evidence["flow"] - evidence["flat"]).abs()
    assert float((apart <= 4.0 * both).double().mean()) > 0.9


def test_the_elbo_of_draw_and_the_mean_log_weight_agree() -> None:
    """What training sees, with known means in the place of noise, has the mean of what the bound is made of."""
    vae, inputs, targets = _made()
    with torch.no_grad():
        weights = vae.log_weights(inputs[:1], targets[:1], 20_000, torch.Generator().manual_seed(1))[0]
        many = [x[:1].expand(20_000, -1) for x in (inputs, targets)]
        elbo = vae.terms(many[0], many[1], torch.Generator().manual_seed(2)).elbo()
    error = float((weights.var() + elbo.var()).sqrt()) / 20_000**0.5
    assert abs(float(weights.mean() - elbo.mean())) <= 4.0 * error


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_bookkeeping_of_gradients_changes_nothing(mode: Any) -> None:
    """T6: the flow needs gradients of the decoder where none are kept."""
    vae, inputs, targets = _made()
    expected = _elbo(vae, inputs, targets).detach()
    with mode():
        assert torch.equal(_elbo(vae, inputs, targets), expected)


def test_cut_rows_stay_where_they_were_encoded_and_pay() -> None:
    """Steps far too long: cut rows keep z0, lose log 10^6, are counted, and no gradient is spoiled."""
    vae, inputs, targets = _made()
    latent = vae.latent
    assert isinstance(latent, RiemannianHamiltonian)
    latent.log_step.data.fill_(math.log(3.0))
    params = vae.encode(inputs)

    def log_likelihood(z: Tensor) -> Tensor:
        return -0.5 * (targets[:, :2] - 3.0 * z.sin()).square().sum(dim=-1)

    context = Context(torch.Generator().manual_seed(1), log_likelihood, vae.encode)
    moved = latent.rsample(params, context)
    plain = latent.rsample(params, Context(torch.Generator().manual_seed(1)))
    cut = (moved.z == plain.z).all(dim=-1)
    assert 0 < int(cut.sum()) < len(cut)
    assert latent.diagnostics()["cut"] == pytest.approx(float(cut.double().mean()))
    lost = (moved.log_ratio - plain.log_ratio).sum(dim=-1)[cut]
    torch.testing.assert_close(lost, torch.full_like(lost, math.log(1e6)))
    vae.zero_grad()
    (moved.log_ratio.mean() + moved.z.square().mean()).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in vae.parameters())


def test_the_flow_begins_after_the_warm_up_with_a_metric_of_the_posterior() -> None:
    """G^-1 at the data is about the median posterior variance, lambda a tenth of it, T three times the spacing."""
    vae, inputs, _ = _made()
    latent = make_latent("rhvae", 2, {})
    assert isinstance(latent, RiemannianHamiltonian)
    latent.prepare(inputs, 0)
    for progress, on in ((0.39, False), (0.4, True)):
        latent.update(Context(encode=vae.encode, progress=progress))
        assert bool(latent.active) == on
    latent.finish(Context(encode=vae.encode))
    variance = (2.0 * vae.encode(inputs)["log_scale"].detach()).exp().median(dim=0).values
    at_data = latent.metric().inverse(latent.centroids[: len(inputs)]).diagonal(dim1=1, dim2=2).median(dim=0).values
    torch.testing.assert_close(at_data, variance + latent.floor)
    assert float(latent.floor) == pytest.approx(0.1 * float(variance.min()), rel=1e-6)


def test_what_is_kept_is_the_metric_of_the_last_weights() -> None:
    """After training the metric is that of the centroids as encoded last, and needs no frames."""
    vae, inputs, targets = _made(frames=150)
    latent = vae.latent
    assert isinstance(latent, RiemannianHamiltonian)
    context = Context(encode=vae.encode)
    live, z = latent.metric(context), torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected, elbo = live.inverse(z).detach(), _elbo(vae, inputs, targets).detach()
    latent.finish(context)
    torch.testing.assert_close(latent.metric().inverse(z), expected)
    torch.testing.assert_close(_elbo(vae, inputs, targets), elbo)
    other, _, _ = _made(frames=150, warmup=0.9)
    other.load_state_dict(vae.state_dict())
    other.latent.finish(Context())
    fresh = make_latent("rhvae", 2, {}).double()
    fresh.load_state_dict(latent.state_dict())
    assert isinstance(fresh, RiemannianHamiltonian)
    assert torch.equal(fresh.metric().inverse(z), latent.metric().inverse(z))


@pytest.mark.parametrize(("tempering", "heat"), [("quadratic", 0.3**-0.5), ("none", 1.0)])
def test_cooling_undoes_the_heat(tempering: str, heat: float) -> None:
    """The product of all factors is the square root of beta0, so that no Jacobian is left."""
    latent = make_latent("rhvae", 2, {"tempering": tempering, "steps": 5})
    assert isinstance(latent, RiemannianHamiltonian)
    assert latent.options.heat() == pytest.approx(heat)
    assert math.prod(latent.options.cooling()) * heat == pytest.approx(1.0)


def test_medoids_are_points_and_cover() -> None:
    """Each once, at most as many as asked for; three heaps give one each."""
    generator = torch.Generator().manual_seed(0)
    heaps = torch.cat([c + 0.1 * torch.randn(50, 4, generator=generator) for c in (-5.0, 0.0, 5.0)])
    chosen = medoids(heaps, 3, 0)
    assert sorted((chosen // 50).tolist()) == [0, 1, 2]
    assert len(medoids(heaps, 500, 0)) == 150
    assert torch.equal(medoids(heaps, 20, 1), medoids(heaps, 20, 1))


def test_cut_rows_do_not_grow_over_many_steps() -> None:
    """Twenty long steps: some rows are cut early, and no gradient is spoiled by what they would have become."""
    vae, inputs, targets = _made(steps=20, step=0.5)
    terms = vae.terms(inputs, targets, torch.Generator().manual_seed(0))
    assert vae.latent.diagnostics()["cut"] > 0.0
    terms.elbo().mean().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in vae.parameters())


def test_the_metric_is_no_finer_than_the_posterior() -> None:
    """In one dimension many frames lie close: T is two posterior deviations there, not three tiny spacings."""
    x = np.random.default_rng(0).normal(size=(200, 3, 2))
    vae = build_vae(
        TrainConfig(backend="rhvae", latent_dim=1, hidden=(8,)),
        Alignment("none", x.mean(axis=0), np.ones(3)),
        ModelSizes(6, "isotropic", 1e-3, 200),
    ).double()
    targets = vae.features.targets(torch.from_numpy(x))
    targets = vae.features.set_components(targets, 6, 0.1)
    inputs = vae.features.inputs(targets)
    vae.latent.prepare(inputs, 0)
    vae.latent.update(Context(encode=vae.encode, progress=1.0))
    deviation = float(vae.encode(inputs)["log_scale"].detach().exp().median())
    assert float(vae.latent.temperature) == pytest.approx(2.0 * deviation, rel=0.05)
    vae.terms(inputs, targets, torch.Generator().manual_seed(0))
    assert vae.latent.diagnostics()["cut"] < 0.01


def test_few_frames_leave_no_trace_of_others() -> None:
    """Fewer frames than centroids: figures are of those there are, and a second training forgets the first's."""
    vae, inputs, _ = _made(frames=60)
    latent = vae.latent
    assert isinstance(latent, RiemannianHamiltonian)
    latent.finish(Context(encode=vae.encode))
    latent.prepare(inputs[:7], 0)
    latent.finish(Context(encode=vae.encode))
    assert int((latent.factors.abs().sum(dim=(1, 2)) > 0.0).sum()) == 7
    latent._flown = 1
    at_data = -latent.metric().log_det(latent.centroids[:7]).median() / 2
    assert latent.diagnostics()["metric_at_data"] == pytest.approx(float(at_data.exp()))


def test_equal_frames_are_one_centroid() -> None:
    """Duplicates would say that the spacing is zero."""
    points = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)).repeat(5, 1)
    chosen = medoids(points, 100, 0)
    assert len(chosen) == 30 and len(points[chosen].unique(dim=0)) == 30


@pytest.mark.parametrize(("learn", "shorter"), [(True, True), (False, False)])
def test_a_learned_step_gives_way_where_draws_are_cut(learn: bool, shorter: bool) -> None:
    """Cut draws have no gradient to say so; a step that the user has fixed stays."""
    vae, inputs, targets = _made(step=0.5, steps=20, learn_step=learn)
    latent = vae.latent
    assert isinstance(latent, RiemannianHamiltonian)
    shares = []
    with torch.no_grad():
        for i in range(200):
            before = latent._cut
            vae.terms(inputs[:30], targets[:30], torch.Generator().manual_seed(i))
            shares.append((latent._cut - before) / 30)
            latent.update(Context(encode=vae.encode, progress=1.0))
    assert shares[0] > 0.02
    assert (float(latent.log_step.detach().exp()) < 0.49) == shorter
    assert (np.mean(shares[-20:]) < 0.5 * np.mean(shares[:20])) == shorter
