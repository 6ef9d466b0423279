"""Arrays made to do harm: refused in one line, before memory is taken."""

from __future__ import annotations

import io
import resource
import zipfile

import numpy as np
import pytest

from trajvae.errors import ReadError
from trajvae.readers.arrays import open_array
from trajvae.readers.sources import open_source


def npy(text, data=b"\0" * 960):
    """An `.npy` file with a header of any text."""
    head = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data


def described(shape, kind="<f4"):
    """An `.npy` file that says so."""
    return npy(f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}}}")


HEADERS = {
    "a trillion frames": described((10**12, 12, 2)),
    "more frames than numbers count": described((2**70, 12, 2)),
    "frames below zero": described((-5, 12, 2)),
    "objects": described((10, 12, 2), "|O"),
    "records of objects": described((10, 12, 2), [("a", "|O")]),
    "texts of a gigabyte": described((1, 1, 2), "<U250000000"),
    "a shape of text": described("abc"),
    "a shape of fractions": described((1.5, 2.0, 3.0)),
    "no such type": described((10, 12, 2), "<q9"),
    "code": npy("__import__('os').mkdir('executed')"),
    "parentheses": npy("(" * 117),
    "an open quote": npy("'''"),
    "null bytes": npy("\0" * 50),
    "a list": npy("[1, 2]"),
    "an unknown version": b"\x93NUMPY\x09\x00" + described((10, 12, 2))[8:],
}


@pytest.mark.parametrize("packed", [False, True], ids=["npy", "npz"])
@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_headers_that_are_none(tmp_path, monkeypatch, content, packed):
    """Alone, and as a member of an `.npz` file."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("x.npz" if packed else "x.npy")
    path.write_bytes(content)
    if packed:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("positions.npy", content)
    check_refused(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def check_refused(path, words="x.np"):
    """One line with those words, and no memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ReadError, match=words) as caught:
        open_source(path).read()
    assert len(str(caught.value).splitlines()) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def bomb(path, size, name="positions.npy"):
    """Zeros packed a thousand to one, with a header that is true to them."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        member.write(described((size // 24, 3, 2))[:-960])
        for _ in range(size // 2**24):
            member.write(bytes(2**24))


def test_a_bomb_is_not_unpacked(tmp_path):
    """320 MB in 320 kB; the other members of a file are not unpacked for their shape either."""
    bomb(tmp_path / "x.npz", 20 * 2**24)
    check_refused(tmp_path / "x.npz", "would unpack to")


def test_what_is_not_wanted_is_not_unpacked(tmp_path):
    """An honest array beside a bomb is read, without that."""
    path, x = tmp_path / "x.npz", np.random.default_rng(0).normal(size=(7, 4, 3))
    bomb(path, 20 * 2**24, "other.npy")
    packed = io.BytesIO()
    np.save(packed, x)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("positions.npy", packed.getvalue())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.testing.assert_array_equal(open_array(path).positions, x)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_a_member_shorter_than_it_says(tmp_path):
    """Which would take memory for numbers that never come."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("positions.npy", described((10**6, 12, 2)))
    check_refused(tmp_path / "x.npz")
