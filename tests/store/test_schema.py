"""The common form of all files: header, trees of arrays, safe opening."""

from __future__ import annotations

import json
import sys

import h5py
import numpy as np
import pytest

from trajvae import __version__
from trajvae.errors import ReadError
from trajvae.store import Header, Quantity, describe
from trajvae.store.opening import open_file
from trajvae.store.schema import SCHEMA, read_header, read_tree, write_header, write_tree

TREE = {
    "floats": np.linspace(0, 1, 7, dtype=np.float32).reshape(7, 1),
    "integers": np.arange(6, dtype=np.int64).reshape(2, 3),
    "flags": np.array([True, False]),
    "text": np.array(["Å", "CA", "", "β-carbon"]),
    "scalar": np.float64(3.5),
    "none": np.empty((0, 2), dtype=np.int64),
    "words of nothing": np.array([], dtype=str),
    "deep": {"er": {"still": np.arange(3)}},
}


@pytest.fixture
def path(tmp_path):
    """A file with all of `TREE`."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        group = write_header(file, Header("marginals", "trajvae test --Å", 7))
        write_tree(group, TREE)
        write_tree(group, {"length": Quantity(np.ones(3), "Angstrom", {"jsd": 0.25})})
    return path


def assert_same(a, b):
    """Nested dictionaries of equal arrays, types included."""
    assert a.keys() == b.keys()
    for name in a:
        if isinstance(a[name], dict):
            assert_same(a[name], b[name])
        else:
            left, right = np.asarray(a[name]), np.asarray(b[name])
            assert left.dtype.kind == right.dtype.kind and left.shape == right.shape, name
            np.testing.assert_array_equal(left, right)


def test_trees_round_trip(path):
    """Floats, integers, flags, text beyond ASCII, scalars, empty arrays, groups in groups."""
    with open_file(path, "marginals") as file:
        tree = read_tree(file["trajvae"])
        tree.pop("length")
        assert_same(tree, TREE)


def test_units_and_attributes_stand_beside_the_data(path):
    """And nothing where there is no unit."""
    with h5py.File(path) as file:
        assert file["trajvae/length"].attrs["unit"] == "Angstrom" and file["trajvae/length"].attrs["jsd"] == 0.25
        assert "unit" not in file["trajvae/floats"].attrs


def test_headers_round_trip(path):
    """Version, command and seed made every file."""
    with open_file(path) as file:
        header = read_header(file)
    assert (header.kind, header.command, header.seed) == ("marginals", "trajvae test --Å", 7)
    assert (header.version, header.schema) == (__version__, SCHEMA)
    assert header.created.endswith("+00:00")


def test_description_names_everything(path):
    """Header, and name, shape, type and unit of every dataset; JSON takes it."""
    what = describe(path)
    assert (what["kind"], what["seed"]) == ("marginals", 7)
    assert what["datasets"]["/trajvae/length"] == {"shape": [3], "dtype": "float64", "unit": "Angstrom"}
    assert what["datasets"]["/trajvae/text"]["dtype"] == "text"
    assert "/trajvae/deep/er/still" in what["datasets"]
    json.dumps(what)


def check_refused(path, words):
    """Opening and describing are one-line errors with those words."""
    for action in (read_everything, describe):
        with pytest.raises(ReadError, match=words) as caught:
            action(path)
        assert "\n" not in str(caught.value)


def read_everything(path):
    """Open and read all there is."""
    with open_file(path) as file:
        read_header(file)
        return read_tree(file["trajvae"])


@pytest.mark.parametrize("where", ["/", "/trajvae", "/trajvae/deep/er"])
@pytest.mark.parametrize("kind", ["external", "soft", "dangling soft"])
def test_links_are_refused(path, tmp_path, where, kind):
    """Opening a file follows no link: not to other files, and not within."""
    with h5py.File(tmp_path / "secret.h5", "w") as other:
        other["x"] = np.arange(3)
    with h5py.File(path, "a") as file:
        link = {
            "external": h5py.ExternalLink(str(tmp_path / "secret.h5"), "/x"),
            "soft": h5py.SoftLink("/trajvae/floats"),
            "dangling soft": h5py.SoftLink("/nowhere"),
        }[kind]
        file[where]["link"] = link
    check_refused(path, "link")


def test_a_header_behind_a_link_is_refused(path, tmp_path):
    """/trajvae itself must be in the file."""
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["trajvae"] = h5py.ExternalLink(str(path), "/trajvae")
    check_refused(tmp_path / "y.h5", "not written by trajvae")


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_data_in_other_files_are_refused(path, tmp_path, kind):
    """Raw external storage could read any file of the machine; virtual datasets any HDF5 file."""
    (tmp_path / "secret.txt").write_bytes(b"12345678" * 4)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.arange(4.0)
    with h5py.File(path, "a") as file:
        group = file["trajvae/deep"]
        if kind == "external":
            group.create_dataset("x", (4,), "f8", external=[(str(tmp_path / "secret.txt"), 0, 32)])
        else:
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (4,))
            group.create_virtual_dataset("x", layout)
    check_refused(path, "another file")


def test_hard_links_in_a_circle_end(path):
    """A group that holds itself is no endless walk."""
    with h5py.File(path, "a") as file:
        file["trajvae/deep/again"] = file["trajvae"]
    with pytest.raises(ReadError) as caught:
        read_everything(path)
    assert "\n" not in str(caught.value)


def test_a_newer_schema_is_refused(path):
    """With the way out."""
    with h5py.File(path, "a") as file:
        file["trajvae"].attrs["schema"] = SCHEMA + 1
    check_refused(path, f"schema {SCHEMA + 1}.*update trajvae")


@pytest.mark.parametrize("schema", ["new", np.array([1, 2])], ids=["text", "array"])
def test_a_schema_that_is_no_number_is_refused(path, schema):
    """Text, an array: a file that was altered."""
    with h5py.File(path, "a") as file:
        file["trajvae"].attrs["schema"] = schema
    check_refused(path, "damaged")


def test_another_kind_is_refused(path):
    """It says what the file holds and what was wanted."""
    with pytest.raises(ReadError, match="holds marginals; wanted: model"), open_file(path, "model"):
        pytest.fail("opened")


def test_a_file_of_others_is_refused(tmp_path):
    """HDF5, but not ours; /trajvae without a kind; /trajvae a dataset."""
    for number, (name, data) in enumerate((("x", None), ("trajvae", None), ("trajvae", np.arange(3)))):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_group(name) if data is None else file.create_dataset(name, data=data)
        check_refused(tmp_path / f"{number}.h5", "not written by trajvae")


def test_a_missing_file_is_refused(tmp_path):
    """With its name."""
    check_refused(tmp_path / "none.h5", "no file '.*none.h5'")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_truncated_file_is_an_error(path, share):
    """HDF5 knows its own length."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ReadError) as caught:
        read_everything(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


@pytest.mark.parametrize("seed", range(40))
def test_random_garbage_is_an_error_or_harmless(path, seed):
    """Sixteen bytes anywhere overwritten: a ReadError, or a tree of arrays; never another exception."""
    rng = np.random.default_rng(seed)
    content = bytearray(path.read_bytes())
    where = int(rng.integers(0, len(content) - 16))
    content[where : where + 16] = rng.bytes(16)
    path.write_bytes(content)
    try:
        assert isinstance(read_everything(path), dict)
    except ReadError as error:
        assert "\n" not in str(error)


def test_nothing_but_garbage_is_an_error(tmp_path):
    """Bytes, text, and an empty file."""
    for number, content in enumerate((np.random.default_rng(0).bytes(5000), b"PK\x03\x04 text", b"")):
        path = tmp_path / f"{number}.h5"
        path.write_bytes(content)
        check_refused(path, "not a readable HDF5")


def test_the_recursion_limit_is_no_way_in(tmp_path):
    """Groups nested deeper than Python recurses: an error of ours."""
    path = tmp_path / "deep.h5"
    with h5py.File(path, "w") as file:
        group = write_header(file, Header("marginals", "test", 0))
        for _ in range(sys.getrecursionlimit() + 100):
            group = group.create_group("g")
    with pytest.raises(ReadError) as caught:
        read_everything(path)
    assert "\n" not in str(caught.value)
