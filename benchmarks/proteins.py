"""Print how right the conformations of folded proteins are: `python benchmarks/proteins.py DATA [ROW...] [--seeds N]`.

DATA is a folder with `crambin.pdb`, `crambin.xtc`, `chignolin.pdb` and `chignolin.dcd`. A trajectory is divided into
interleaved blocks of 100 frames (chignolin, whose neighbours are unlike: of one frame). trajvae is given one half; the
other half judges. Every figure is a Jensen-Shannon divergence (base 2, 50 bins; 36 x 36 for phi and psi), a mean over
all terms of its kind, of as many draws as the halves have frames against the given half, as a multiple of the same
divergence between the halves.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trajvae import Model, Reading, TrainConfig
from trajvae.alignment.align import mean_structure, pairwise_rmsd, superpose
from trajvae.molecule.bonded_terms import bond_angles, bond_lengths, omegas
from trajvae.molecule.histogram_divergence import histogram_divergence, jensen_shannon
from trajvae.molecule.observables import angles_of, ramachandran
from trajvae.molecule.validity import Validity
from trajvae.outputs.drawing.novelty import nearest
from trajvae.readers import open_source
from trajvae.topology import Topology
from trajvae.typing import Float64, Floats, Int64

DRAWS, PAIRS = 5000, 2000


@dataclass(frozen=True)
class System:
    """A trajectory, the atoms that are modelled, and the options of training."""

    trajectory: str
    topology: str
    select: str
    latent_dim: int
    block: int
    features: str = "auto"


SYSTEMS = {
    "crambin-backbone": System("crambin.xtc", "crambin.pdb", "name N CA C O", 10, 100),
    "crambin-heavy": System("crambin.xtc", "crambin.pdb", "not name H*", 10, 100),
    "chignolin": System("chignolin.dcd", "chignolin.pdb", "not name H*", 2, 1),
}


def halves(frames: Floats, block: int) -> tuple[Floats, Floats]:
    """Return the even and the odd blocks of frames."""
    odd = (np.arange(len(frames)) // block) % 2 == 1
    return frames[~odd], frames[odd]


def torsions_of(bonds: Int64, n_atoms: int) -> Int64:
    """Return a torsion for each pair of atoms three bonds apart along each bond between, (K, 4)."""
    neighbours: list[list[int]] = [[] for _ in range(n_atoms)]
    for a, b in bonds.tolist():
        neighbours[a].append(b)
        neighbours[b].append(a)
    found = [
        (i, j, k, m)
        for j, k in bonds.tolist()
        for i, m in itertools.product(neighbours[j], neighbours[k])
        if i not in (k, m) and m != j
    ]
    return np.array(found, dtype=np.int64).reshape(-1, 4)


class Measures:
    """Columns of numbers of frames, by kind of term."""

    def __init__(self, topology: Topology) -> None:
        self.topology, n = topology, topology.n_atoms
        self.bonds = topology.backbone_bonds()
        self.angles = angles_of(self.bonds, n)
        self.torsions = torsions_of(self.bonds, n)
        self.pairs = np.stack(np.triu_indices(n, 1), axis=1)
        if len(self.pairs) > PAIRS:
            self.pairs = self.pairs[np.random.default_rng(0).choice(len(self.pairs), PAIRS, replace=False)]
        backbone = np.isin(topology.names, ["N", "CA", "C", "O"])
        self.chi = self.torsions[~backbone[self.torsions].all(axis=1)]

    def columns(self, x: Floats) -> dict[str, tuple[Float64, float]]:
        """Return a table (T, terms) for each kind, and its period."""
        masses = self.topology.masses / self.topology.masses.sum()
        centred = x - np.einsum("tnd,n->td", x, masses)[:, None]
        rg = np.sqrt(np.einsum("tnd,tnd,n->t", centred, centred, masses))
        out = {
            "pair distances": (bond_lengths(x, self.pairs), 0.0),
            "bonds": (bond_lengths(x, self.bonds), 0.0),
            "angles": (bond_angles(x, self.angles), 0.0),
            "torsions": (omegas(x, self.torsions), 2 * np.pi),
            "Rg": (rg[:, None], 0.0),
            "end to end": (bond_lengths(x, np.array([[0, x.shape[1] - 1]])), 0.0),
        }
        if len(self.chi):
            out["side-chain torsions"] = (omegas(x, self.chi), 2 * np.pi)
        return out

    def divergences(self, a: Floats, b: Floats) -> dict[str, float]:
        """Return the mean divergence of two sets of frames for each kind of term."""
        first, second = self.columns(a), self.columns(b)
        out = {
            kind: float(
                np.mean([histogram_divergence(p, q, period) for p, q in zip(x.T, second[kind][0].T, strict=True)])
            )
            for kind, (x, period) in first.items()
        }
        return out | {"phi/psi": self._ramachandran(a, b)}

    def _ramachandran(self, a: Floats, b: Floats) -> float:
        """Return the mean divergence of phi and psi together, over the residues that have both."""
        atoms = ramachandran(self.topology)
        names = [n.removeprefix("phi_") for n in atoms if n.startswith("phi_") and f"psi_{n[4:]}" in atoms]
        edges, found = np.linspace(-np.pi, np.pi, 37), []
        for name in names:
            fours = np.array([atoms[f"phi_{name}"], atoms[f"psi_{name}"]])
            p, q = (np.histogram2d(*omegas(x, fours).T, bins=(edges, edges))[0].ravel() / len(x) for x in (a, b))
            found.append(float(jensen_shannon(p, q)))
        return float(np.mean(found)) if found else float("nan")


def ratios(measures: Measures, draws: Floats, given: Floats, held: Floats) -> dict[str, float]:
    """Return the draws' divergences from the given half over those of the held half."""
    floor, n = measures.divergences(held, given), len(held)
    sets = [measures.divergences(draws[i : i + n], given) for i in range(0, len(draws) - n + 1, n)]
    return {kind: float(np.mean([s[kind] for s in sets])) / max(value, 1e-12) for kind, value in floor.items()}


