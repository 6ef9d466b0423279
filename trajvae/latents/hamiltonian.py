"""The Riemannian Hamiltonian latent space: a Euclidean one whose draws are moved along a learned metric."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trajvae.geometry import leapfrog
from trajvae.geometry.leapfrog import Hamiltonian, State
from trajvae.geometry.manifolds import EuclideanSpace
from trajvae.geometry.medoids import medoids
from trajvae.geometry.metric import CentroidMetric, spacing
from trajvae.latents.base import Context, Latent, LatentDraw, LatentSample, Params
from trajvae.latents.densities import MOMENTA
from trajvae.latents.euclidean import Euclidean, EuclideanOptions
from trajvae.latents.hamiltonian_options import LONGEST, HamiltonianOptions
from trajvae.latents.hamiltonian_terms import CUT, RatioTerms, TermWeights

_MOST_CUT, _SHORTER, _FORGET = 0.02, 0.02, 0.02  # share of draws; logarithm of the step; weight of the last batch
_COUNTS = ("_flown", "_cut", "_recent", "_residual")
_STEEPEST = 4.0  # of the logarithm of a centroid's diagonal


class RiemannianHamiltonian(Latent):
    """Describe R^dim with a standard normal prior and a posterior whose draws Hamiltonian dynamics moves to p(z|x).

    Parameters
    ----------
    dim : int
    options : HamiltonianOptions, optional

    Notes
    -----
    A draw z0 of the encoded normal q(z0|x) gets a momentum gamma / sqrt(beta0) with gamma from N(0, G(z0)), and both
    move K steps of the generalised leapfrog, the momentum being cooled after each. In terms of gamma the Jacobian of
    the cooling cancels, and

        log q - log p = log q(z0|x) + log N(gamma; 0, G(z0)) - log p(z_K) - log N(rho_K; 0, G(z_K)).

    A row whose implicit equations have no solution is cut: it keeps z0 without a momentum and a ratio higher by
    log 10^6, which leaves the bound a bound (to 10^-6) wherever the domain ends on which the map is one-to-one.

    T is `width` times the centroids' spacing, but not less than two of the widest dimension's posterior deviations.

    The centroids are frames, encoded anew in every step; the factors L_i are a head of the encoder. The flow begins
    after a warm-up, when the encoded centroids say how wide the metric's kernels and how long its steps should be.

    References
    ----------
    C. Chadebec, C. Mantoux, S. Allassonniere, arXiv:2010.11518, eq. 9 (metric) and sec. 3.2 (flow).
    A. L. Caterini, A. Doucet, D. Sejdinovic, NeurIPS 2018: tempering, and the bound.
    """

    options_type = HamiltonianOptions
    log_step: Tensor
    active: Tensor
    temperature: Tensor
    floor: Tensor
    unit: Tensor
    centroids: Tensor
    factors: Tensor

    def __init__(self, dim: int, options: HamiltonianOptions | None = None) -> None:
        super().__init__()
        self.options = options or HamiltonianOptions()
        self.base = Euclidean(dim, EuclideanOptions(self.options.min_scale, self.options.prior))
        self.manifold = EuclideanSpace(dim)
        self.param_sizes = {**self.base.param_sizes, "metric": dim * (dim + 1) // 2}
        self.parts = ("position", "momentum")
        self.elbo_valid_after = self.options.warmup
        self._weights = TermWeights(self.options.weights("log_p"), self.options.weights("log_q"))
        self.rows_at_once = max(16, min(8192, 2**22 // (8 * dim**3)))
        size = torch.full((dim if self.options.step_per_dimension else 1,), math.log(self.options.step))
        if self.options.learn_step:
            self.log_step = nn.Parameter(size)
        else:
            self.register_buffer("log_step", size)
        n = self.options.centroids
        for name, value in (("temperature", torch.ones(())), ("floor", torch.ones(())), ("unit", torch.ones(dim))):
            self.register_buffer(name, value.double())
        self.register_buffer("centroids", torch.zeros(n, dim, dtype=torch.float64))
        self.register_buffer("factors", torch.zeros(n, dim, dim, dtype=torch.float64))
        self.register_buffer("active", torch.zeros((), dtype=torch.bool))
        self._frames: Tensor | None = None
        self._flown, self._cut, self._recent, self._residual = 0, 0.0, 0.0, 0.0

    def prepare(self, inputs: Tensor, seed: int) -> None:
        """Choose the frames whose latent points are the centroids of the metric."""
        self._frames = inputs[medoids(inputs, self.options.centroids, seed)]

    @torch.no_grad()
    def update(self, context: Context) -> None:
        """Start the flow when the warm-up is over, and keep the step size in bounds.

        A learned step is shortened while more than a few draws are cut, since those have no gradient to shorten it.
        """
        if self.options.learn_step and self._recent > _MOST_CUT:
            self.log_step.sub_(_SHORTER)
        self.log_step.clamp_(max=math.log(LONGEST))
        if self._frames is None or context.encode is None or bool(self.active):
            return
        if self.options.steps and context.progress >= self.options.warmup:
            self._activate_flow(context.encode(self._frames))

    def extra_state(self) -> dict[str, float]:
        """Return the counts and residuals of the flow so far."""
        return {name: float(getattr(self, name)) for name in _COUNTS}

    def load_extra_state(self, numbers: dict[str, float]) -> None:
        for name, value in numbers.items():
            setattr(self, name, value)

    def _activate_flow(self, params: Params) -> None:
        """Set T, lambda and the unit of the factors from the posteriors of the present weights."""
        at = params["loc"].double()
        variance = self.base.scale(params).double().square().median(dim=0).values
        widest = 2.0 * float(variance.max()) ** 0.5  # a metric finer than the posterior is rough to its draws
        self.temperature.fill_(max(self.options.width * spacing(at), widest))
        self.unit.fill_(1.0)
        raw = CentroidMetric(at, self._factors(params), self.temperature, 0.0).inverse(at).diagonal(dim1=1, dim2=2)
        self.unit.copy_((variance / raw.median(dim=0).values).sqrt())
        self.floor.fill_(self.options.regularisation * float(variance.min()))
        self.active.fill_(True)

    @torch.no_grad()
    def finish(self, context: Context) -> None:
        """Store the centroids and factors that the final weights encode."""
        if self._frames is not None and context.encode is not None:
            params = context.encode(self._frames)
            self.centroids.zero_()
            self.factors.zero_()
            self.centroids[: len(self._frames)] = params["loc"].double()
            self.factors[: len(self._frames)] = self._factors(params)
            self._frames = None

    def _factors(self, params: Params) -> Tensor:
        """Return the lower triangular L_i, (N, dim, dim), which are near the unit where the head is near zero."""
        head = params["metric"].double()
        diagonal = head[:, : self.dim].clamp(-_STEEPEST, _STEEPEST).exp()
        lower = torch.diag_embed(diagonal)
        row, column = torch.tril_indices(self.dim, self.dim, offset=-1, device=head.device)
        lower[:, row, column] = head[:, self.dim :]
        return self.unit[:, None] * lower

    def metric(self, context: Context | None = None) -> CentroidMetric:
        """Return the learned metric; while training, that of the present weights."""
        if self._frames is None or context is None or context.encode is None:
            return CentroidMetric(self.centroids, self.factors, self.temperature, self.floor)
        params = context.encode(self._frames)
        return CentroidMetric(params["loc"], self._factors(params), self.temperature, self.floor)

    def rsample(self, params: Params, context: Context) -> LatentSample:
        """Draw z from q(z|x), reparameterised; from the encoded posterior if the context has no likelihood."""
        return self._drawn(params, context, None)[0]

    def draw(self, params: Params, context: Context) -> LatentDraw:
        """Draw z by the flow, with KL(q || p): the encoded posterior's in closed form, plus what the flow changes."""
        sample, penalty = self._drawn(params, context, self.base.kl(params))
        return LatentDraw(*sample, penalty)

    def _drawn(self, params: Params, context: Context, closed: Tensor | None) -> tuple[LatentSample, Tensor | None]:
        """Return a draw and, if its terms are weighted, what training minimises.

        Given the divergence of the encoded posterior, that plus log p(z0) stands for log q(z0|x), whose mean it has.
        """
        loc, scale = params["loc"], self.base.scale(params)
        noise = torch.randn(loc.shape, dtype=loc.dtype, device=loc.device, generator=context.generator)
        z = loc + scale * noise
        prior = self.base.log_prior(z)
        if closed is None:
            encoded = -0.5 * (noise.square() + math.log(2.0 * math.pi)).sum(dim=-1) - scale.log().sum(dim=-1)
        else:
            encoded = closed.sum(dim=-1) + prior
        none = torch.zeros_like(prior)
        terms = RatioTerms(encoded, prior, none, none)
        if context.log_likelihood is None or not self.options.steps or not bool(self.active):
            return LatentSample(z, terms.ratio()), self._weights.penalty(terms)
        end, moved = self._moved(z, context.log_likelihood, context)
        after = RatioTerms(encoded, *moved)
        ratio = torch.where(end.kept[:, None], after.ratio(), terms.ratio(CUT)).to(z)
        penalty = self._weights.penalty(after, end.kept, terms)
        return LatentSample(end.place.z.to(z), ratio), None if penalty is None else penalty.to(z)

    def _moved(
        self, z: Tensor, likelihood: leapfrog.Density, context: Context
    ) -> tuple[State, tuple[Tensor, Tensor, Tensor]]:
        """Move draws by the flow; return log p of their ends, log q of the first and log p of the last momenta."""
        like, prior = z, self.base.log_prior
        hamiltonian = Hamiltonian(lambda z: likelihood(z.to(like)).double() + prior(z), self.metric(context))
        noise = torch.randn(z.shape, dtype=z.dtype, device=z.device, generator=context.generator).double()
        place = hamiltonian.at(z.double())
        thrown = -0.5 * (noise.square().sum(dim=-1) + place.log_det())
        end = self._flow(hamiltonian, leapfrog.start(place, place.momentum(noise) * self.options.heat()))
        caught = MOMENTA[self.options.momentum](end.place, end.momentum)
        return end, (prior(end.place.z), thrown, caught)

    def _flow(self, hamiltonian: Hamiltonian, state: State) -> State:
        size = self.log_step.double().exp()
        for factor in self.options.cooling():
            state = leapfrog.step(hamiltonian, state, size)
            state = state._replace(momentum=factor * state.momentum)
        cut = float(len(state.kept) - state.kept.sum())
        self._flown += len(state.kept)
        self._cut += cut
        self._recent += _FORGET * (cut / len(state.kept) - self._recent)
        self._residual = max(self._residual, float(state.residual.detach().max()))
        return state

    def learned_metric(self) -> CentroidMetric | None:
        """Return the learned metric, or None before the flow has started."""
        return self.metric() if bool(self.active) else None

    def diagnostics(self) -> dict[str, float]:
        if not self._flown:
            return {}
        used = self.centroids[self.factors.abs().sum(dim=(1, 2)) > 0.0]
        at_data = -self.metric().log_det(used).median() / self.dim
        return {
            "step": float(self.log_step.detach().double().exp().mean()),
            "cut": self._cut / self._flown,
            "residual": self._residual,
            "temperature": float(self.temperature),
            "regularisation": float(self.floor),
            "metric_at_data": float(at_data.exp()),
        }

    def kl(self, params: Params) -> Tensor | None:
        """Return KL(q || p) in closed form, (B, 2); None unless the flow has no steps and the prior is normal."""
        if self.options.steps:
            return None
        closed = self.base.kl(params)
        if closed is None:
            return None
        return torch.stack([closed.sum(dim=-1), torch.zeros_like(closed[:, 0])], dim=-1)

    def mean(self, params: Params) -> Tensor:
        """Return the mean of the encoded posterior, where the flow starts, (B, dim)."""
        return self.base.mean(params)

    def scale(self, params: Params) -> Tensor:
        """Return the standard deviations of the encoded posterior, (B, dim)."""
        return self.base.scale(params)

    def log_prior(self, z: Tensor) -> Tensor:
        return self.base.log_prior(z)

    def prior_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.base.prior_sample(n, generator)
