"""Files made to do harm: refused before their data are read, in one line."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t, h5z

from trajvae.errors import ReadError
from trajvae.store import Header, Quantity, describe, read_table, write_table
from trajvae.store.untrusted_hdf5 import LEAST_LIMIT, check_heaps, expansion_limit_of_size


@pytest.fixture
def path(tmp_path):
    """A sound table."""
    observables = {"rmsd": Quantity(np.ones(30), "Angstrom")}
    write_table(
        tmp_path / "t.h5",
        Header("embedding", "test", 0),
        observables=observables,
        extra={"file": np.zeros(30, dtype=np.int64), "files": np.array(["a.dcd"])},
    )
    return tmp_path / "t.h5"


def low_level(file, shape, chunk, filters):
    """A dataset that h5py's own functions would not make; nothing is written to it."""
    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_chunk(chunk)
    for code in filters:
        plan.set_filter(code, h5z.FLAG_OPTIONAL, ())
    space = h5s.create_simple(shape, tuple(h5s.UNLIMITED for _ in shape))
    h5d.create(file["trajvae"].id, b"x", h5t.IEEE_F64LE, space, plan)


def diamonds(file):
    """Each group holds the next one twice: 2^14 ways to the last."""
    group = file["trajvae"]
    for _ in range(14):
        inner = group.create_group("a")
        group["b"] = inner
        group = inner


def one_long_text(file):
    """Which in numpy's arrays all others are as long as."""
    words = ["x" * 10**6] + [""] * 10**5
    file["trajvae"].create_dataset("words", data=words, dtype=h5py.string_dtype())


ATTACKS = {
    "a trillion numbers": (lambda f: f.create_dataset("x", (10**12,), "f8", chunks=True), "would expand"),
    "a packed trillion": (lambda f: f.create_dataset("x", (10**12,), "f8", compression="gzip"), "would expand"),
    "rows without bytes": (lambda f: f.create_dataset("x", (2**31, 2**31, 2), "f8", chunks=True), "would expand"),
    "a chunk of 4 GB": (lambda f: low_level(f, (10,), (2**29 - 1,), ()), "chunks of more than"),
    "a plugin's filter": (lambda f: low_level(f, (10,), (10,), (32015,)), "packed by filter 32015"),
    "a filter of no use": (lambda f: f.create_dataset("x", (9,), "i4", scaleoffset=3), "packed by filter 6"),
    "a type of its own": (lambda f: f.__setitem__("x", np.dtype("f8")), "neither a group nor an array"),
    "data of such a type": (
        lambda f: [f.__setitem__("t", np.dtype("f8")), f.create_dataset("a", (3,), f["t"]), f.move("t", "z")],
        "neither numbers nor text",
    ),
    "references": (lambda f: f.create_dataset("x", (2,), h5py.ref_dtype), "neither numbers nor text"),
    "records": (lambda f: f.create_dataset("x", (2,), "i4,f8"), "neither numbers nor text"),
    "bytes of no type": (lambda f: f.create_dataset("x", (2,), "V100"), "neither numbers nor text"),
    "lists": (lambda f: f.create_dataset("x", (2,), h5py.vlen_dtype("f8")), "neither numbers nor text"),
    "complex numbers": (lambda f: f.create_dataset("x", (2,), "c16"), "neither numbers nor text"),
    "numbers of 16 bytes": (lambda f: f.create_dataset("x", (2,), "g"), "neither numbers nor text"),
    "nine dimensions": (lambda f: f.create_dataset("x", (1,) * 9, "f8"), "more than 8 dimensions"),
    "a group twice": (lambda f: f.__setitem__("trajvae/again", f["observables"]), "groups do not form a tree"),
    "diamonds": (diamonds, "groups do not form a tree"),
    "groups in groups": (lambda f: f.create_group("/".join("x" * 20)), "too deep"),
    "one long text": (one_long_text, "would expand"),
    "many texts beside data": (lambda f: f.attrs.__setitem__("x", ["a"] * 9), "too large"),
    "a record beside data": (lambda f: f.attrs.__setitem__("x", np.zeros(2, "i4,f8")), "neither numbers nor text"),
    "a reference beside data": (lambda f: f.attrs.__setitem__("x", f.ref), "neither numbers nor text"),
    "a missing row": (
        lambda f: swap(f, "trajvae/file", np.zeros(29, dtype=np.int64)),
        r"shape \(29,\), wanted: \(30\)",
    ),
    "a column more": (lambda f: swap(f, "trajvae/file", np.zeros((30, 2), dtype=np.int64)), "has the shape"),
    "text for numbers": (lambda f: swap(f, "trajvae/file", np.full(30, b"1")), "wanted: integers"),
    "fractions for numbers of files": (lambda f: swap(f, "trajvae/file", np.zeros(30)), "wanted: integers"),
}


