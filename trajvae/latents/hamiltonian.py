"""The Riemannian Hamiltonian latent space: a Euclidean one whose draws are moved along a learned metric."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from trajvae.errors import OptionError
from trajvae.geometry import leapfrog
from trajvae.geometry.leapfrog import Hamiltonian, State
from trajvae.geometry.medoids import medoids
from trajvae.geometry.metric import CentroidMetric, spacing
from trajvae.latents.base import Context, Latent, LatentDraw, LatentSample, Params
from trajvae.latents.euclidean import Euclidean, EuclideanOptions

_CUT = math.log(1e6)  # nats that a draw loses whose flow was cut
_LONGEST = 0.5  # of a learned step
_MOST_CUT, _SHORTER, _FORGET = 0.02, 0.02, 0.02  # share of draws; logarithm of the step; weight of the last batch
_STEEPEST = 4.0  # of the logarithm of a centroid's diagonal


@dataclass(frozen=True)
class HamiltonianOptions:
    """What a user may set with `--set`."""

    steps: int = field(default=3, metadata={"unit": "", "help": "leapfrog steps, K; 0 for the Euclidean backend"})
    step: float = field(
        default=0.1, metadata={"unit": "", "help": "time step, where the metric is about the posterior's precision"}
    )
    learn_step: bool = field(default=True, metadata={"unit": "", "help": "learn the time step"})
    step_per_dimension: bool = field(default=False, metadata={"unit": "", "help": "a time step for each dimension"})
    beta0: float = field(default=0.3, metadata={"unit": "", "help": "inverse temperature at which the flow begins"})
    tempering: str = field(default="quadratic", metadata={"unit": "", "help": "its way to 1: quadratic or none"})
    centroids: int = field(default=100, metadata={"unit": "", "help": "frames that the metric is made of, at most"})
    width: float = field(
        default=3.0, metadata={"unit": "", "help": "T, in units of the centroids' distance to their nearest other"}
    )
    regularisation: float = field(
        default=0.1, metadata={"unit": "", "help": "lambda, in units of the smallest median posterior variance"}
    )
    warmup: float = field(
        default=0.4, metadata={"unit": "share of epochs", "help": "how long the posterior is left as it is encoded"}
    )
    min_scale: float = field(
        default=1e-4, metadata={"unit": "", "help": "smallest standard deviation of the encoded posterior"}
    )

    def __post_init__(self) -> None:
        for name, low in (("steps", 0), ("centroids", 2)):
            if getattr(self, name) < low:
                raise OptionError(f"{name} must be {low} or more, got {getattr(self, name)}")
        for name in ("width", "regularisation"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise OptionError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0.0 < self.step <= _LONGEST:
            raise OptionError(f"step must lie between 0 and {_LONGEST}, got {self.step}")
        if not 0.0 < self.beta0 <= 1.0:
            raise OptionError(f"beta0 must lie between 0 and 1, got {self.beta0}")
        if self.tempering not in ("quadratic", "none"):
            raise OptionError(f"tempering must be quadratic or none, got '{self.tempering}'")
        if not 0.0 <= self.warmup < 1.0:
            raise OptionError(f"warmup must be 0 or more and below 1, got {self.warmup}")
        EuclideanOptions(self.min_scale)


def _joint_density(log_likelihood: Callable[[Tensor], Tensor], like: Tensor) -> leapfrog.Density:
    """log p(x, z) up to a constant, of z in float64; the likelihood is asked in the networks' precision."""
    return lambda z: log_likelihood(z.to(like)).double() - 0.5 * z.square().sum(dim=-1)


