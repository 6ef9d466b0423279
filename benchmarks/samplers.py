"""Where samplers put their points, on alanine dipeptide: `python benchmarks/samplers.py`.

The share of latent points farther from the training latents than those are from each other (99 % quantile), and the
Jensen-Shannon divergence (base 2) of a histogram of 30 x 30 cells to draws from the aggregated posterior, beside what
two sets of such draws differ by. Of a Euclidean model (metric from its posteriors) and an RHVAE (the learned metric).
About eight minutes.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from trajvae import Model, Reading, TrainConfig
from trajvae.typing import Float64

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
ALANINE = (str(EXAMPLES / "alanine_dipeptide.xtc"), Reading(EXAMPLES / "alanine_dipeptide.pdb"))
DRAWS, CELLS = 10_000, 30


def divergence(a: Float64, b: Float64) -> float:
    """Between histograms over the range of both."""
    both = np.concatenate([a, b])
    edges = [np.linspace(low, high, CELLS + 1) for low, high in zip(both.min(axis=0), both.max(axis=0), strict=True)]
    counts = [np.histogramdd(x, bins=edges)[0].ravel() for x in (a, b)]
    return float(jensenshannon(*counts, base=2) ** 2)


def rows(backend: str) -> dict[str, dict[str, Any]]:
    """Figures of each sampler."""
    model = Model.train(ALANINE[0], TrainConfig(backend=backend, latent_dim=2), reading=ALANINE[1])
    target = model.generate(DRAWS, sampler="aggregate", seed=1).latent
    out = {}
    for name in ("aggregate", "prior", "metric"):
        made = model.generate(DRAWS, sampler=name, seed=2)
        valid = made.figures["valid"] / DRAWS
        out[name] = {**made.figures, "valid": valid, "divergence": divergence(made.latent, target)}
    return out


def main() -> None:
    """Print the table and the verdict."""
    warnings.simplefilter("ignore")
    good = True
    print("| model | sampler | off the data | divergence | valid | acceptance | worth |\n|---|---|---|---|---|---|---|")
    for backend in ("euclidean", "rhvae"):
        found = rows(backend)
        for name, f in found.items():
            own = f"{f['acceptance']:.2f} | {f['effective_sample_size']:.0f}" if "acceptance" in f else "|"
            share = f"{100 * f['off_data']:.2f} %"
            text = f"{share} | {f['divergence']:.3f} | {100 * f['valid']:.1f} % | {own}"
            print(f"| {backend} | {name} | {text} |", flush=True)
        good &= found["metric"]["off_data"] <= found["prior"]["off_data"]
    print(f"{'ok  ' if good else 'MISS'}  metric's share off the data not above the prior's")
    sys.exit(not good)


if __name__ == "__main__":
    main()
