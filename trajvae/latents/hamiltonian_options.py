"""The options of the Riemannian Hamiltonian latent space."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from trajvae.errors import OptionError
from trajvae.latents.densities import check_momentum
from trajvae.latents.euclidean import EuclideanOptions

LONGEST = 0.5  # of a learned step
MOST_STEPS = 1000
MOST_FACTOR = 1e6


@dataclass(frozen=True)
class HamiltonianOptions:
    """Hold the options of this latent space."""

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
    prior: str = field(default="normal", metadata={"unit": "", "help": "p(z): normal or student"})
    momentum: str = field(
        default="riemannian", metadata={"unit": "", "help": "p of the last momentum: riemannian, N(0, G), or spherical"}
    )
    log_p: str = field(
        default="1,1", metadata={"unit": "", "help": "weights of log p of position and momentum, in training alone"}
    )
    log_q: str = field(
        default="1,1", metadata={"unit": "", "help": "weights of log q of position and momentum, in training alone"}
    )

    def __post_init__(self) -> None:
        for name, low in (("steps", 0), ("centroids", 2)):
            if not low <= getattr(self, name):
                raise OptionError(f"{name} must be {low} or more, got {getattr(self, name)}")
        if self.steps > MOST_STEPS:
            raise OptionError(f"steps must be {MOST_STEPS} or less, got {self.steps}")
        for name in ("width", "regularisation"):
            if not 0.0 < getattr(self, name) <= MOST_FACTOR:
                raise OptionError(f"{name} must be above 0, up to {MOST_FACTOR:.0f}, got {getattr(self, name)}")
        if not 0.0 < self.step <= LONGEST:
            raise OptionError(f"step must lie between 0 and {LONGEST}, got {self.step}")
        if not 0.0 < self.beta0 <= 1.0:
            raise OptionError(f"beta0 must lie between 0 and 1, got {self.beta0}")
        if self.tempering not in ("quadratic", "none"):
            raise OptionError(f"tempering must be quadratic or none, got '{self.tempering}'")
        if not 0.0 <= self.warmup < 1.0:
            raise OptionError(f"warmup must be 0 or more and below 1, got {self.warmup}")
        EuclideanOptions(self.min_scale, self.prior)
        check_momentum(self.momentum)
        for name in ("log_p", "log_q"):
            self.weights(name)

    def weights(self, name: str) -> tuple[float, float]:
        """Return the two numbers of `log_p` or `log_q`."""
        try:
            position, momentum = (float(x) for x in getattr(self, name).split(","))
        except ValueError as error:
            raise OptionError(f"{name} wants two numbers, such as 1,0.5, got '{getattr(self, name)}'") from error
        if not 0.0 <= min(position, momentum) <= max(position, momentum) <= MOST_FACTOR:
            raise OptionError(f"{name} wants numbers from 0 to {MOST_FACTOR:.0f}, got '{getattr(self, name)}'")
        return position, momentum

    def heat(self) -> float:
        """Return the factor of momenta before the first step, 1 / sqrt(beta0)."""
        return 1.0 if self.tempering == "none" else self.beta0**-0.5

    def cooling(self) -> list[float]:
        """Return the factor of momenta after each step; the product of all is sqrt(beta0)."""
        k, hot = self.steps, self.heat()
        heat = [(1.0 - hot) * (i / k) ** 2 + hot for i in range(k + 1)]
        return [after / before for before, after in itertools.pairwise(heat)]
