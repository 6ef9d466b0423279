"""Checks of latent spaces: shapes, divergences and gradients by Monte Carlo, priors, state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trajvae.latents import Context, Latent, Params
from trajvae.testing.manifolds import check_manifold
from trajvae.testing.numbers import ERRORS, agrees, check_gradients, close, random_heads, repeat, require, same_means


@dataclass(frozen=True)
class LatentCase:
    """Hold a latent space to be checked.

    Attributes
    ----------
    make : callable
        Makes the latent space; always the same one.
    smooth : bool
        Whether draws with one seed are a smooth function of the parameters; draws by rejection are not.
    without_gradient : tuple of str
        Heads that neither draws nor the divergence depend on.
    draws : int
        Draws of each Monte-Carlo mean.
    """

    make: Callable[[], Latent]
    smooth: bool = True
    without_gradient: tuple[str, ...] = ()
    draws: int = 20_000

    def params(self, n: int, dtype: torch.dtype = torch.float64) -> Params:
        """Return parameters of n posteriors."""
        return random_heads(self.make().param_sizes, n, dtype=dtype)


def context(seed: int = 0) -> Context:
    """Return a context with a generator of a seed."""
    return Context(torch.Generator().manual_seed(seed))


def check_outputs(case: LatentCase) -> None:
    """Check shape and precision of all outputs, for parameters in single and double precision."""
    for dtype in (torch.float32, torch.float64):
        latent, params = case.make(), case.params(5, dtype)
        z, ratio = latent.rsample(params, context())
        draw, closed = latent.draw(params, context()), latent.kl(params)
        points, parts = (5, latent.ambient_dim), (5, len(latent.parts))
        shapes = {
            "rsample(...).z": (z, points),
            "rsample(...).log_ratio": (ratio, parts),
            "draw(...).z": (draw.z, points),
            "draw(...).kl": (draw.kl, parts),
            "mean": (latent.mean(params), points),
            "scale": (latent.scale(params), (5, latent.dim)),
            "log_prior": (latent.log_prior(z), (5,)),
        } | ({} if closed is None else {"kl": (closed, parts)})
        for name, (found, shape) in shapes.items():
            require(found.shape == shape, f"{name}: expected {shape}, found {tuple(found.shape)}")
            require(found.dtype == dtype, f"{name}: expected {dtype}, found {found.dtype}")
            require(bool(found.isfinite().all()), f"{name} is not finite")
        require(latent.prior_sample(9).shape == (9, latent.ambient_dim), "prior_sample: expected (9, ambient_dim)")


def check_divergence(case: LatentCase) -> None:
    """Check that the KL divergence in closed form, and that of `draw`, are means of the log ratio."""
    latent, params = case.make(), case.params(3)
    many = repeat(params, case.draws)
    ratio = latent.rsample(many, context()).log_ratio.view(3, case.draws, -1).detach()
    closed = latent.kl(params)
    require(closed is None or agrees(ratio, closed, dim=1), "kl is not the mean of log q - log p of draws")
    drawn = latent.draw(many, context(1)).kl.view(3, case.draws, -1).detach()
    error = (ratio.var(dim=1) + drawn.var(dim=1)).sqrt() / case.draws**0.5
    apart = (drawn.mean(dim=1) - ratio.mean(dim=1)).abs()
    require(bool((apart <= ERRORS * error + 1e-12).all()), "the mean KL of draw is not the mean of log q - log p")


def check_divergence_is_positive(case: LatentCase) -> None:
    """Check that no posterior has a KL divergence below zero; from draws, within four standard errors."""
    latent = case.make()
    params = {name: 3.0 * value for name, value in case.params(500).items()}
    closed = latent.kl(params)
    if closed is None:
        drawn = latent.rsample(repeat(params, 200), context()).log_ratio.sum(dim=-1).view(500, -1)
        low = (drawn.mean(dim=1) + ERRORS * drawn.std(dim=1) / 200**0.5).min()
    else:
        low = closed.sum(dim=-1).min()
    require(float(low.detach()) >= 0.0, f"a KL divergence is below zero: {float(low.detach())}")


def check_normalisation(case: LatentCase) -> None:
    """Check that densities are normalised: p / q averages to one over draws of q, where q is wide enough to tell."""
    latent = case.make()
    wide = {name: 0.1 * value for name, value in case.params(1).items()}
    weights = (-latent.rsample(repeat(wide, case.draws), context()).log_ratio.sum(dim=-1)).exp().detach()
    effective = float(weights.sum().square() / weights.square().sum()) / case.draws
    low = weights.mean() - ERRORS * weights.std() / case.draws**0.5
    require(float(low) <= 1.0, f"q or p is not normalised: p / q averages to {float(weights.mean())}")
    if effective > 0.1:
        require(agrees(weights, 1.0), f"q or p is not normalised: p / q averages to {float(weights.mean())}")


def check_gradients_of_draws(case: LatentCase) -> None:
    """Check the gradient of the KL divergence, and of an ELBO with fixed noise where draws are smooth."""
    latent, params = case.make(), case.params(4)
    if latent.kl(params) is not None:
        check_gradients(lambda p: _closed(latent, p), params, "kl", case.without_gradient)
    if case.smooth:
        check_gradients(lambda p: _elbo(latent, p), params, "an ELBO", case.without_gradient)


def _closed(latent: Latent, params: Params) -> Tensor:
    kl = latent.kl(params)
    require(kl is not None, "kl is closed for some parameters and not for others")
    return torch.zeros(()) if kl is None else kl.sum(dim=-1).mean()


def _elbo(latent: Latent, params: Params) -> Tensor:
    z, ratio = latent.rsample(params, context(5))
    weights = torch.linspace(-1.0, 1.0, latent.ambient_dim, dtype=z.dtype)
    log_likelihood = -0.5 * ((z @ weights).sin() - 0.3).square() - (0.2 * z).square().sum(dim=-1)
    return (log_likelihood - ratio.sum(dim=-1)).mean()


def check_gradient_of_the_divergence(case: LatentCase) -> None:
    """Check that the KL of `draw` has the gradient of the mean log ratio, over many draws."""
    latent = case.make()
    names = [name for name in latent.param_sizes if name not in (*case.without_gradient, "loc", "group")]
    copies = {name: value.requires_grad_(True) for name, value in repeat(case.params(1), case.draws).items()}
    leaves = [copies[name] for name in names]
    by_draw = torch.autograd.grad(latent.draw(copies, context(1)).kl.sum(), leaves)
    by_ratio = torch.autograd.grad(latent.rsample(copies, context(2)).log_ratio.sum(), leaves)
    for name, first, second in zip(names, by_draw, by_ratio, strict=True):
        require(same_means(first, second), f"the gradient of draw's KL by '{name}' is not that of the mean log ratio")


def check_randomness(case: LatentCase) -> None:
    """Check that equal seeds give equal draws, other seeds others, and that the mean has no noise."""
    latent, params = case.make(), case.params(6)
    first = latent.rsample(params, context(1)).z
    torch.manual_seed(99)
    require(torch.equal(first, latent.rsample(params, context(1)).z), "draws of one seed differ")
    require(not torch.equal(first, latent.rsample(params, context(2)).z), "draws of two seeds are the same")
    require(torch.equal(latent.mean(params), latent.mean(params)), "the mean is random")
    one, again, other = (latent.prior_sample(5, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    require(torch.equal(one, again), "prior draws of one seed differ")
    require(not torch.equal(one, other), "prior draws of two seeds are the same")


def check_inference(case: LatentCase) -> None:
    """Check that numbers under `torch.inference_mode` are the same bits."""
    latent, params = case.make(), case.params(6)
    plain = (*latent.rsample(params, context()), latent.mean(params), latent.scale(params))
    with torch.inference_mode():
        inside = (*latent.rsample(params, context()), latent.mean(params), latent.scale(params))
    require(all(torch.equal(a, b) for a, b in zip(plain, inside, strict=True)), "inference mode changes numbers")


def check_extremes(case: LatentCase) -> None:
    """Check that heads far out of range give finite draws, divergences and scales, in single precision."""
    latent = case.make()
    for size in (-1e4, 1e4):
        params = {name: torch.full((1, n), size if name != "loc" else 3.0) for name, n in latent.param_sizes.items()}
        closed, scale = latent.kl(params), latent.scale(params)
        found = [*latent.rsample(params, context()), scale, *([] if closed is None else [closed])]
        require(all(bool(x.isfinite().all()) for x in found), f"heads of {size} give numbers that are not finite")
        require(float(scale.detach().min()) > 0.0, f"heads of {size} give a scale of zero")


def check_state(case: LatentCase) -> None:
    """Check that a latent space that loads the state of another draws the same points."""
    latent, other, params = case.make(), case.make(), case.params(6)
    other.load_state_dict(latent.state_dict())
    first, second = latent.rsample(params, context()), other.rsample(params, context())
    require(torch.equal(first.z, second.z), "draws differ after loading the state")
    require(torch.equal(first.log_ratio, second.log_ratio), "log ratios differ after loading the state")


def check_latent_manifold(case: LatentCase) -> None:
    """Check the manifold, by draws from the prior."""
    latent = case.make()
    z = latent.prior_sample(40, torch.Generator().manual_seed(2)).double()
    check_manifold(latent.manifold, z)
    close(latent.manifold.project(z), z, "prior draws lie on the manifold", rtol=1e-5, atol=1e-5)


LATENT_CHECKS = (
    check_outputs,
    check_divergence,
    check_divergence_is_positive,
    check_normalisation,
    check_gradients_of_draws,
    check_gradient_of_the_divergence,
    check_randomness,
    check_inference,
    check_extremes,
    check_state,
    check_latent_manifold,
)


def check_latent(
    make: Callable[[], Latent], *, smooth: bool = True, without_gradient: tuple[str, ...] = (), draws: int = 20_000
) -> None:
    """Check a latent space.

    Parameters
    ----------
    make : callable
        Makes the latent space, such as ``lambda: Toroidal(2)``.
    smooth : bool
        Whether draws with one seed are a smooth function of the parameters; draws by rejection are not, and their
        gradients are not compared with finite differences.
    without_gradient : tuple of str
        Heads that neither draws nor the divergence depend on.
    draws : int
        Draws of each Monte-Carlo mean.

    Raises
    ------
    AssertionError
        What is wrong.
    """
    case = LatentCase(make, smooth, without_gradient, draws)
    for check in LATENT_CHECKS:
        check(case)
