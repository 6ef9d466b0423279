"""Malicious arrays are refused in one line, before memory is allocated."""

from __future__ import annotations

import io
import os
import resource
import warnings
import zipfile

import numpy as np
import pytest

from trajvae.errors import ReadError
from trajvae.readers.file_formats.arrays import open_array
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
    "a header of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(1000),
    "a header of 64 kB": b"\x93NUMPY\x01\x00\xff\xff" + bytes(2**16),
    "a header that is no text": b"\x93NUMPY\x03\x00" + (118).to_bytes(4, "little") + b"\xff" * 118,
    "a header that is cut": b"\x93NUMPY\x02\x00\x76",
    "frames without atoms": described((10**13, 0, 3)),
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
    """The array is refused in one line with these words, without allocating memory."""
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
    """A valid array is read, and a bomb beside it is not unpacked."""
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
    """A file shorter than its shape is refused before memory is allocated."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("positions.npy", described((10**6, 12, 2)))
    check_refused(tmp_path / "x.npz")


def test_a_header_that_is_unpacked_without_end(tmp_path):
    """4 MB, of which the header alone would be 4 GB; the start of each other member is looked at no further either."""
    for name in ("positions.npy", "other.npy"):
        with (
            zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open(name, "w", force_zip64=True) as member,
        ):
            member.write(b"\x93NUMPY\x02\x00\xff\xff\xff\xff")
            for _ in range(20):
                member.write(bytes(2**24))
        check_refused(tmp_path / "x.npz")


def packed(array=None):
    """The bytes of an `.npy` file."""
    out = io.BytesIO()
    np.save(out, np.ones((7, 4, 3)) if array is None else array)
    return out.getvalue()


def twice(path):
    """Two arrays of one name, of which programs read the first or the last."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("positions.npy", packed())


def lzma(path):
    """Packed in a way that may ask for a dictionary of gigabytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("positions.npy", packed())


def encrypted(path):
    """By the flag in the list of members and in the member itself."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions.npy", packed())
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def many_members(path):
    """An archive with too many members is refused, since the list alone would take a gigabyte."""
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(6000):
            archive.writestr(f"{k}.npy", b"")


def in_each_other(path):
    """An archive in an archive is no array."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("positions.npy", packed())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions.npy", inner.getvalue())


def lying_size(path):
    """The list says that the member is larger than deflate can make it."""
    bomb(path, 2**24)
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\x01\x02")
    content[at + 20 : at + 24] = (100).to_bytes(4, "little")
    path.write_bytes(content)


@pytest.mark.parametrize("attack", [twice, lzma, encrypted, many_members, in_each_other, lying_size])
def test_archives_that_are_none_of_numpy_s(tmp_path, attack):
    """Refused in one line."""
    attack(tmp_path / "x.npz")
    check_refused(tmp_path / "x.npz")


LAYOUTS = {
    "rows": lambda x: x,
    "columns": np.asfortranarray,
    "big-endian": lambda x: x.astype(">f4"),
    "whole numbers": lambda x: (100 * x).astype(np.int16),
    "plane": lambda x: x[:, :, :2],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("atoms", [range(9), [0, 3, 8], [5, 2], [7]], ids=str)
@pytest.mark.parametrize("frames", [range(40), range(3, 40, 7), range(39, 40), range(0, 40, 39)], ids=str)
def test_pieces_of_a_file(tmp_path, layout, atoms, frames):
    """Frames and atoms are those of numpy's own reading, in every order of the bytes, near each other or not."""
    x = layout(np.random.default_rng(0).normal(size=(40, 9, 3)))
    np.save(tmp_path / "x.npy", x)
    file, some = open_array(tmp_path / "x.npy"), np.array(atoms)
    blocks = list(file.blocks(frames, some, 4))
    expected = x[frames.start : frames.stop : frames.step][:, some]
    np.testing.assert_array_equal(np.concatenate([b.positions for b in blocks]), expected)
    assert np.concatenate([b.times for b in blocks]).tolist() == list(frames)
    assert all(b.positions.dtype.kind == "f" for b in blocks)


def test_frames_far_from_each_other_are_read_alone(tmp_path):
    """Large frames: a stride over them, and few atoms of each."""
    x = np.random.default_rng(0).normal(size=(12, 3000, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    file = open_array(tmp_path / "x.npy")
    for frames, atoms in ((range(0, 12, 5), range(3000)), (range(12), [2999, 2990]), (range(1, 12, 4), [4])):
        (block,) = file.blocks(frames, np.asarray(atoms), 100)
        np.testing.assert_array_equal(block.positions, x[list(frames)][:, atoms])


def cut(path):
    """Truncate the file, as a program does that starts to write it again."""
    os.truncate(path, 4096)


def write_again(path):
    """Overwrite the file with as many other numbers."""
    np.save(path, np.zeros((50_000, 12, 3)))


def exchange(path):
    """Another file of the same name."""
    np.save(path.with_suffix(".other.npy"), np.zeros((50_000, 12, 3)))
    path.with_suffix(".other.npy").replace(path)


@pytest.mark.parametrize("change", [cut, write_again])
def test_a_file_that_changes_while_it_is_read(tmp_path, change):
    """Cut or written again: one line, and no signal."""
    path, atoms = tmp_path / "x.npy", np.arange(12)
    np.save(path, np.random.default_rng(0).normal(size=(50_000, 12, 3)))
    blocks = open_array(path).blocks(range(50_000), atoms, 100)
    next(blocks)
    change(path)
    with pytest.raises(ReadError, match="was changed while it was read"):
        list(blocks)


def test_a_file_in_whose_place_another_stands(tmp_path):
    """An open file is read to its end; opening the replaced file again raises an error."""
    path, atoms = tmp_path / "x.npy", np.arange(12)
    np.save(path, np.ones((50_000, 12, 3)))
    file = open_array(path)
    blocks = file.blocks(range(50_000), atoms, 25_000)
    next(blocks)
    exchange(path)
    assert [b.positions.min() for b in blocks] == [1.0]
    with pytest.raises(ReadError, match="was changed while it was read"):
        next(file.blocks(range(5), atoms, 5))