class RiemannianHamiltonian(Latent):
    """R^dim with a standard normal prior and a posterior that Hamiltonian dynamics moves towards p(z|x).

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
        self.base = Euclidean(dim, EuclideanOptions(self.options.min_scale))
        self.dim = self.ambient_dim = dim
        self.param_sizes = {**self.base.param_sizes, "metric": dim * (dim + 1) // 2}
        self.parts = ("position", "momentum")
        self.settled = self.options.warmup
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
        """See `Latent`: chooses the centroids' frames."""
        self._frames = inputs[medoids(inputs, self.options.centroids, seed)]

    @torch.no_grad()
    def update(self, context: Context) -> None:
        """See `Latent`: begins the flow once the warm-up is over; keeps the step in bounds, and where draws are cut.

        What is cut has no gradient that would say so: a learned step is shortened while more than a few are.
        """
        if self.options.learn_step and self._recent > _MOST_CUT:
            self.log_step.sub_(_SHORTER)
        self.log_step.clamp_(max=math.log(_LONGEST))
        if self._frames is None or context.encode is None or bool(self.active):
            return
        if self.options.steps and context.progress >= self.options.warmup:
            self._begin(context.encode(self._frames))

    def _begin(self, params: Params) -> None:
        """Set T, lambda and the factors' unit by what is encoded now."""
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
        """See `Latent`: keeps the centroids and factors that the final weights encode."""
        if self._frames is not None and context.encode is not None:
            params = context.encode(self._frames)
            self.centroids.zero_()
            self.factors.zero_()
            self.centroids[: len(self._frames)] = params["loc"].double()
            self.factors[: len(self._frames)] = self._factors(params)
            self._frames = None

    def _factors(self, params: Params) -> Tensor:
        """The lower triangular L_i, (N, dim, dim): near the unit where the head is near zero."""
        head = params["metric"].double()
        diagonal = head[:, : self.dim].clamp(-_STEEPEST, _STEEPEST).exp()
        lower = torch.diag_embed(diagonal)
        row, column = torch.tril_indices(self.dim, self.dim, offset=-1, device=head.device)
        lower[:, row, column] = head[:, self.dim :]
        return self.unit[:, None] * lower

    def metric(self, context: Context | None = None) -> CentroidMetric:
        """The learned metric; while training that of the present weights."""
        if self._frames is None or context is None or context.encode is None:
            return CentroidMetric(self.centroids, self.factors, self.temperature, self.floor)
        params = context.encode(self._frames)
        return CentroidMetric(params["loc"], self._factors(params), self.temperature, self.floor)

    def rsample(self, params: Params, context: Context) -> LatentSample:
        """See `Latent`; without a likelihood to follow a draw of the encoded posterior."""
        noise = self._noise(params, context)
        z = params["loc"] + self.base.scale(params) * noise
        encoded = -0.5 * noise.square().sum(dim=-1) - self.base.scale(params).log().sum(dim=-1)
        return self._moved(z, encoded, context)

    def draw(self, params: Params, context: Context) -> LatentDraw:
        """See `Latent`; the divergence is known in closed form where the flow begins, and it adds what it changes."""
        z = params["loc"] + self.base.scale(params) * self._noise(params, context)
        closed = self.base.kl(params).sum(dim=-1)
        return LatentDraw(*self._moved(z, closed - 0.5 * z.square().sum(dim=-1), context))

    def _noise(self, params: Params, context: Context) -> Tensor:
        like = params["loc"]
        return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=context.generator)

    def _flows(self, context: Context) -> bool:
        return self.options.steps > 0 and context.log_likelihood is not None and bool(self.active)

    def _moved(self, z: Tensor, encoded: Tensor, context: Context) -> LatentSample:
        """Move draws whose log density is `encoded`, but for the constant that the prior has too."""
        plain = encoded + 0.5 * z.square().sum(dim=-1)
        if context.log_likelihood is None or not self._flows(context):
            return LatentSample(z, torch.stack([plain, torch.zeros_like(plain)], dim=-1))
        hamiltonian = Hamiltonian(_joint_density(context.log_likelihood, z), self.metric(context))
        noise = torch.randn(z.shape, dtype=z.dtype, device=z.device, generator=context.generator).double()
        place = hamiltonian.at(z.double())
        thrown = -0.5 * (noise.square().sum(dim=-1) + place.log_det())
        end = self._flow(hamiltonian, leapfrog.start(place, place.momentum(noise) * self._heat()))
        caught = -end.place.kinetic(end.momentum) - 0.5 * end.place.log_det()
        moved = torch.stack([encoded + 0.5 * end.place.z.square().sum(dim=-1), thrown - caught], dim=-1)
        cut = torch.stack([plain + _CUT, torch.zeros_like(plain)], dim=-1)
        ratio = torch.where(end.kept[:, None], moved, cut)
        return LatentSample(end.place.z.to(z), ratio.to(z))

    def _flow(self, hamiltonian: Hamiltonian, state: State) -> State:
        size = self.log_step.double().exp()
        for factor in self._cooling():
            state = leapfrog.step(hamiltonian, state, size)
            state = state._replace(momentum=factor * state.momentum)
        cut = float(len(state.kept) - state.kept.sum())
        self._flown += len(state.kept)
        self._cut += cut
        self._recent += _FORGET * (cut / len(state.kept) - self._recent)
        self._residual = max(self._residual, float(state.residual.detach().max()))
        return state

    def _heat(self) -> float:
        """What momenta are multiplied by before the first step, 1 / sqrt(beta0)."""
        return 1.0 if self.options.tempering == "none" else self.options.beta0**-0.5

    def _cooling(self) -> list[float]:
        """What momenta are multiplied by after each step, the product being sqrt(beta0)."""
        k, hot = self.options.steps, self._heat()
        heat = [(1.0 - hot) * (i / k) ** 2 + hot for i in range(k + 1)]
        return [after / before for before, after in itertools.pairwise(heat)]

    def learned_metric(self) -> CentroidMetric | None:
        """See `Latent`: none before the flow began."""
        return self.metric() if bool(self.active) else None

    def diagnostics(self) -> dict[str, float]:
        """See `Latent`."""
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
        """See `Latent`: closed only without a flow."""
        if self.options.steps:
            return None
        closed = self.base.kl(params).sum(dim=-1)
        return torch.stack([closed, torch.zeros_like(closed)], dim=-1)

    def mean(self, params: Params) -> Tensor:
        """See `Latent`: of the encoded posterior, where the flow begins."""
        return self.base.mean(params)

    def scale(self, params: Params) -> Tensor:
        """See `Latent`: of the encoded posterior."""
        return self.base.scale(params)

    def log_prior(self, z: Tensor) -> Tensor:
        """See `Latent`."""
        return self.base.log_prior(z)

    def prior_sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """See `Latent`."""
        return self.base.prior_sample(n, generator)
