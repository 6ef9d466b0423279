"""Two candidates equal in law, compared 40 times: `python benchmarks/equal_candidates.py [PAIRS]`, half an hour.

Frames are a chain of six atoms about a body whose slow coordinate has a correlation time of 0, 5 or 50 frames. Both
candidates are the same model with other seeds, each trained three times: they are to be called different in at most
10 % of the pairs. Beside it stands how often frames alone, without the variance of training, would call them so.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
import torch
from scipy.signal import lfilter

from trajvae import TrainConfig, compare
from trajvae.outputs.judging.trials import ComparisonPlan
from trajvae.typing import Float64

FRAMES, REPEATS, BOUND = 400, 3, 0.1
TIMES = (0.0, 5.0, 50.0)


def trajectory(correlation_time: float, seed: int) -> Float64:
    """Frames (T, 6, 3) in Å: two slow modes of an autoregression, and noise of 0.1 Å."""
    random, r = np.random.default_rng(seed), np.exp(-1.0 / correlation_time) if correlation_time else 0.0
    noise = random.normal(size=(FRAMES + 1000, 20)) * np.sqrt(1.0 - r * r)
    slow = lfilter([1.0], [1.0, -r], noise, axis=0)[1000:]
    fixed = np.random.default_rng(0)
    body, modes = 2.0 * fixed.normal(size=(6, 3)), fixed.normal(size=(20, 6, 3))
    modes *= np.array([0.4, 0.3, *[0.03] * 18])[:, None, None]
    return np.asarray(body + np.tensordot(slow, modes, axes=1) + 0.05 * random.normal(size=(FRAMES, 6, 3)))


def pair(correlation_time: float, number: int) -> tuple[bool, bool]:
    """Whether two equal candidates are called different, and whether frames alone would call them so."""
    configs = {
        name: TrainConfig(latent_dim=2, hidden=(32,), epochs=20, batch_size=32, seed=1000 * number + first)
        for name, first in (("first", 0), ("second", 500))
    }
    frames = trajectory(correlation_time, number)
    found = compare(frames, configs, plan=ComparisonPlan(draws=50, repeats=REPEATS), device="cpu")
    return bool(found.different), bool(found.behind_over_frames)


def main() -> None:
    """Print the table."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"{'correlation time':>18s} {'called different':>18s} {'by frames alone':>18s} {'time':>8s}")
    met = True
    for correlation_time in TIMES:
        begun = time.perf_counter()
        called, alone = np.mean([pair(correlation_time, i) for i in range(pairs)], axis=0)
        met &= called <= BOUND
        seconds = time.perf_counter() - begun
        print(f"{correlation_time:13.0f} frames {called:18.3f} {alone:18.3f} {seconds:7.0f}s", flush=True)
    print(f"called different in at most {BOUND:.0%} of {pairs} pairs: {'met' if met else 'MISSED'}")


if __name__ == "__main__":
    main()
