"""DCD files of several dialects, whole and cut."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from MDAnalysis.lib.formats.libdcd import DCDFile

from trajvae.errors import ReadError
from trajvae.readers.file_formats.dcd import DCDFrames

N, T = 12, 30


def positions():
    """Beads with noise in Å, (30, 12, 3)."""
    rng = np.random.default_rng(0)
    return (np.arange(N)[:, None] * [3.0, 1.0, 0.0] + rng.normal(size=(T, N, 3))).astype("f4")


def record(order, data):
    """A record of Fortran."""
    mark = struct.pack(f"{order}i", len(data))
    return mark + data + mark


def write(path, *, order="<", xplor=False, cell=False, fixed=0):
    """A DCD file with 30 frames; with fixed atoms, later frames hold the others alone."""
    words = [T, 100, 100, T * 100, 0, 0, 0, 0, fixed]
    words += [0] * 10 if xplor else [0, int(cell), *[0] * 8]
    control = bytearray(struct.pack(f"{order}4s19i", b"CORD", *words) + struct.pack(f"{order}i", 0 if xplor else 24))
    control[40:44] = struct.pack(f"{order}f", 1.0)
    if xplor:
        control[40:48] = struct.pack(f"{order}d", 0.001)
    content = record(order, bytes(control)) + record(order, struct.pack(f"{order}i", 1) + b"REMARKS".ljust(80))
    content += record(order, struct.pack(f"{order}i", N))
    free = np.arange(fixed, N)
    if fixed:
        content += record(order, (free + 1).astype(f"{order}i4").tobytes())
    for k, frame in enumerate(positions()):
        if cell:
            content += record(order, np.array([50, 90, 50, 90, 90, 50], dtype=f"{order}f8").tobytes())
        for axis in range(3):
            values = frame[:, axis] if k == 0 else frame[free, axis]
            content += record(order, values.astype(f"{order}f4").tobytes())
    path.write_bytes(content)
    return path


KINDS = {
    "CHARMM": {},
    "with a cell": {"cell": True},
    "big-endian": {"order": ">"},
    "X-PLOR": {"xplor": True},
    "X-PLOR, big-endian": {"xplor": True, "order": ">"},
    "fixed atoms": {"fixed": 5},
    "fixed atoms, with a cell": {"fixed": 5, "cell": True},
}


@pytest.mark.parametrize("kind", KINDS)
def test_dialects_are_read_as_by_mdanalysis(tmp_path, kind):
    """Thirty frames, the same positions and times; those of the file where all atoms move."""
    path = write(tmp_path / "a.dcd", **KINDS[kind])
    file = DCDFrames(path)
    assert (file.n_frames, file.n_atoms) == (T, N)
    got = np.concatenate([b.positions for b in file.blocks(range(T), np.arange(N), 7)])
    with DCDFile(str(path)) as twin:
        np.testing.assert_array_equal(got, twin.readframes(order="fac").xyz)
    if "fixed" not in kind:
        np.testing.assert_array_equal(got, positions())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [1, 10, 200, 500])
def test_a_cut_file_names_its_last_frame(tmp_path, kind, missing):
    """A DCD that is cut anywhere in a frame is refused, in every dialect."""
    path = write(tmp_path / "a.dcd", **KINDS[kind])
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(ReadError, match=r"a.dcd' ends within frame 2[5-9]: the file is cut"):
        DCDFrames(path)


@pytest.mark.parametrize("place", range(0, 96, 4))
@pytest.mark.parametrize("word", [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\x07\x00\x00\x00"])
def test_a_damaged_header_is_one_line_or_reads(tmp_path, place, word):
    """Any word of the header: never a traceback, and never other positions than the file's."""
    path = write(tmp_path / "a.dcd")
    content = bytearray(path.read_bytes())
    content[place : place + 4] = word
    path.write_bytes(content)
    try:
        file = DCDFrames(path)
        got = np.concatenate([b.positions for b in file.blocks(range(file.n_frames), np.arange(N), 7)])
    except ReadError as error:
        assert "\n" not in str(error) and "a.dcd" in str(error)
    else:
        np.testing.assert_array_equal(got, positions())
