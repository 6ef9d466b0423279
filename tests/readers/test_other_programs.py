"""Files of other programs beside MDAnalysis, and damaged ones: the quick part of two benchmarks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# one file of each format, compressed ones, and pairs of topology and trajectory
NAMES = (
    "CRD CONECT DCD DCD_NAMD_TRICLINIC DCD_TRICLINIC DLP_CONFIG DMS GRO_velocity H5MD_xvf LAMMPSDUMP LAMMPSdata "
    "LAMMPSdcd2 NCDF PDB_multiframe PDB_small PDBQT_input PQR TPR TRR TRZ TXYZ TRJpbc_bz2 XTC XYZ_bz2 XYZ_mini "
    "mol2_molecule PRM PSF GSD TNG_traj INPCRD NAMDBIN FHIAIMS MMTF PDB_bz2 COORDINATES_XTC COORDINATES_TRR"
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    """A script that imports the benchmarks, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, timeout=300)


def test_files_are_read_as_mdanalysis_reads_them() -> None:
    """Positions and times, or one line; most of these files are read."""
    done = run(
        "import sys; sys.path.insert(0, '.'); import files\n"
        f"for found in files.outcomes({NAMES.split()!r}): print(found.kind, found.name, found.topology, found.text)"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("wrong")] == []
    assert sum(line.startswith("read") for line in lines) >= 25


@pytest.mark.parametrize("seed", [0, 1])
def test_damaged_files_are_read_or_refused(seed: int) -> None:
    """Forty of each seed, alone and in pairs; no traceback, no signal, no hang."""
    done = run(
        "import sys; sys.path.insert(0, '.'); import fuzz_inputs\n"
        f"tally = fuzz_inputs.fuzz(40, {seed}); print(sorted(tally)); assert set(tally) <= {{'read', 'refused'}}"
    )
    assert done.returncode == 0, done.stdout + done.stderr
