"""Trajectories that another program writes, cuts or goes on with while they are read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import mdtraj
import numpy as np
import pytest

from trajvae.errors import ReadError
from trajvae.readers.file_formats.buffered_file import BufferedFile
from trajvae.readers.file_formats.dcd import DCDFrames
from trajvae.readers.file_formats.trr import TRRFrames
from trajvae.readers.file_formats.xtc import XTCFrames
from trajvae.readers.opening import _open_file

READERS = {"xtc": XTCFrames, "trr": TRRFrames, "dcd": DCDFrames, "nc": lambda path: _open_file(path, None, None)}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty frames of twenty atoms in three formats."""
    folder, topology = tmp_path_factory.mktemp("stable"), mdtraj.Topology()
    residue = topology.add_residue("ALA", topology.add_chain())
    for _ in range(20):
        topology.add_atom("C", mdtraj.element.carbon, residue)
    x = np.random.default_rng(0).normal(size=(60, 20, 3)).astype(np.float32)
    for suffix in READERS:
        mdtraj.Trajectory(x, topology).save(str(folder / f"t.{suffix}"))
    return folder


@pytest.mark.parametrize("suffix", READERS)
def test_a_file_that_is_cut(written: Path, tmp_path: Path, suffix: str) -> None:
    """A file that changes between two pieces, or after it was opened, gives an error of one line."""
    path, atoms = tmp_path / f"t.{suffix}", np.arange(20)
    for pieces in (0, 1):
        shutil.copy(written / f"t.{suffix}", path)
        blocks = READERS[suffix](path).blocks(range(60), atoms, 20)
        for _ in range(pieces):
            next(blocks)
        os.truncate(path, 700)
        with pytest.raises(ReadError, match="was changed while it was read"):
            list(blocks)


@pytest.mark.parametrize("suffix", READERS)
def test_a_file_that_is_written_again(written: Path, tmp_path: Path, suffix: str) -> None:
    """A file that is overwritten after its headers were checked is refused before a library reads it."""
    path, atoms = tmp_path / f"t.{suffix}", np.arange(20)
    shutil.copy(written / f"t.{suffix}", path)
    file = READERS[suffix](path)
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(ReadError, match="was changed while it was read"):
        list(file.blocks(range(60), atoms, 20))


@pytest.mark.parametrize("suffix", READERS)
def test_a_file_that_grows(written: Path, tmp_path: Path, suffix: str) -> None:
    """Of a file that grows, the frames that it had when it was opened are read."""
    path, atoms = tmp_path / f"t.{suffix}", np.arange(20)
    shutil.copy(written / f"t.{suffix}", path)
    blocks = READERS[suffix](path).blocks(range(60), atoms, 20)
    parts = [next(blocks).positions]
    with path.open("ab") as file:
        file.write(bytes(1000))
    parts += [block.positions for block in blocks]
    expected = next(READERS[suffix](written / f"t.{suffix}").blocks(range(60), atoms, 60)).positions
    np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_pieces_of_a_buffered_file(tmp_path: Path) -> None:
    """Reads within the buffer, beyond it, before it and at the end of the file give the bytes of the file."""
    content = np.random.default_rng(0).bytes(50_000)
    (tmp_path / "x").write_bytes(content)
    with (tmp_path / "x").open("rb") as file:
        buffered = BufferedFile(file.fileno())
        for at, count in ((0, 4), (10, 100), (16_380, 8), (40_000, 30_000), (5, 5), (49_999, 4), (60_000, 4)):
            assert buffered.read(at, count) == content[at : at + count]
