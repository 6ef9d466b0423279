"""Sound files of every kind, by real trainings of a few epochs, for `fuzz.py` to damage."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import mdtraj
import numpy as np

from trajvae import Model, TrainConfig, compare
from trajvae.errors import StoppedError
from trajvae.geometry.geodesic import GeodesicOptions
from trajvae.outputs.judging.trials import ComparisonPlan
from trajvae.outputs.optimize import Search
from trajvae.training import prepare
from trajvae.typing import Float64

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
BACKENDS: dict[str, dict[str, Any]] = {
    "euclidean": {},
    "hyperspherical": {},
    "product": {"signature": "h2,s1,e1"},
    "rhvae": {"settings": {"centroids": 5, "warmup": 0.0}},
    "embedded": {},
}
UNFINISHED = ("euclidean", "rhvae")


def make_seeds(folder: Path, *, checksums: bool = False) -> dict[Path, str]:
    """Write them; each with what reads it. Without checksums, which would refuse all damage before anything is read."""
    warnings.simplefilter("ignore")
    folder.mkdir(exist_ok=True)
    x = np.load(EXAMPLES / "chain2d.npz")["positions"][:60].copy()
    out = _models(folder, x) | _unfinished(folder, x) | _results(folder, x)
    np.save(folder / "array.npy", x[:20])
    np.savez(folder / "array.npz", positions=x[:20], more=x[0])
    np.savez_compressed(folder / "packed.npz", x=x[:20])
    if not checksums:
        for path in out:
            _forget_checksums(path)
    return out | {folder / name: "arrays" for name in ("mdtraj.h5", "array.npy", "array.npz", "packed.npz")}


def _forget_checksums(path: Path) -> None:
    """Leave a file as older versions wrote it."""
    with h5py.File(path, "r+") as file:
        if "trajvae/checksums" in file:
            del file["trajvae/checksums"]
            del file["trajvae"].attrs["checksum"]


def _models(folder: Path, x: Float64) -> dict[Path, str]:
    """One of each latent space."""
    for name, options in BACKENDS.items():
        config = TrainConfig(backend=name, epochs=2, hidden=(8,), **options)
        Model.train(x, config, device="cpu").save(folder / f"{name}.h5", force=True)
    return {folder / f"{name}.h5": "model" for name in BACKENDS}


def _unfinished(folder: Path, x: Float64) -> dict[Path, str]:
    """Checkpoints of trainings that were stopped, after the first steps."""
    out = {folder / f"unfinished_{name}.h5": name for name in UNFINISHED}
    for path, name in out.items():
        steps = iter(range(1000))
        config = TrainConfig(backend=name, epochs=50, hidden=(8,), **BACKENDS[name])
        try:
            prepare(x, config, device="cpu").run(checkpoint=path, asked=lambda steps=steps: next(steps) > 5)
        except StoppedError:
            continue
        raise RuntimeError("the training was to be stopped")
    return dict.fromkeys(out, "unfinished")


def _results(folder: Path, x: Float64) -> dict[Path, str]:
    """Of a molecule with a topology; the comparison is of models of a polymer."""
    top = str(EXAMPLES / "alanine_dipeptide.pdb")
    peptide = mdtraj.load(str(EXAMPLES / "alanine_dipeptide.xtc"), top=top)[:60]
    peptide = peptide.atom_slice(peptide.topology.select("element != H"))
    peptide[:10].save_hdf5(str(folder / "mdtraj.h5"))
    model = Model.train(peptide, TrainConfig(epochs=2, hidden=(8,), features="internal"), device="cpu")
    model.save(folder / "internal.h5", force=True)
    conformations = {
        "generate": model.generate(5),
        "optimize": model.optimize("rg", search=Search(starts=2, steps=2, draws=16, keep=2)),
        "path": model.path(0, 5, frames=3, descent=GeodesicOptions(steps=2)),
    }
    for name, made in conformations.items():
        made.save(folder / f"{name}.h5md", force=True)
        (folder / f"{name}.pdb").replace(folder / "topology.pdb")
    model.encode(peptide).save(folder / "embed.h5", force=True)
    model.marginals().save(folder / "marginals.h5", force=True)
    two = {name: Model.load(folder / f"{name}.h5", device="cpu") for name in ("euclidean", "embedded")}
    compare(x, models=two, plan=ComparisonPlan(draws=20), device="cpu").save(folder / "compare.h5", force=True)
    out = {folder / "internal.h5": "model"} | {folder / f"{name}.h5md": "h5md" for name in conformations}
    return out | {folder / f"{name}.h5": "result" for name in ("embed", "marginals", "compare")}
