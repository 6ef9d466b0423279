"""Print how near generated ensembles come to the simulation: `python benchmarks/ensembles.py [WORD...]`.

Divergences are Jensen-Shannon, base 2, 50 bins (36 x 36 for phi and psi), means over all pair distances. The floor is
that of the held-out blocks against as many training frames, evenly taken; the model's is that of as many of its draws
against those training frames, averaged over all disjoint sets that 4000 draws make. Words choose rows by their names.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import MDAnalysis as mda
import numpy as np
import torch
from MDAnalysis.analysis.bat import BAT
from MDAnalysisTests.datafiles import DCD, DCD2, PSF
from scipy.spatial.distance import jensenshannon

from trajvae import Model, Reading, TrainConfig
from trajvae.features.rebuild import Coordinates, RebuildPlan, measure, rebuild
from trajvae.features.tree import spanning_tree
from trajvae.molecule.histogram_divergence import histogram_divergence
from trajvae.molecule.observables import built_in, catalogue, evaluate_all, pair_observables
from trajvae.outputs.drawing.projection import project
from trajvae.outputs.judging.baselines import principal_draws
from trajvae.readers import open_source, pairwise_rmsd
from trajvae.typing import Floats

Row = tuple[str, str, str, bool]

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
ALANINE = (str(EXAMPLES / "alanine_dipeptide.xtc"), EXAMPLES / "alanine_dipeptide.pdb")
PEPTIDE = (str(EXAMPLES / "peptide.xtc"), EXAMPLES / "peptide.pdb")
DRAWS = 4000
SEEDS = (0, 1, 2)


def pair_divergence(a: Floats, b: Floats) -> float:
    """Mean over pair distances."""
    items = pair_observables(a.shape[1])
    va, vb = evaluate_all(items, a), evaluate_all(items, b)
    return float(np.mean([histogram_divergence(va[o.name], vb[o.name]) for o in items]))


def observable_divergence(name: str, model: Model, a: Floats, b: Floats) -> float:
    """Of a built-in observable."""
    item = built_in(model.topology)[name]
    va, vb = (evaluate_all([item], x)[name] for x in (a, b))
    return histogram_divergence(va, vb)


def ramachandran_divergence(model: Model, a: Floats, b: Floats) -> float:
    """Of the histogram of phi and psi of the first residue that has both, 36 x 36."""
    items = [o for o in catalogue(model.topology, 3) if o.name.startswith(("phi", "psi"))][:2]
    edges = np.linspace(-180.0, 180.0, 37)
    histograms = []
    for x in (a, b):
        values = evaluate_all(items, x)
        histograms.append(np.histogram2d(*(values[o.name] for o in items), bins=(edges, edges))[0].ravel() / len(x))
    return float(jensenshannon(*histograms, base=2) ** 2)


Measure = Callable[[Floats, Floats], float]


class Ensemble:
    """A model, the frames it was trained on, and draws from it."""

    def __init__(self, source: Any, reading: Reading, config: TrainConfig, **mending: Any) -> None:
        begun = time.perf_counter()
        self.model = Model.train(source, config, reading=reading)
        self.seconds = time.perf_counter() - begun
        self.frames = open_source(source, reading).read().positions
        self.made = self.model.generate(DRAWS, seed=1000, **mending)
        held = self.model.record.held_out
        train = np.flatnonzero(~held)
        self.held = self.frames[held]
        even = np.linspace(0, len(train) - 1, min(len(self.held), len(train))).astype(int)
        self.train = self.frames[train[even]]

    def ratio(self, measure: Measure) -> tuple[float, float]:
        """The model's divergence over the floor, and the floor."""
        n = len(self.train)
        floor = measure(self.held, self.train)
        x = self.made.positions
        sets = [x[i : i + n] for i in range(0, len(x) - n + 1, n)]
        return float(np.mean([measure(s, self.train) for s in sets])) / floor, floor

    def row(self, name: str, measure: Measure, bound: float) -> Row:
        """A ratio beside its bound."""
        ratio, floor = self.ratio(measure)
        return name, f"{ratio:.2f} x floor ({floor:.4f} bits)", f"<= {bound} x", ratio <= bound

    def rates(self) -> tuple[float, float]:
        """Valid as drawn, and after mending."""
        f = self.made.figures
        return f["valid_raw"] / f["drawn"], f["valid"] / f["n"]