def swap(file, name, data):
    """Another array in its place."""
    del file[name]
    file[name] = data


@pytest.mark.parametrize("attack, words", ATTACKS.values(), ids=ATTACKS)
def test_refused(path, attack, words, edited):
    """By what it is, naming the file."""
    with edited(path) as file:
        attack(file)
    with pytest.raises(ReadError, match=words) as caught:
        read_table(path, "embedding")
    assert str(caught.value).startswith(f"'{path}'") and len(str(caught.value).splitlines()) == 1


def test_a_heap_without_end(path):
    """Which HDF5 would walk for ever: its first part is made one of the number and the size zero."""
    content = bytearray(path.read_bytes())
    at = content.find(b"GCOL\x01") + 16
    content[at : at + 16] = bytes(16)
    path.write_bytes(content)
    for read in (describe, lambda p: read_table(p, "embedding")):
        with pytest.raises(ReadError, match="a heap of text has a part of no size"):
            read(path)


def test_a_heap_longer_than_its_file(path):
    """For which HDF5 would take memory at every text that it reads."""
    content = bytearray(path.read_bytes())
    at = content.find(b"GCOL\x01") + 8
    content[at : at + 8] = (2**31).to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(ReadError, match="or no end"):
        describe(path)


@pytest.mark.parametrize("before", [2**24 - 3, 2**24, 5])
def test_heaps_are_found_wherever_they_begin(tmp_path, before):
    """Across the pieces in which a file is searched too; a heap that ends is none of the kind."""
    sound = b"GCOL\x01\0\0\0" + (48).to_bytes(8, "little")
    sound += (1).to_bytes(8, "little") + (8).to_bytes(8, "little") + bytes(8) + bytes(8)
    for heap, endless in ((sound, False), (sound[:16] + bytes(48), True)):
        (tmp_path / "x").write_bytes(bytes(before) + heap)
        if endless:
            with pytest.raises(ReadError, match="a part of no size"):
                check_heaps(tmp_path / "x")
        else:
            check_heaps(tmp_path / "x")


def test_room_grows_with_the_file():
    """What is not packed always fits, however large."""
    assert expansion_limit_of_size(0) == LEAST_LIMIT
    assert all(expansion_limit_of_size(size) >= size for size in (10**3, 10**6, 10**9, 10**13))


def test_a_packed_copy_is_read(path, tmp_path):
    """Repacked by others with a compression, as HDF5 files are."""
    with h5py.File(path) as file, h5py.File(tmp_path / "p.h5", "w") as packed:
        file.copy("trajvae", packed)
        for name in ("value", "step", "time"):
            data = file[f"observables/rmsd/{name}"][()]
            made = packed.create_dataset(
                f"observables/rmsd/{name}", data=data, compression="gzip", shuffle=True, fletcher32=True
            )
            made.attrs.update(file[f"observables/rmsd/{name}"].attrs)
    assert read_table(tmp_path / "p.h5", "embedding")["observables"]["rmsd"]["value"].tolist() == [1.0] * 30


def test_names_in_messages_are_printable(path, edited):
    """A file's words do not steer a terminal, and stand in one line."""
    with edited(path) as file:
        file["trajvae"].attrs["kind"] = "\x1b[2J\nmodel\r\ud800".encode("utf-8", "surrogatepass")
    with pytest.raises(ReadError) as caught:
        read_table(path, "embedding")
    assert str(caught.value).isprintable() and "\\x1b" in str(caught.value)


def test_attributes_of_any_kind_are_described(path, edited):
    """Arrays, bytes and empty ones, as JSON takes them."""
    with edited(path) as file:
        group = file["trajvae"]
        group.attrs.update({"a": np.arange(3), "b": np.bytes_("x"), "c": h5py.Empty("f8"), "d": np.array([b"y"])})
    found = describe(path)
    assert [found[k] for k in "abcd"] == [[0, 1, 2], "x", None, ["y"]]
