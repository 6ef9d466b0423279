"""Print the figures of docs/benchmarks.md, each beside its bound: `make figures`, or `python benchmarks/figures.py`.

Needs MDAnalysisTests (adenylate kinase). Takes about five minutes on two cores.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import MDAnalysis as mda
import mdtraj
import numpy as np
from MDAnalysisTests.datafiles import DCD, PSF
from scipy.spatial.transform import Rotation

from trajvae import Model, Reading, TrainConfig
from trajvae.readers import Alignment, frame_jump, open_source, pairwise_rmsd

Row = tuple[str, str, str, bool]

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
ALANINE = (str(EXAMPLES / "alanine_dipeptide.xtc"), Reading(EXAMPLES / "alanine_dipeptide.pdb"))
ADK = (DCD, Reading(PSF, "name CA"))
CHAIN2D = (str(EXAMPLES / "chain2d.npz"), Reading())
CHAIN3D = (str(EXAMPLES / "chain3d.npz"), Reading())


def trained(source: tuple[str, Reading]) -> tuple[Model, float]:
    """A model by the defaults, and the seconds that took."""
    begun = time.perf_counter()
    model = Model.train(source[0], TrainConfig(), reading=source[1])
    return model, time.perf_counter() - begun


def reconstruction(name: str, model: Model, bound: float) -> Row:
    """Held-out RMSD beside that of PCA."""
    f = model.figures
    ratio = f["rmsd"] / f["pca_rmsd"]
    text = f"{f['rmsd']:.3f} Å = {ratio:.2f} x PCA ({f['pca_rmsd']:.3f} Å)"
    return f"{name}, held-out RMSD", text, f"<= {bound} x PCA", ratio <= bound


def held_out(name: str, model: Model) -> Row:
    """Share of held-out simulated frames that pass the validity test."""
    share = model.figures["held_out_valid"]
    return f"{name}, held-out frames valid", f"{100 * share:.2f} %", ">= 99.5 %", share >= 0.995


def optimum(name: str, model: Model, goal: str, of: str) -> Row:
    """An optimised radius of gyration beside the simulation's quantiles."""
    f = model.optimize("rg", goal=goal, of=of).figures
    low, high = f["quantiles"]
    beyond = f["optimum"] < low if goal == "min" else f["optimum"] > high
    good = beyond and (of == "mean" or (f["valid"] and f["in_support"]))
    text = (
        f"{f['optimum']:.3f} Å (expected {f['expected']:.3f}), {f['optimum'] / f['best_observed']:.2f} x best frame, "
        f"valid {f['valid']}, in support {f['in_support']}"
    )
    bound = f"< {low:.3f} (1 %)" if goal == "min" else f"> {high:.3f} (99 %)"
    return f"{name}, Rg {goal} of {of}", text, bound, bool(good)


def jump(name: str, source: tuple[str, Reading], kind: str, bound: float) -> Row:
    """Largest jump between neighbouring frames over the run, beside optimal pairwise superposition."""
    x = open_source(*source).read().positions
    ones = np.ones(x.shape[1])
    aligned = Alignment.fit(kind, x, ones).apply(x)
    ratio = frame_jump(aligned)[1:].max() / pairwise_rmsd(x[1:], x[:-1], ones).max()
    return f"{name}, frame_jump, {kind}", f"{ratio:.3f} x optimal", f"<= {bound} x", bool(ratio <= bound)


def moved(x: np.ndarray, seed: int = 0) -> np.ndarray:
    """Every frame turned and shifted at random."""
    rng = np.random.default_rng(seed)
    if x.shape[2] == 3:
        turns = Rotation.random(len(x), rng).as_matrix()
    else:
        angle = rng.uniform(0, 2 * np.pi, len(x))
        turns = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    return x @ turns + rng.normal(0, 20, (len(x), 1, x.shape[2]))