def spectrum(draws: Floats, frames: Floats) -> tuple[Float64, float]:
    """Return the first ten eigenvalues of the draws' covariance over the frames', and the ratio of all variance."""
    weights = np.ones(frames.shape[1])
    reference = mean_structure(frames, weights)
    x, y = (superpose(f.astype(np.float64), reference, weights).reshape(len(f), -1) for f in (frames, draws))
    own = [np.linalg.eigvalsh(np.cov(f.T))[::-1][:10] for f in (y, x)]
    return own[0] / own[1], float(y.var(axis=0).sum() / x.var(axis=0).sum())


def coverage(draws: Floats, held: Floats, k: int = 5) -> float:
    """Return the share of held-out frames that have a draw among their k nearest of draws and other frames."""
    n, both = len(held), np.concatenate([held, draws[: len(held)]])
    hits = []
    for i, frame in enumerate(held):
        away = pairwise_rmsd(both, np.broadcast_to(frame, both.shape), np.ones(frame.shape[0]))
        away[i] = np.inf
        hits.append(bool((np.argsort(away)[:k] >= n).any()))
    return float(np.mean(hits))


def judge(system: System, folder: Path, seed: int, **drawing: object) -> Iterator[tuple[str, str]]:
    """Train on one half with defaults, and judge draws by the other."""
    source = open_source(str(folder / system.trajectory), Reading(str(folder / system.topology), system.select))
    frames, topology = source.read().positions, source.topology
    given, held = halves(frames, system.block)
    begun = time.perf_counter()
    config = TrainConfig(features=system.features, latent_dim=system.latent_dim, seed=seed)
    model = train_on(given, folder, system, config)
    f = model.figures
    yield (
        "training",
        f"{time.perf_counter() - begun:.0f} s, {f['feature_kind']}, {f['likelihood']}, {f['epochs']} epochs",
    )
    yield "held-out RMSD over PCA's", f"{f['rmsd']:.3f} / {f['pca_rmsd']:.3f} = {f['rmsd'] / f['pca_rmsd']:.3f}"
    yield "ELBO, prior gap", f"{f['elbo']:.1f}, {f['prior_gap']:.2f}"
    begun = time.perf_counter()
    made = model.generate(DRAWS, seed=1000, **drawing)  # type: ignore[arg-type]
    g = made.figures
    took = time.perf_counter() - begun
    yield (
        "valid as drawn, after redraws",
        f"{100 * g['valid_raw'] / g['drawn']:.1f} %, {100 * g['valid'] / g['n']:.1f} %",
    )
    yield "held-out frames valid", f"{100 * Validity.fit(given, topology).test(held).mean():.2f} %"
    yield f"generated {DRAWS}", f"{took:.1f} s, sampler {g['sampler']}"
    for kind, ratio in ratios(Measures(topology), made.positions, given, held).items():
        yield kind, f"{ratio:.2f} x floor"
    for name, half in (("given half", given), ("held half", held)):
        each, total = spectrum(made.positions, half)
        yield f"spectrum over the {name}'s", f"{' '.join(f'{e:.2f}' for e in each)}; total {total:.2f}"
    some = [nearest(x[:500].astype(np.float64), given)[1] for x in (made.positions, held)]
    yield "median nearest RMSD, draws over held", f"{np.median(some[0]) / np.median(some[1]):.2f}"
    if len(held) <= 1000:
        yield "held frames with a draw near", f"{100 * coverage(made.positions, held):.0f} %"


def train_on(given: Floats, folder: Path, system: System, config: TrainConfig) -> Model:
    """Train on frames of a system's selected atoms, with the topology that its files give."""
    import MDAnalysis as mda

    atoms = mda.Universe(str(folder / system.topology)).select_atoms(system.select)
    universe = mda.Merge(atoms)
    universe.load_new(given.astype(np.float32))
    return Model.train(universe.atoms, config, reading=Reading(select="all"))


def main() -> None:
    """Print a table for each system and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", nargs="*", default=list(SYSTEMS))
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for row, seed in itertools.product(options.rows, range(options.seeds)):
        print(f"\n| {row}, seed {seed} | |\n|---|---|", flush=True)
        for what, found in judge(SYSTEMS[row], options.folder, seed):
            print(f"| {what} | {found} |", flush=True)


if __name__ == "__main__":
    main()
