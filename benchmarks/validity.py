"""What the validity test passes and refuses: `python benchmarks/validity.py`, two minutes.

Simulated frames of held-out blocks, and the same frames scaled by a tenth, mirrored, with a planar atom moved by 0.4 Å,
and with a peptide bond bent by 50 degrees. Then 400 draws of adenylate kinase's N, CA and C atoms from a normal model,
moved into the allowed ranges as `generate --project` does.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
from MDAnalysisTests.datafiles import DCD, DCD2, PSF
from scipy.spatial.transform import Rotation

from trajvae import Reading
from trajvae.molecule.bonded_terms import omegas
from trajvae.molecule.validity import Validity
from trajvae.outputs.drawing.projection import project
from trajvae.readers.sources import open_source
from trajvae.topology import Topology
from trajvae.typing import Float64

EXAMPLES = Path(__file__).parents[1] / "examples" / "trajectories"
BACKBONE = "name N CA C O"
SYSTEMS = {
    "chain2d": (EXAMPLES / "chain2d.npz", Reading()),
    "chain3d": (EXAMPLES / "chain3d.npz", Reading()),
    "alanine dipeptide": (EXAMPLES / "alanine_dipeptide.xtc", Reading(topology=EXAMPLES / "alanine_dipeptide.pdb")),
    "the same, all atoms": (
        EXAMPLES / "alanine_dipeptide.xtc",
        Reading(topology=EXAMPLES / "alanine_dipeptide.pdb", select="all"),
    ),
    "heptapeptide": (EXAMPLES / "peptide.xtc", Reading(topology=EXAMPLES / "peptide.pdb")),
    "AdK C-alpha": (DCD, Reading(topology=PSF, select="name CA")),
    "AdK backbone": (DCD, Reading(topology=PSF, select=BACKBONE)),
    "AdK C-alpha, second": (DCD2, Reading(topology=PSF, select="name CA")),
    "AdK backbone, second": (DCD2, Reading(topology=PSF, select=BACKBONE)),
}


def lifted(x: Float64, learned: Validity) -> Float64:
    """One planar atom of each frame moved by 0.4 Å out of the plane of its neighbours."""
    out, frame, which = x.copy(), np.arange(len(x)), learned.planes[np.arange(len(x)) % len(learned.planes)]
    i, j, k = (x[frame, which[:, n]] for n in (1, 2, 3))
    normal = np.cross(j - i, k - i)
    out[frame, which[:, 0]] += 0.4 * normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return out


def bent(x: Float64, learned: Validity) -> Float64:
    """One peptide bond of each frame at 130 degrees, with all later atoms turned about it."""
    out = x.copy()
    for k, frame in enumerate(out):
        four = learned.omega[k % len(learned.omega)]
        axis, later = frame[four[2]] - frame[four[1]], np.arange(four[2], len(frame))
        angle = np.deg2rad(130.0) - omegas(frame[None], four[None])[0, 0]
        turn = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
        out[k, later] = turn.apply(frame[later] - frame[four[1]]) + frame[four[1]]
    return out


def row(x: Float64, topology: Topology) -> list[float]:
    """Percentages: held-out frames that pass; scaled, mirrored, lifted and bent frames that are refused."""
    block = np.arange(len(x)) // max(1, min(100, len(x) // 20)) % 2 == 0
    passed = np.mean([Validity.fit(x[b], topology).test(x[~b]).mean() for b in (block, ~block)])
    learned, some = Validity.fit(x[block], topology), x[~block][:: max(1, len(x) // 1000)]
    changed = {"longer": 1.1 * some, "shorter": 0.9 * some}
    if x.shape[2] == 3:
        changed["mirror"] = some * [1.0, 1.0, -1.0]
    if len(learned.planes):
        changed["plane"] = lifted(some, learned)
    if len(learned.omega):
        changed["omega"] = bent(some, learned)
    refused = {name: 1.0 - learned.test(frames).mean() for name, frames in changed.items()}
    kinds = ("longer", "shorter", "mirror", "plane", "omega")
    return [100.0 * float(passed), *(100.0 * float(refused.get(kind, np.nan)) for kind in kinds)]


def draws_of_a_backbone() -> str:
    """How long 400 draws of a crude normal model take, and how many are valid afterwards."""
    frames = open_source(DCD, Reading(topology=PSF, select="name N CA C"))
    x = frames.read().positions.astype(np.float64)
    learned, random, mean = Validity.fit(x, frames.topology), np.random.default_rng(0), x.mean(axis=0)
    modes = (x - mean).reshape(len(x), -1) / np.sqrt(len(x) - 1)
    draws = mean + (random.normal(size=(400, len(x))) @ modes).reshape(400, *mean.shape)
    draws += 0.15 * random.normal(size=draws.shape)
    began, cpu = time.perf_counter(), time.process_time()
    valid = learned.test(project(learned, draws)).mean()
    spent = f"{time.perf_counter() - began:.1f} s ({time.process_time() - cpu:.1f} s of processor time)"
    return f"400 draws of {x.shape[1]} atoms projected in {spent}: {100 * valid:.1f} % valid, none before"


def main() -> None:
    """Print a table."""
    warnings.simplefilter("ignore")
    print(f"{'%':24}{'passes':>9}{'x 1.10':>9}{'x 0.90':>9}{'mirror':>9}{'plane':>9}{'omega':>9}")
    for name, (file, reading) in SYSTEMS.items():
        frames = open_source(file, reading)
        numbers = row(frames.read().positions.astype(np.float64), frames.topology)
        print(f"{name:24}" + "".join(f"{number:9.2f}" for number in numbers), flush=True)
    print(draws_of_a_backbone())


if __name__ == "__main__":
    main()