def quality(ensemble: Ensemble) -> str:
    """Figures of a training."""
    f = ensemble.model.figures
    return (
        f"{f['feature_kind']}, {ensemble.seconds:.0f} s, {f['epochs']} epochs, ELBO {f['elbo']:.2f}, "
        f"KL {sum(f['kl'].values()):.2f}, {f['active_units']} active, RMSD {f['rmsd']:.3f} Å (PCA {f['pca_rmsd']:.3f})"
    )


def alanine_heavy() -> Iterator[Row]:
    """Ten heavy atoms, latent 2, three seeds."""
    for seed in SEEDS:
        e = Ensemble(ALANINE[0], Reading(ALANINE[1]), TrainConfig(features="auto", seed=seed))
        name = f"alanine dipeptide, heavy atoms, seed {seed}"
        yield name, quality(e), "", True
        yield e.row(f"{name}, pair distances", pair_divergence, 2.0)
        yield e.row(f"{name}, phi/psi", lambda a, b, m=e.model: ramachandran_divergence(m, a, b), 2.0)  # type: ignore[misc]


def alanine_all() -> Iterator[Row]:
    """All 22 atoms."""
    for seed in SEEDS:
        e = Ensemble(ALANINE[0], Reading(ALANINE[1], "all"), TrainConfig(features="auto", seed=seed))
        raw, _ = e.rates()
        name = f"alanine dipeptide, all atoms, seed {seed}"
        yield name, quality(e), "", True
        yield e.row(f"{name}, pair distances", pair_divergence, 2.0)
        yield f"{name}, valid as drawn", f"{100 * raw:.2f} %", ">= 99 %", raw >= 0.99


def peptide() -> Iterator[Row]:
    """The backbone of the heptapeptide, latent 6."""
    for seed in SEEDS:
        config = TrainConfig(features="auto", latent_dim=6, seed=seed)
        e = Ensemble(PEPTIDE[0], Reading(PEPTIDE[1], "backbone"), config)
        raw, final = e.rates()
        name = f"peptide, backbone, seed {seed}"
        yield name, quality(e), "", True
        yield e.row(f"{name}, pair distances", pair_divergence, 2.0)
        for item in ("rg", "end_to_end"):
            measure = lambda a, b, m=e.model, o=item: observable_divergence(o, m, a, b)  # noqa: E731
            yield e.row(f"{name}, {item}", measure, 2.0)
        yield f"{name}, valid as drawn", f"{100 * raw:.2f} %", ">= 85 %", raw >= 0.85
        yield f"{name}, valid after 2 redraws", f"{100 * final:.2f} %", ">= 98 %", final >= 0.98


def kinase() -> Iterator[Row]:
    """AdK's C-alphas, both DIMS trajectories, with projection, beside PCA with an isotropic residual."""
    for seed in SEEDS:
        reading = Reading(PSF, "name CA")
        e = Ensemble([DCD, DCD2], reading, TrainConfig(features="auto", seed=seed), project=True)
        _, final = e.rates()
        name = f"AdK, seed {seed}"
        yield name, quality(e), "", True
        yield f"{name}, valid after projection", f"{100 * final:.2f} %", ">= 98 %", final >= 0.98
        drawn = principal_draws(e.model.pipeline, e.frames[~e.model.record.held_out], DRAWS, seed)
        peer = project(e.model.record.validity, drawn)
        train = e.frames[~e.model.record.held_out]
        mine, theirs = pair_divergence(e.made.positions, train), pair_divergence(peer, train)
        yield f"{name}, pair distances", f"{mine:.4f} bits (PCA {theirs:.4f})", "< PCA", mine < theirs


def polymers() -> Iterator[Row]:
    """Bead chains, latent 2, as drawn: redraws take away compact chains, which overlap more often."""
    for name in ("chain2d", "chain3d"):
        for seed in SEEDS:
            e = Ensemble(str(EXAMPLES / f"{name}.npz"), Reading(), TrainConfig(features="auto", seed=seed), redraws=0)
            yield f"{name}, seed {seed}", f"{quality(e)}, valid {100 * e.rates()[0]:.1f} %", "", True
            yield e.row(f"{name}, seed {seed}, pair distances", pair_divergence, 1.5)


