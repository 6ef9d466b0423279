"""Names, links and sizes of a stranger's HDF5 file: what is read counts by name, and too much is refused at once."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from trajvae.errors import ReadError
from trajvae.store import Header, Quantity, describe, read_table, write_table
from trajvae.store.disk_usage import data_parts, size_on_disk
from trajvae.store.name_walk import walk_names
from trajvae.store.untrusted_hdf5 import LEAST_LIMIT, check_contents, check_heaps


@pytest.fixture
def path(tmp_path):
    """A sound table of 30 rows."""
    observables = {"rmsd": Quantity(np.ones(30), "Angstrom")}
    write_table(tmp_path / "t.h5", Header("embedding", "test", 0), observables=observables)
    return tmp_path / "t.h5"


def low_level(group, name, shape, chunk):
    """A dataset of no data with any chunks and a name of any bytes."""
    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_chunk(chunk)
    space = h5s.create_simple(shape, tuple(h5s.UNLIMITED for _ in shape))
    h5d.create(group.id, name, h5t.IEEE_F64LE, space, plan)


def many_links(file):
    """Twenty thousand names of one array."""
    group, one = file.create_group("links"), file["observables/rmsd/value"]
    for k in range(20_000):
        group[f"{k:x}"] = one


def links_to_packed_numbers(file):
    """Forty names of an array that has no bytes in the file."""
    one = file.create_dataset("trajvae/z", (LEAST_LIMIT // 80,), "f8", compression="gzip")
    for k in range(40):
        file[f"trajvae/z{k}"] = one


def links_to_packed_text(file):
    """Names of an array whose elements are all one text."""
    one = file.create_dataset("words", (2000,), h5py.string_dtype(), chunks=(2000,))
    one[...] = ["x" * 1000] * 2000
    for k in range(40):
        file[f"words{k}"] = one


def links_to_attributes(file):
    """Names of a group with as many attributes as one may have."""
    one = file.create_dataset("marked", (0,), "f8")
    for k in range(250):
        one.attrs[f"a{k}"] = np.zeros(8000)
    group = file.create_group("names")
    for k in range(200):
        group[f"{k}"] = one


def many_groups(file):
    """More of them than any of trajvae's files has."""
    above = file.create_group("groups")
    for k in range(10_000):
        above.create_group(f"{k}")


def many_attributes(file):
    """Which HDF5 looks through at each of them."""
    for k in range(300):
        file["trajvae"].attrs[f"a{k}"] = k


ATTACKS = {
    "many names of one array": (many_links, "more than 8192 names"),
    "many groups": (many_groups, "more than 8192 names"),
    "names of packed numbers": (links_to_packed_numbers, "would expand"),
    "names of one long text": (links_to_packed_text, "would expand"),
    "names of attributes": (links_to_attributes, "would expand"),
    "attributes": (many_attributes, "more than 256 attributes"),
    "a chunk for each number": (lambda f: low_level(f, b"x", (2**20,), (1,)), "more than .* chunks"),
    "chunks beyond the data": (lambda f: [low_level(f, f"x{k}".encode(), (1,), (2**23,)) for k in range(3)], "expand"),
    "a name that is no text": (lambda f: low_level(f, b"\xff\xfe", (1,), (1,)), "not UTF-8"),
    "a soft link": (lambda f: f.__setitem__("x", h5py.SoftLink("/trajvae")), "leads elsewhere"),
    "a link to nowhere": (lambda f: f.__setitem__("x", h5py.SoftLink("/none")), "leads elsewhere"),
    "a link to another file": (lambda f: f.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")), "leads elsewhere"),
    "a circle": (lambda f: f.__setitem__("trajvae/x", f["/"]), "do not form a tree"),
    "an array without a shape": (lambda f: f.create_dataset("x", data=h5py.Empty("f8")), "without a shape"),
    "fixed text that grows": (lambda f: f.create_dataset("x", (LEAST_LIMIT // 400,), "S100", chunks=True), "expand"),
}


@pytest.mark.parametrize("attack, words", ATTACKS.values(), ids=ATTACKS)
def test_refused_at_once(path, attack, words):
    """Whoever reads the file, in one line, before any data are read."""
    with h5py.File(path, "r+") as file:
        attack(file)
    for read in (describe, lambda p: read_table(p, "embedding")):
        with pytest.raises(ReadError, match=words) as caught:
            read(path)
        assert str(caught.value).startswith(f"'{path}'") and len(str(caught.value).splitlines()) == 1


def test_heaps_in_each_other(tmp_path):
    """A file whose every 16 bytes begin a heap that reaches to its end would be walked quadratically."""
    size, head = 2**20, b"GCOL\x01\0\0\0"
    content = b"".join(head + (size - at).to_bytes(8, "little") for at in range(0, size, 16))
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ReadError, match="heap"):
        check_heaps(tmp_path / "x")


def test_holes_take_no_room_and_give_none(path):
    """A file that is a gigabyte long by a hole may not expand to 16 of them, and the hole is not read."""
    with h5py.File(path, "r+") as file:
        file.create_dataset("x", (2 * LEAST_LIMIT // 8,), "f8", chunks=True)
    os.truncate(path, 2**30)
    assert size_on_disk(path) < 2**20
    with pytest.raises(ReadError, match="would expand"):
        describe(path)
    os.truncate(path, 2**40)
    check_heaps(path)


def test_parts_between_holes(tmp_path):
    """Those that were written, in blocks; a file without any is one part, or nothing."""
    with (tmp_path / "x").open("wb") as file:
        for at in (0, 2**22, 2**24):
            file.seek(at)
            file.write(b"x" * 2**16)
        file.truncate(2**26)
    with (tmp_path / "x").open("rb", buffering=0) as file:
        parts = list(data_parts(file.fileno()))
    assert [begin for begin, _ in parts] in ([0, 2**22, 2**24], [0])
    assert size_on_disk(tmp_path / "x") in (3 * 2**16, 2**26)
    (tmp_path / "x").write_bytes(b"")
    assert size_on_disk(tmp_path / "x") == 0


def test_marginals_of_many_observables_are_read(tmp_path):
    """The largest of trajvae's own files: names beyond the limit of others, which the rows of its table allow."""
    path, count = tmp_path / "m.h5", 2000
    groups = {
        f"marginals/o{k}": ({name: Quantity(np.ones(2)) for name in ("edges", "model")}, {}) for k in range(count)
    }
    groups["table"] = ({"name": np.array([f"o{k}" for k in range(count)])}, {})
    write_table(path, Header("marginals", "test", 0), groups=groups)
    with h5py.File(path, "r+") as file:
        more = file.create_group("more")
        for k in range(4000):
            more[f"{k}"] = file["marginals/o0/edges"]
        found = list(walk_names(file, path))
        check_contents(file, path)
    assert len(found) == 3 * count + 4000 + 7
    assert sum(place.item is None for place in found) == 4000
