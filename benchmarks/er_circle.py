"""The circle toy of the embedding-reparameterisation paper, by evidence: `python benchmarks/er_circle.py`.

Uniform points of the unit circle in the plane go through a fixed random network (one hidden layer of 100 ReLU, Xavier
uniform) to R^100, without noise. Every model has the same networks (128,128), 60 epochs and a fixed sigma of 0.1: sigma
learned on data without noise is unbounded and measures the optimiser, and sigma = 1 collapses every model. Five seeds
for each of three data networks; nats a point, and paired differences to the best. Two processes, about an hour on two
cores, most of it for maps that are learned anew for every model.
"""

from __future__ import annotations

import math
import sys
import warnings

import numpy as np
import torch

from trajvae import TrainConfig, compare
from trajvae.likelihoods import LIKELIHOODS, LikelihoodChoice
from trajvae.likelihoods.gaussians import Isotropic
from trajvae.outputs.judging.trials import ComparisonPlan
from trajvae.results import Comparison
from trajvae.typing import Float64

POINTS, WIDTH, SIGMA = 5000, 100, 0.1
NETWORKS, SEEDS = range(3), 5
LINE, ROUND = "VAE, dimension 1", ("exact map, group", "learned map, group", "Power Spherical circle")


class FixedSigma(Isotropic):
    """N(loc, 0.1^2 I), whatever the residuals."""

    def set_moment(self, moment: torch.Tensor, structure: float = 1.0) -> None:
        """See `Likelihood`."""
        self.sigma = torch.full_like(self.sigma, SIGMA)


LIKELIHOODS["fixed"] = LikelihoodChoice(
    "one variance that is given", lambda f, floor, n: FixedSigma(f.size, floor, n, f.input_size), ("cartesian",)
)


def points(network: int) -> Float64:
    """Circle points through a data network, as frames of fifty atoms in the plane, (n, 50, 2)."""
    random = np.random.default_rng(network)
    angle = random.uniform(0.0, 2.0 * np.pi, POINTS)
    first, second = (
        random.uniform(-1.0, 1.0, shape) * math.sqrt(6.0 / sum(shape)) for shape in ((2, WIDTH), (WIDTH, WIDTH))
    )
    hidden = np.maximum(np.stack([np.cos(angle), np.sin(angle)], axis=1) @ first, 0.0)
    return (hidden @ second).reshape(POINTS, WIDTH // 2, 2)


def rows() -> dict[str, TrainConfig]:
    """The paper's five, and two more."""
    common = {"align": "none", "likelihood": "fixed", "hidden": (128, 128), "epochs": 60}
    circle = {"backend": "embedded", "latent_dim": 1}
    return {
        LINE: TrainConfig(latent_dim=1, **common),
        "learned map": TrainConfig(**circle, settings={"map": "learned", "group": False}, **common),
        "exact map": TrainConfig(**circle, settings={"group": False}, **common),
        ROUND[1]: TrainConfig(**circle, settings={"map": "learned"}, **common),
        "VAE, dimension 2": TrainConfig(latent_dim=2, **common),
        ROUND[0]: TrainConfig(**circle, **common),
        ROUND[2]: TrainConfig(backend="hyperspherical", latent_dim=1, **common),
    }


def verdict(found: Comparison) -> list[tuple[str, bool]]:
    """The bounds: circles above the line beyond the paired error, and alike."""
    entries = {name: found.entries[name] for name in (LINE, *ROUND)}
    line = entries.pop(LINE)
    out = []
    for name, entry in entries.items():
        ahead = entry.iwae - line.iwae
        error = math.hypot(float(ahead.std(ddof=1)) / len(ahead) ** 0.5, line.figures["behind_se"])
        out.append((f"{name} above the line: {ahead.mean():.3f} +- {error:.3f}", ahead.mean() > error))
    means = [e.figures["iwae"] for e in entries.values()]
    out.append((f"circles within {max(means) - min(means):.3f} of one another (0.1)", max(means) - min(means) <= 0.1))
    return out


def main() -> None:
    """A table for each data network."""
    warnings.simplefilter("ignore")
    good = True
    for network in NETWORKS:
        found = compare(points(network), rows(), plan=ComparisonPlan(repeats=SEEDS, jobs=2))
        print(
            f"data network {network}\n| model | ELBO | IWAE, 500 draws | behind the best | effective draws below 10 |"
        )
        print("|---|---|---|---|---|")
        for name, entry in found.entries.items():
            f = entry.figures
            cells = f"{f['elbo']:.3f} | {f['iwae']:.3f} | {f['behind']:.3f} +- {f['behind_se']:.3f}"
            print(f"| {name} | {cells} | {100 * f['few_effective']:.1f} % |")
        for text, met in verdict(found):
            print(f"{'ok  ' if met else 'MISS'}  {text}", flush=True)
            good &= met
    sys.exit(not good)


if __name__ == "__main__":
    main()