def rebuilding() -> Iterator[Row]:
    """Positions from internal coordinates: exactness on every frame, and speed on one thread beside MDAnalysis' BAT."""
    for name, source, reading in (
        ("alanine dipeptide", ALANINE[0], Reading(ALANINE[1], "all")),
        ("peptide", PEPTIDE[0], Reading(PEPTIDE[1])),
        ("2-D chain", str(EXAMPLES / "chain2d.npz"), Reading()),
        ("3-D chain", str(EXAMPLES / "chain3d.npz"), Reading()),
        ("AdK C-alpha", [DCD, DCD2], Reading(PSF, "name CA")),
    ):
        frames = open_source(source, reading)
        x = frames.read().positions.astype(np.float64)
        plan = RebuildPlan(spanning_tree(frames.topology.backbone_bonds(), x, frames.topology.elements != "H"))
        coordinates = measure(torch.from_numpy(x), plan)
        off = pairwise_rmsd(rebuild(coordinates, plan).numpy(), x, np.ones(x.shape[1])).max()
        yield f"rebuild, {name}, {len(x)} frames", f"{off:.1e} Å", "<= 1e-10 Å", bool(off <= 1e-10)
        if name == "alanine dipeptide":
            yield rebuild_speed(coordinates, plan)


def rebuild_speed(coordinates: Coordinates, plan: RebuildPlan) -> Row:
    """Frames of 22 atoms a second, in pieces of 2048, and of BAT.Cartesian on some of them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rates = []
    for _ in range(7):
        begun = time.perf_counter()
        for piece in zip(*(torch.split(c, 2048) for c in coordinates), strict=True):
            rebuild(Coordinates(*piece), plan)
        rates.append(len(coordinates.bonds) / (time.perf_counter() - begun))
    torch.set_num_threads(threads)
    bat = BAT(mda.Universe(str(ALANINE[1]), ALANINE[0]).select_atoms("all")).run(stop=500)
    begun = time.perf_counter()
    for row in bat.results.bat:
        bat.Cartesian(row)
    peer = len(bat.results.bat) / (time.perf_counter() - begun)
    rate = float(np.median(rates))
    text = f"{rate:.0f} frames/s ({rate / peer:.0f} x MDAnalysis' BAT, {peer:.0f})"
    return "rebuild, 22 atoms, float64, one thread", text, ">= 150000 frames/s", rate >= 150_000


def generating() -> Iterator[Row]:
    """The command line, start-up included: 10 000 valid conformations of alanine dipeptide."""
    with tempfile.TemporaryDirectory() as folder:
        for name, select in (("heavy atoms", None), ("all atoms", "all")):
            path = str(Path(folder) / "model.h5")
            Model.train(ALANINE[0], TrainConfig(features="auto"), reading=Reading(ALANINE[1], select)).save(
                path, force=True
            )
            words = ["generate", "-n", "10000", "--valid-only", "-m", path, "-o", str(Path(folder) / "g.h5md"), "-f"]
            seconds = []
            for _ in range(5):
                begun = time.perf_counter()
                subprocess.run([sys.executable, "-m", "trajvae_cli", *words], check=True, capture_output=True)
                seconds.append(time.perf_counter() - begun)
            took = float(np.median(seconds))
            yield (
                f"generate 10 000 valid, {name}",
                f"{took:.1f} s ({min(seconds):.1f} to {max(seconds):.1f})",
                "< 5 s",
                took < 5,
            )


ROWS = (alanine_heavy, alanine_all, peptide, kinase, polymers, rebuilding, generating)


def main(show: Callable[[str], None] = print) -> None:
    """Print a Markdown table."""
    warnings.simplefilter("ignore")
    show("| what | measured | bound | |\n|---|---|---|---|")
    missed = 0
    for rows in ROWS:
        if len(sys.argv) > 1 and not any(word in rows.__name__ for word in sys.argv[1:]):
            continue
        for what, measured, bound, good in rows():
            missed += not good
            show(f"| {what} | {measured} | {bound} | {'' if not bound else 'met' if good else 'MISSED'} |")
    raise SystemExit(min(missed, 1))


if __name__ == "__main__":
    main()
