"""Training in two processes beside one: `python benchmarks/ranks.py [elbo] [memory]`, both by default.

`elbo` trains 1500 atoms (4500 features) in one process at batch 512, and in two at 256 each, in turns: time a frame
(the median over turns) and held-out ELBO, whose difference is compared with its standard error over seeds. Each process
has one thread: the machine must have two idle cores. `--seeds 5 --epochs 40 --frames 6000` say how much is trained.

`memory` trains 12 beads in two processes with `--memory 1GB`, and shows the peak memory of each for 10^5 and for 10^6
frames.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mdtraj.formats import DCDTrajectoryFile

from trajvae.config import TrainConfig
from trajvae.models.pipeline import Pipeline
from trajvae.runtime.launched import launched
from trajvae.runtime.ranks import Ranks, joined
from trajvae.training.checkpoints.file import to_checkpoint
from trajvae.training.checkpoints.writer import Checkpointer
from trajvae.training.frame_source import FrameSource
from trajvae.training.parts import TrainingParts, fit_parts
from trajvae.training.prepared import SHUFFLED
from trajvae.training.run import train_share
from trajvae.training.session import prepare
from trajvae.training.shares.follower import follow
from trajvae.training.shares.hand_over import to_bytes
from trajvae.training.shares.share import share_of

ATOMS, MODES, BATCH, WIDTHS = 1500, 20, 512, (256, 256, 256)
TIME_BOUND, ERRORS = 0.6, 2.0  # of one process's time a frame; standard errors
JUDGED = 5000  # held-out frames
LONG, MEMORY, LONG_BATCH = (100_000, 1_000_000), "1GB", 8192


def write_frames(path: Path, frames: int, atoms: int) -> None:
    """Write a chain that moves along some slow modes, with noise."""
    random = np.random.default_rng(0)
    mean = np.cumsum(random.normal(scale=1.5, size=(atoms, 3)), axis=0)
    modes = np.cumsum(random.normal(scale=3.0 / math.sqrt(atoms), size=(MODES, atoms, 3)), axis=1)
    with DCDTrajectoryFile(str(path), "w") as file:
        for first in range(0, frames, 10_000):
            angles = (
                np.arange(first, min(first + 10_000, frames))[:, None] * 2.0 * np.pi / (37.0 * (1.0 + np.arange(MODES)))
            )
            moved = np.tensordot(np.sin(angles) / (1.0 + np.arange(MODES)), modes, axes=1)
            noise = random.normal(scale=0.3, size=(len(angles), atoms, 3))
            file.write((mean + moved + noise).astype(np.float32))


class Clock:
    """Take the time of epochs, by the clock and of this process's core; the first ones warm up."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def __call__(self, done: int, total: int, figure: float) -> None:
        """Note the end of an epoch."""
        self.times.append((time.perf_counter(), time.process_time()))

    def taken(self, frames: int) -> dict[str, float]:
        """Return the median seconds that an epoch took for each frame, by the clock and of the core."""
        if len(self.times) < 4:
            return {}
        wall, core = np.median(np.diff(self.times, axis=0)[1:], axis=0) / frames
        return {"wall": float(wall), "core": float(core)}


def work(options: argparse.Namespace, ranks: Ranks) -> None:
    """Train in one of the processes, and print what came of it."""
    found = first_process(options, ranks) if ranks.first else {}
    if not ranks.first:
        follow(ranks, "cpu")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**found, "rank": ranks.rank, "peak": peak}), flush=True)


def first_process(options: argparse.Namespace, ranks: Ranks) -> dict[str, Any]:
    """Train as `PreparedTraining.run` does, without the figures of all frames, which take longer here."""
    config = TrainConfig(
        features="cartesian",
        epochs=options.epochs,
        batch_size=options.batch,
        hidden=WIDTHS,
        seed=options.seed,
        likelihood=options.likelihood,
    )
    prepared, clock = prepare(options.worker, config, device="cpu", memory=options.memory), Clock()
    source = prepared.frame_source
    parts = fit_parts(source, prepared.topology, config, precision=prepared.precision, device="cpu")
    ranks.hand_on(to_bytes(to_checkpoint(parts, None, prepared.origin)))
    kept = Checkpointer(Path(options.worker).with_suffix(".h5"), prepared.origin, math.inf, force=True, ranks=ranks)
    kept.due = math.inf
    share = share_of(parts.partition, ranks)
    memory = prepared.memory * SHUFFLED
    train_share(parts, source, share, ranks, memory=memory, progress=clock, checkpoint=kept)
    ranks.finish()
    return {**clock.taken(int(parts.partition.training.sum())), "elbo": held_out_elbo(parts, source)}