def invariance(name: str, model: Model, source: tuple[str, Reading], folder: Path) -> Iterator[Row]:
    """Latents before and after the frames were turned and shifted."""
    x = open_source(*source).read().positions.astype(np.float64)
    plain = Reading(select="all")
    difference = np.abs(model.encode(moved(x), plain).latent - model.encode(x, plain).latent).max()
    yield f"{name}, frames turned and shifted, arrays", f"{difference:.1e}", "<= 1e-8", bool(difference <= 1e-8)
    if x.shape[2] == 3:
        files = []
        for label, frames in (("a", x), ("b", moved(x))):
            files.append(str(folder / f"{label}.dcd"))
            universe = mda.Universe.empty(x.shape[1], trajectory=True)
            universe.load_new(frames.astype(np.float32), order="fac").atoms.write(files[-1], frames="all")
        difference = np.abs(model.encode(files[0], plain).latent - model.encode(files[1], plain).latent).max()
        yield f"{name}, frames turned and shifted, files", f"{difference:.1e}", "<= 1e-4", bool(difference <= 1e-4)


def opens(model: Model, folder: Path) -> Row:
    """generate.h5md in MDAnalysis and mdtraj."""
    model.generate(200).save(folder / "generate.h5md")
    universe = mda.Universe(str(folder / "generate.pdb"), str(folder / "generate.h5md"))
    a = np.array([step.positions.copy() for step in universe.trajectory])
    difference = np.abs(a - 10 * mdtraj.load_hdf5(str(folder / "generate.h5md")).xyz).max()
    return "generate.h5md, MDAnalysis - mdtraj", f"{difference:.1e} Å", "<= 1e-4 Å", bool(difference <= 1e-4)


def deterministic() -> Row:
    """Two trainings with one seed."""
    weights = [trained(ADK)[0].pipeline.vae.state_dict() for _ in range(2)]
    same = all(bool((weights[0][k] == weights[1][k]).all()) for k in weights[0])
    return "two trainings with one seed", "bit-identical" if same else "differ", "bit-identical", same


def rows() -> Iterator[Row]:
    """All of them."""
    adk, seconds = trained(ADK)
    yield reconstruction("AdK C-alpha", adk, 0.9)
    yield "AdK C-alpha, training", f"{seconds:.0f} s", "< 120 s", seconds < 120
    alanine, _ = trained(ALANINE)
    yield reconstruction("alanine dipeptide", alanine, 0.5)
    flat, _ = trained(CHAIN2D)
    yield reconstruction("2-D chain", flat, 1.05)
    chain, _ = trained(CHAIN3D)
    yield optimum("2-D chain", flat, "min", "sample")
    yield optimum("2-D chain", flat, "min", "mean")
    yield optimum("alanine dipeptide", alanine, "min", "sample")
    yield optimum("alanine dipeptide", alanine, "max", "sample")
    yield jump("2-D chain, close in time", (str(EXAMPLES / "chain2d_close.npz"), Reading()), "superpose", 1.15)
    yield jump("AdK DIMS", ADK, "principal", 1.6)
    named = {"AdK": adk, "alanine dipeptide": alanine, "2-D chain": flat, "3-D chain": chain}
    for name, model in named.items():
        yield held_out(name, model)
    with tempfile.TemporaryDirectory() as folder:
        yield from invariance("AdK", adk, ADK, Path(folder))
        yield from invariance("2-D chain", flat, CHAIN2D, Path(folder))
        yield opens(alanine, Path(folder))
    yield deterministic()


def main(show: Callable[[str], None] = print) -> None:
    """Print a Markdown table."""
    warnings.simplefilter("ignore")
    show("| what | measured | bound | |\n|---|---|---|---|")
    missed = 0
    for what, measured, bound, good in rows():
        missed += not good
        show(f"| {what} | {measured} | {bound} | {'met' if good else 'MISSED'} |")
    raise SystemExit(min(missed, 1))


if __name__ == "__main__":
    main()
