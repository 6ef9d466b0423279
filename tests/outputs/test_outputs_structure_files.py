"""Structures in the formats of other programs: MDAnalysis and mdtraj read back what was written, all or nothing."""

from __future__ import annotations

import resource
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest

from trajvae import Conformations, Model
from trajvae.errors import OutputError, TrajvaeError
from trajvae.molecule.structure_files import structure_file
from trajvae.results.conformation_pieces import Piece
from trajvae.results.conformations import save_pieces
from trajvae.store import Header
from trajvae.topology import Topology

PRECISION = {"xtc": 0.0051, "dcd": 1e-5, "nc": 1e-5, "pdb": 0.00051}  # Å


def _two_chains() -> Topology:
    """Two residues in two chains, with bonds, and a virtual site."""
    return Topology(
        names=np.array(["N", "CA", "C", "CL", "Q1"]),
        elements=np.array(["N", "C", "C", "Cl", ""]),
        resnames=np.array(["ALA", "ALA", "ALA", "LIG", "LIG"]),
        segids=np.array(["A", "A", "A", "B", "B"]),
        resids=np.array([4, 4, 4, 4, 4]),
        masses=np.array([14.0, 12.0, 12.0, 35.45, 0.0]),
        bonds=np.array([[0, 1], [1, 2], [3, 4]]),
    )


def _conformations(kind: str) -> Conformations:
    """Twelve random structures up to 200 Å from the origin, of 5 atoms or 40, in the plane or in space."""
    dimension = 2 if kind == "plane" else 3
    topology = _two_chains() if kind == "named" else Topology.anonymous(5 if kind == "plane" else 40)
    rng = np.random.default_rng(1)
    positions = 50 * rng.normal(size=(12, topology.n_atoms, dimension))
    return Conformations(positions, rng.normal(size=(12, 2)), np.arange(12) % 2 == 0, topology)


