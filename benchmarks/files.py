"""Every trajectory and topology file of MDAnalysisTests, alone and in its pairs, read by trajvae and by MDAnalysis.

    python benchmarks/files.py [--json FILE]

Prints what differs: positions by more than 1e-3 Å, times, or an error that is not one line; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import MDAnalysis as mda
import numpy as np
from MDAnalysisTests import datafiles

from trajvae.errors import TrajvaeError
from trajvae.readers.opening import open_any

FRAMES = 20  # of each file, from its beginning
NEAR = 1e-3  # Å, and ps relative to a time's size
PAIRS = (
    ("PSF", "DCD"), ("PSF", "CRD"), ("PSF_TRICLINIC", "DCD_TRICLINIC"), ("PSF_NAMD_TRICLINIC", "DCD_NAMD_TRICLINIC"),
    ("PSF_NAMD_GBIS", "DCD_NAMD_GBIS"), ("GRO", "XTC"), ("GRO", "TRR"), ("TPR", "XTC"), ("TPR_xvf", "TRR_xvf"),
    ("TPR_xvf", "H5MD_xvf"), ("PRMncdf", "NCDF"), ("PRMpbc", "TRJpbc_bz2"), ("PRM", "TRJ"), ("PRM", "TRJ_bz2"),
    ("PRM7", "NCDFtruncoct"), ("TRZ_psf", "TRZ"), ("PDB_sub_sol", "XTC_sub_sol"),
    ("LAMMPSdata2", "LAMMPSdcd2"), ("PSF_notop", "DCD"), ("PDB", "XTC"), ("PFncdf_Top", "PFncdf_Trj"),
    ("CPPTRAJ_TRAJ_TOP", "CPPTRAJ_TRAJ"), ("XYZ_psf", "XYZ"), ("TRC_PDB_VAC", "TRC_TRAJ1_VAC"),
)  # fmt: skip


class Outcome(NamedTuple):
    """What became of a file or of a pair."""

    name: str
    topology: str
    kind: str  # read, refused, or wrong
    text: str


def stored_files() -> dict[str, Path]:
    """Names in `datafiles` and their paths, each path once."""
    found: dict[Path, str] = {}
    for name in sorted(dir(datafiles)):
        value = getattr(datafiles, name)
        if isinstance(value, str | Path) and not name.startswith("_") and Path(value).is_file():
            found.setdefault(Path(value), name)
    return {name: path for path, name in found.items()}


def by_mdanalysis(path: Path, topology: Path | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Positions and times of the first frames, or None where MDAnalysis reads nothing."""
    try:
        universe = mda.Universe(str(path)) if topology is None else mda.Universe(str(topology), str(path))
        steps = [(ts.positions.copy(), ts.time) for ts in universe.trajectory[:FRAMES] if ts.has_positions]
        return np.array([x for x, _ in steps]), np.array([t for _, t in steps], dtype=float)
    except Exception:
        return None


def compare(path: Path, topology: Path | None) -> tuple[str, str]:
    """Read a file both ways: `read`, `refused` or `wrong`, and what there is to say."""
    try:
        (opened,) = open_any(path, [] if topology is None else [topology])
        file = opened.file
        if file.n_atoms != len(opened.atoms.universe.atoms):
            return "refused", f"{file.n_atoms} atoms, the topology {len(opened.atoms.universe.atoms)}"
        some = range(min(FRAMES, file.n_frames))
        blocks = list(file.blocks(some, np.arange(file.n_atoms), FRAMES))
        times = file.times(some)
    except TrajvaeError as error:
        return "refused", str(error)
    except Exception as error:
        return "wrong", f"{type(error).__name__}: {error}"
    expected, text = by_mdanalysis(path, topology), f"{file.n_frames} frames, {file.n_atoms} atoms"
    if expected is None or not blocks:
        return "read", text
    x, (y, known) = np.concatenate([b.positions for b in blocks]), expected
    if x.shape != y.shape or not np.allclose(x, y, atol=NEAR, rtol=0, equal_nan=True):
        return "wrong", f"positions {x.shape} differ from MDAnalysis' {y.shape}"
    if not np.allclose(times, known, rtol=1e-5, atol=NEAR):
        return "wrong", f"times {times[:3]} differ from MDAnalysis' {known[:3]}"
    return "read", text


def outcomes(names: list[str] | None = None) -> list[Outcome]:
    """All files alone, or those named, and all pairs of them."""
    files = stored_files()
    chosen = files if names is None else {n: p for n, p in files.items() if n in names}
    jobs: list[tuple[str, Path, str, Path | None]] = [(n, p, "", None) for n, p in chosen.items()]
    for top, run in PAIRS:
        if (names is None or run in names) and hasattr(datafiles, top) and hasattr(datafiles, run):
            jobs.append((run, Path(getattr(datafiles, run)), top, Path(getattr(datafiles, top))))
    out = []
    for name, path, top, topology in jobs:
        kind, text = compare(path, topology)
        out.append(Outcome(name, top, kind, text.replace(str(path), path.name).replace(str(path.parent), "")))
    return out


def main() -> None:
    """Print what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write all outcomes there, for docs/make_reading.py")
    chosen: Any = parser.parse_args()
    warnings.simplefilter("ignore")
    found = outcomes()
    wrong = [o for o in found if o.kind == "wrong"]
    for outcome in wrong:
        print(f"{outcome.name} {outcome.topology}: {outcome.text}")
    counts = {kind: sum(o.kind == kind for o in found) for kind in ("read", "refused", "wrong")}
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([o._asdict() for o in found], indent=1) + "\n")
    sys.exit(len(wrong) > 0)


if __name__ == "__main__":
    main()