def held_out_elbo(parts: TrainingParts, source: FrameSource) -> float:
    """Return the mean ELBO of the first held-out frames, in nats a frame."""
    pipeline, held, done, found = Pipeline.of(parts.model), parts.partition.held_out, 0, []
    generator = torch.Generator().manual_seed(0)
    for chunk in source.chunks(pipeline.chunk):
        some = chunk.positions[held[done : done + len(chunk.file)]]
        done += len(chunk.file)
        if len(some):
            found.append(pipeline.reconstruct(some, generator)[1].elbo)
        if sum(map(len, found)) > JUDGED:
            break
    return float(np.concatenate(found).mean())


def run(path: Path, processes: int, *arguments: str) -> list[dict[str, Any]]:
    """Train in some processes; return what each has printed, by rank."""
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*start, __file__, "--worker", str(path), *arguments], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return sorted(found, key=lambda one: int(one["rank"]))


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Print time and ELBO of two processes beside one."""
    path = folder / "chain.dcd"
    write_frames(path, options.frames, ATOMS)
    times: dict[int, list[float]] = {1: [], 2: []}
    cores: dict[int, list[float]] = {1: [], 2: []}
    elbo: dict[int, list[float]] = {1: [], 2: []}
    for seed in range(options.seeds):
        for processes in (1, 2) if seed % 2 == 0 else (2, 1):
            arguments = ["--epochs", str(options.epochs), "--seed", str(seed), "--batch", str(BATCH)]
            arguments += ["--likelihood", options.likelihood] if options.likelihood else []
            found = run(path, processes, *arguments)[0]
            times[processes].append(found["wall"])
            cores[processes].append(found["core"])
            elbo[processes].append(found["elbo"])
            taken, bound = 1e6 * times[processes][-1], elbo[processes][-1]
            print(f"seed {seed}, processes {processes}: {taken:.1f} us a frame, ELBO {bound:.2f}", flush=True)
    ratio, core = (statistics.median(of[2]) / statistics.median(of[1]) for of in (times, cores))
    difference = statistics.mean(elbo[2]) - statistics.mean(elbo[1])
    error = math.sqrt(sum(statistics.variance(e) / len(e) for e in elbo.values())) if options.seeds > 1 else math.nan
    print(f"time a frame, two processes over one: {ratio:.2f} (bound {TIME_BOUND}); of a core {core:.2f}")
    print(f"held-out ELBO, two less one: {difference:+.2f} +- {error:.2f} nats (bound {ERRORS:g} standard errors)")


def peaks(folder: Path) -> None:
    """Print the peak memory of each of two processes for few and for many frames."""
    for frames in LONG:
        path = folder / "beads.dcd"
        write_frames(path, frames, 12)
        found = run(path, 2, "--epochs", "2", "--batch", str(LONG_BATCH), "--memory", MEMORY)
        told = ", ".join(f"process {one['rank']} {one['peak'] / 1e9:.2f} GB" for one in found)
        print(f"{frames} frames, --memory {MEMORY}: {told}")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["elbo", "memory"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--frames", type=int, default=6000)
    parser.add_argument("--likelihood", help="by default the one that suits the frames, which takes minutes to set up")
    parser.add_argument("--batch", type=int, default=BATCH, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--memory", default="8GB", help=argparse.SUPPRESS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        with joined(launched(), "cpu") as ranks:
            work(options, ranks)
        return
    with tempfile.TemporaryDirectory() as folder:
        if "elbo" in options.what:
            compare(Path(folder), options)
        if "memory" in options.what:
            peaks(Path(folder))


if __name__ == "__main__":
    main()