def _quietly(read: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read()


@pytest.mark.parametrize("kind", ["named", "anonymous", "plane"])
@pytest.mark.parametrize("ending", ["xtc", "dcd", "nc", "pdb"])
def test_both_libraries_read_back_what_was_written(tmp_path: Path, kind: str, ending: str) -> None:
    """Positions to the format's precision, times 0, 1, 2, ..., no box; residues and bonds as the topology has them."""
    made = _conformations(kind)
    _quietly(lambda: made.save(tmp_path / f"new.{ending}"))
    assert {p.name for p in tmp_path.iterdir()} == {"new.h5md", "new.pdb", f"new.{ending}"}
    wanted = np.zeros((12, made.topology.n_atoms, 3))
    wanted[..., : made.positions.shape[2]] = made.positions
    names = [str(tmp_path / "new.pdb"), *([] if ending == "pdb" else [str(tmp_path / f"new.{ending}")])]
    universe = _quietly(lambda: mda.Universe(*names))
    found = _quietly(lambda: universe.trajectory.timeseries(order="fac"))
    np.testing.assert_allclose(found, wanted, atol=PRECISION[ending])
    np.testing.assert_allclose(_quietly(lambda: [ts.time for ts in universe.trajectory]), np.arange(12.0), rtol=1e-6)
    assert universe.dimensions is None
    assert len(getattr(universe, "bonds", ())) == len(made.topology.bonds)
    trajectory = _quietly(lambda: mdtraj.load(names[-1], top=names[0]) if names[1:] else mdtraj.load(names[0]))
    np.testing.assert_allclose(10.0 * trajectory.xyz, wanted, atol=PRECISION[ending] + 1e-5)
    assert trajectory.unitcell_lengths is None
    if kind == "named":
        assert trajectory.n_residues == trajectory.n_chains == len(universe.residues) == 2
    numbers = _quietly(lambda: mda.Universe(names[0], str(tmp_path / "new.h5md")).trajectory.timeseries(order="fac"))
    np.testing.assert_allclose(numbers, wanted, atol=1e-4)


@pytest.mark.parametrize("ending", ["xtc", "dcd", "nc", "pdb"])
def test_every_file_that_exists_blocks_saving(tmp_path: Path, ending: str) -> None:
    """Topology, structures and numbers: each alone is an error and stays, and force replaces all."""
    made = _conformations("named")
    for name in {"new.pdb", "new.h5md", f"new.{ending}"}:
        (tmp_path / name).write_text("mine")
        with pytest.raises(OutputError, match=name):
            made.save(tmp_path / f"new.{ending}")
        assert [p.name for p in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    (tmp_path / f"new.{ending}").write_text("mine")
    _quietly(lambda: made.save(tmp_path / f"new.{ending}", force=True))
    assert (tmp_path / f"new.{ending}").stat().st_size > 100


def test_pieces_are_written_as_they_come(tmp_path: Path) -> None:
    """Two thousand structures in ten pieces take the memory of a piece, and all are there."""
    topology, count = Topology.anonymous(100), 10
    rng = np.random.default_rng(0)

    def pieces() -> Any:
        for _ in range(count):
            yield Piece(rng.normal(size=(200, 100, 3)), np.zeros((200, 2)), np.ones(200, dtype=bool), {})

    def save(name: str, n: int, some: Any) -> None:
        save_pieces(tmp_path / name, (n, 100, 3), topology, some, Header("conformations", "x", 0), dict)

    for ending in ("nc", "dcd", "xtc"):
        _quietly(lambda name=f"warm_{ending}.{ending}": save(name, 200, [next(pieces())]))
        tracemalloc.start()
        save(f"{ending}.{ending}", 2000, pieces())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 4 * 200 * 100 * 3 * 8
        universe = _quietly(lambda e=ending: mda.Universe(str(tmp_path / f"{e}.pdb"), str(tmp_path / f"{e}.{e}")))
        assert len(universe.trajectory) == 2000


def test_coordinates_beyond_the_columns_are_an_error(tmp_path: Path) -> None:
    """A later model that PDB cannot hold leaves nothing; other formats take it."""
    made = _conformations("named")
    made.positions[7, 0, 0] = -1234.0
    with pytest.raises(TrajvaeError, match=r"structure 7 .*PDB.*-999.999"):
        _quietly(lambda: made.save(tmp_path / "far.pdb"))
    assert list(tmp_path.iterdir()) == []
    made.save(tmp_path / "far.dcd")


def test_many_models_are_read(tmp_path: Path, tiny_model: Model) -> None:
    """More than 9999 models, whose numbers begin anew."""
    tiny_model.drawing(10_003, redraws=0, geometry="none").save(tmp_path / "many.pdb")
    assert len(_quietly(lambda: mda.Universe(str(tmp_path / "many.pdb"))).trajectory) == 10_003


_FULL = """
import resource, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from pathlib import Path
from trajvae.errors import OutputError
from trajvae.molecule.structure_files import structure_file
from trajvae.store import whole_files
from trajvae.topology import Topology
import MDAnalysis.lib.formats.libdcd, MDAnalysis.lib.formats.libmdaxdr
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
path = Path(sys.argv[1])
try:
    with whole_files(path, force=False) as (part,), structure_file(part, Topology.anonymous(30), 500) as write:
        for _ in range(10):
            write(10 * np.random.default_rng(0).normal(size=(50, 30, 3)))
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("ending", ["xtc", "dcd", "nc", "pdb"])
def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path, ending: str) -> None:
    """Where only a part of the structures finds room, it is one error and no file."""
    assert resource.RLIM_INFINITY in resource.getrlimit(resource.RLIMIT_FSIZE)
    command = [sys.executable, "-c", _FULL, str(tmp_path / f"new.{ending}")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert f"cannot write '{tmp_path / f'new.{ending}'}'" in done.stdout, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_more_than_the_disk_holds_is_refused(tmp_path: Path) -> None:
    """Before anything is written."""
    many = Topology.anonymous(10**6)
    with pytest.raises(OutputError, match="disk has room"), structure_file(tmp_path / "a.nc", many, 10**9):
        raise AssertionError("opened")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate", "-n", "20", "-o", "new.xtc"),
        ("optimize", "--objective", "rg", "-o", "new.pdb"),
        ("path", "--from", "0", "--to", "9", "--frames", "5", "--metric", "flat", "-o", "new.nc"),
    ],
)
def test_commands_write_them(tmp_path: Path, tiny_model: Model, arguments: tuple[str, ...]) -> None:
    """Files of the name that was typed, and the numbers beside; a second time an error that names a file."""
    tiny_model.save(tmp_path / "model.h5")
    command = [sys.executable, "-m", "trajvae_cli", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "new.h5md" in done.stdout
    files = {"new.h5md", "new.pdb", arguments[-1]}
    assert {p.name for p in tmp_path.iterdir()} == {"model.h5", *files}
    names = [str(tmp_path / "new.pdb"), *([str(tmp_path / arguments[-1])] if arguments[-1] != "new.pdb" else [])]
    numbers = mdtraj.load_hdf5(str(tmp_path / "new.h5md"))
    found = _quietly(lambda: mda.Universe(*names).trajectory.timeseries(order="fac"))
    np.testing.assert_allclose(found, 10.0 * numbers.xyz, atol=0.006)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert again.returncode == 1
    assert "new.pdb' exists" in again.stderr
