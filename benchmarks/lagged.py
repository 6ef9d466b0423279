"""Training with a lag time beside TICA and the plain VAE: `python benchmarks/lagged.py [NAME ...]`.

NAME is `well`, `alanine` or `heptapeptide`; by default all. `--seeds 3 --epochs N` say how much is trained: the whole
takes some hours on one core, `--epochs 40 --seeds 1` minutes. Scores are VAMP-2 of pairs of held-out frames, with the
constant, and with the standard error over held-out blocks. The plain VAE is trained and judged on the same frames:
`slowness=0`.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import torch
from MDAnalysis.lib.distances import calc_dihedrals

from trajvae import Model, Reading
from trajvae.lagged_pairs import FrameTimes, Lag
from trajvae.models.partition import Partition
from trajvae.training.lagged.pairs import LaggedPairs, PairRows
from trajvae.training.lagged.score import lagged_coordinates, reversible_moments, slowest_combinations, vamp2
from trajvae.typing import Bool, Float64

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from double_well import double_well

TRAJECTORIES = Path(__file__).parents[1] / "examples" / "trajectories"


@dataclass(frozen=True)
class System:
    """Hold a trajectory of the examples, and how it is trained."""

    name: str
    lag: int
    dim: int
    features: str = "cartesian"


SYSTEMS = {
    "alanine": System("alanine_dipeptide", 1, 2),
    "heptapeptide": System("peptide", 50, 4, "internal"),
}


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Hold the pairs of a model's frames."""

    part: Partition
    pairs: LaggedPairs

    @classmethod
    def of(cls, model: Model, lag: int) -> HeldOut:
        record, part = model.record, Partition(model.record.part)
        return cls(part, LaggedPairs.of(FrameTimes(record.file, record.frame), Lag(lag, in_frames=True), part))

    def score(self, coordinates: Float64) -> tuple[float, float]:
        """Score of held-out frames, with its error by leaving out one held-out block after the other."""
        held, rows = self.part.held_out, self.pairs.held_out
        z = torch.as_tensor(np.asarray(coordinates[held], dtype=np.float64))
        block = np.concatenate([[0], np.cumsum(np.diff(np.flatnonzero(held)) > 1)])[rows.first]
        blocks = np.unique(block)
        left = [_score(z, rows, block != b) for b in blocks]
        error = np.sqrt((len(blocks) - 1) * np.var(left))
        return _score(z, rows, block >= 0), float(error)

    def tica(self, features: Float64, dim: int) -> Float64:
        """The slowest linear functions of features, found on the training frames."""
        own, rows = torch.as_tensor(features[self.part.training]), self.pairs.training
        mean, covariance, lagged = reversible_moments(own[rows.first], own[rows.second])
        ridge = 1e-6 * float(covariance.diagonal().max())
        found = slowest_combinations(covariance, lagged, dim, ridge)
        return np.asarray((torch.as_tensor(features) - mean) @ found.T)


def _score(z: torch.Tensor, rows: PairRows, which: Bool) -> float:
    return float(vamp2(z[rows.first[which]], z[rows.second[which]]))


def backbone(name: str) -> Float64:
    """Cosines and sines of all phi, psi and omega of a trajectory, (T, k)."""
    universe = mda.Universe(TRAJECTORIES / f"{name}.pdb", TRAJECTORIES / f"{name}.xtc")
    kinds = ("phi_selection", "psi_selection", "omega_selection")
    chosen = [getattr(residue, what)() for residue in universe.residues for what in kinds]
    atoms = np.array([found.indices for found in chosen if found is not None and len(found) == 4])
    angles = np.array([calc_dihedrals(*universe.atoms.positions[atoms.T]) for _ in universe.trajectory])
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def cartesian(model: Model, name: str) -> Float64:
    """Aligned positions of the model's atoms, (T, 3 N)."""
    frames = model.open(str(TRAJECTORIES / f"{name}.xtc"), Reading(str(TRAJECTORIES / f"{name}.pdb")))
    x = model.pipeline.alignment.apply(frames.read().positions)
    return np.asarray(x.reshape(len(x), -1), dtype=np.float64)


def trained(system: System, slowness: float | None, seed: int, epochs: int | None) -> Model:
    """A model of a trajectory of the examples."""
    paths = [str(TRAJECTORIES / f"{system.name}.{end}") for end in ("xtc", "pdb")]
    return Model.train(
        paths[0], topology=paths[1], latent_dim=system.dim, lag=str(system.lag), slowness=slowness, seed=seed,
        epochs=epochs, features=system.features, device="cpu",
    )  # fmt: skip


def molecule(system: System, seed: int, epochs: int | None) -> None:
    """Print the rows of one seed."""
    models = {"plain": trained(system, 0.0, seed, epochs), "lag": trained(system, None, seed, epochs)}
    held = HeldOut.of(models["lag"], system.lag)
    for name, model in models.items():
        z = torch.as_tensor(model.record.latent)
        score, error = held.score(lagged_coordinates(model.pipeline.vae.latent.manifold, z).numpy())
        f = model.figures
        jsd = model.marginals().figures.mean_jsd
        print(
            f"  seed {seed}, {name}: VAMP-2 {score:.3f} +- {error:.3f}, ELBO {f.elbo:.2f}, RMSD {f.rmsd:.3f} Å, "
            f"valid as drawn {f.draws_valid:.3f}, JSD of pair distances {jsd:.4f}, {f.seconds:.0f} s",
            flush=True,
        )
    for name, features in (("dihedrals", backbone(system.name)), ("Cartesian", cartesian(models["lag"], system.name))):
        score, error = held.score(held.tica(features, system.dim))
        print(f"  seed {seed}, TICA of {name}: VAMP-2 {score:.3f} +- {error:.3f}", flush=True)


def well(seed: int, epochs: int | None) -> None:
    """Print the rows of one seed of the double well in ten atoms."""
    known, lag = double_well(8000, seed), 5
    for name, written in (("plain", None), ("lag", str(lag))):
        model = Model.train(
            known.positions,
            latent_dim=1,
            align="none",
            seed=seed,
            epochs=epochs,
            device="cpu",
            hidden=(64, 64),
            lag=written,
        )
        z = model.record.latent[:, 0]
        slow, fast, process = (abs(np.corrcoef(z, x)[0, 1]) for x in (known.slow, known.fast, known.process))
        kept = max(float(np.corrcoef(z[:-lag], z[lag:])[0, 1]), 1e-9)
        print(
            f"  seed {seed}, {name}: correlation with the slow direction {slow:.3f} (its process {process:.3f}), "
            f"with the fast one {fast:.3f}; time scale {-lag / np.log(kept):.2f} frames, exact {known.timescale:.2f}",
            flush=True,
        )


def main() -> None:
    """Print all rows."""
    parser = argparse.ArgumentParser(description="Training with a lag time beside TICA and the plain VAE.")
    parser.add_argument("names", nargs="*", default=["well", *SYSTEMS])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in given.names:
        print(f"{name}:")
        for seed in range(given.seeds):
            if name == "well":
                well(seed, given.epochs)
            else:
                molecule(SYSTEMS[name], seed, given.epochs)


if __name__ == "__main__":
    main()
